"""How does a whole epoch, validation included, run as one call of a compiled function?

Around the model's own train_step and test_step, so that the user's, Keras's losses, metrics, dropout and clipping
are what they are in fit. Batches come out of the feeds inside the graph (sources.py); their size stays open there, as
it does in fit: train_step is traced once for whole and partial batches. XLA must know every size: under it each size
has a loop and a trace of its own.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from optselect.trials.programs.hyperparameter import Reading
from optselect.trials.programs.scoring import Scoring, demand_metrics, metrics_of, reset_metrics_at
from optselect.trials.programs.sources import INDEX, Run, Source

NO_BATCHES = range(-1, -1)
"""Trains or validates nothing, and leaves the metrics as they are."""


Feeds = tuple[Any, Any]
"""Of the training and of the validation: the order of rows, or an iterator."""


@dataclass(frozen=True)
class Part:
    """What one call trained: an epoch, or a stretch of a long one."""

    step: int  # the next batch; the batch that went wrong is the one before
    healthy: bool  # no loss so far was beyond the limit or not finite
    finite: bool  # all trainable weights are finite
    learning_rate: float  # of the step after the last; NaN for an optimizer that has none
    training: Mapping[str, float]  # as fit names them
    validation: Mapping[str, float]


class EpochGraph:
    """One compiled function around a model; the model's optimizer of the first call stays in it."""

    def __init__(
        self, model: Any, train: Source, validation: Scoring, reading: Reading, jit: bool = False
    ) -> None:
        self._reading = reading
        self._model, self._train, self._validation = model, train.runs(jit), validation
        self._training_names: tuple[str, ...] = ()
        signature = [train.feed_spec, validation.source.feed_spec, tf.TensorSpec([5], tf.float64)]
        self._run = tf.function(self._epoch, autograph=False, jit_compile=jit, input_signature=signature)
        # Many programs are many traces of one method, which TensorFlow would warn of.
        self._run._omit_frequent_tracing_warning = True
        self._traced: Any = None  # callable

    def run(self, feeds: Feeds, batches: range, validation_batches: range, limit: float) -> Part:
        """Train some batches of an epoch, then validate on some; metrics start anew with each batch 0.

        The training ends early where the epoch's mean loss reaches the limit or is not finite; validation is left
        out then.
        """
        checks = validation_batches
        orders = tf.constant([batches.start, batches.stop, checks.start, checks.stop, limit], tf.float64)
        step, healthy, finite, learning_rate, *metrics = self._call(*feeds, orders).numpy().tolist()
        trained = len(self._training_names)
        return Part(
            step=int(step),
            healthy=bool(healthy),
            finite=bool(finite),
            learning_rate=learning_rate,
            training=dict(zip(self._training_names, metrics[:trained], strict=True)),
            validation=dict(zip(self._validation.names, metrics[trained:], strict=True)),
        )

    def _call(self, *inputs: Any) -> Any:
        """Call the one trace there is; tf.function itself would look for it by the types of all inputs each time."""
        if self._traced is None:
            self._traced = self._run.get_concrete_function()
        return self._traced(*inputs)

    def operations(self) -> Iterator[str]:
        """Yield the types of TensorFlow's operations in the trace, also in its loops; after the first run."""
        assert self._traced is not None, "run() comes first"
        definition = self._traced.graph.as_graph_def()
        for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
            for node in nodes:
                yield node.op

    # --- traced ---

    def _epoch(self, feed: Any, check_feed: Any, orders: Any) -> Any:
        with self._reading.at_the_start_of(tf.compat.v1.get_default_graph()):
            return self._epoch_here(feed, check_feed, orders)

    def _epoch_here(self, feed: Any, check_feed: Any, orders: Any) -> Any:
        """One vector of float64, which holds float32 exactly: a single value to bring back."""
        first, last, first_check, last_check = (tf.cast(orders[index], INDEX) for index in range(4))
        reset_metrics_at(self._model, first)
        step, healthy = self._train_batches(feed, first, last, tf.cast(orders[4], tf.float32))
        training = metrics_of(self._model)
        self._training_names = tuple(training)
        validation = self._validation(check_feed, first_check, last_check, healthy)
        state = [step, healthy, self._weights_are_finite(), self._learning_rate()]
        numbers = [tf.cast(number, tf.float64) for number in (*state, *training.values())]
        return tf.concat([tf.stack(numbers), validation], axis=0)

    def _learning_rate(self) -> Any:
        return getattr(self._model.optimizer, "learning_rate", math.nan)

    def _train_batches(self, feed: Any, first: Any, last: Any, limit: Any) -> tuple[Any, Any]:
        def train(run: Run, step: Any, healthy: Any) -> tuple[Any, Any]:
            logs = self._model.train_step(run.batch(feed, step))
            demand_metrics(self._model, logs)
            loss = tf.cast(logs.get("loss", 0.0), tf.float32)
            return step + 1, tf.math.is_finite(loss) & (loss < limit)

        def goes_on(run: Run, step: Any, healthy: Any) -> Any:
            return (step < tf.minimum(last, run.stop)) & healthy

        state = first, tf.constant(True)
        for run in self._train:
            state = tf.while_loop(partial(goes_on, run), partial(train, run), state)
        return state

    def _weights_are_finite(self) -> Any:
        weights = [variable.value for variable in self._model.trainable_variables]
        floats = [weight for weight in weights if weight.dtype.is_floating]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(weight)) for weight in floats])
