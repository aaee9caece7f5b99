"""How is a model scored on a split as part of a compiled function? Once traced, for all programs.

Around the model's own test_step. No optimizer is in it, so that one trace serves the epochs of every optimizer; a
model that asks its optimizer while it is scored gets a trace for each.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from optselect.trials.programs.sources import INDEX, Run, Source
from optselect.trials.programs.structure import NoProgram
from optselect.trials.state.snapshot import variables_in


class Scoring:
    """A compiled function that scores some batches of a source."""

    def __init__(self, model: Any, source: Source, jit: bool) -> None:
        self.source = source
        self.names: tuple[str, ...] = ()  # of the metrics, once it is traced
        self.asks_optimizer = False
        self._model, self._runs = model, source.runs(jit)
        index = tf.TensorSpec([], INDEX)
        signature = [source.feed_spec, index, index, tf.TensorSpec([], tf.bool)]
        self._function = tf.function(
            self._scored, autograph=False, jit_compile=jit, input_signature=signature
        )

    def __call__(self, feed: Any, first: Any, last: Any, wanted: Any) -> Any:
        """Give the metrics as one vector of float64; nothing is scored unless wanted. They start anew at batch 0."""
        return self._function(feed, first, last, wanted)

    def whole(self) -> Mapping[str, float]:
        """Score all batches now."""
        first, last = tf.constant(0, INDEX), tf.constant(self.source.batches, INDEX)
        found = self(self.source.as_they_lie(), first, last, tf.constant(True)).numpy().tolist()
        return dict(zip(self.names, found, strict=True))

    # --- traced ---

    def _scored(self, feed: Any, first: Any, last: Any, wanted: Any) -> Any:
        reset_metrics_at(self._model, first)
        state = (first,)
        for run in self._runs:
            state = tf.while_loop(
                partial(self._goes_on, run, last, wanted), partial(self._score, run, feed), state
            )
        metrics = metrics_of(self._model)
        self.names = tuple(metrics)
        self.asks_optimizer = self._holds_optimizer(tf.compat.v1.get_default_graph())
        return tf.stack([tf.cast(value, tf.float64) for value in metrics.values()])

    def _goes_on(self, run: Run, last: Any, wanted: Any, step: Any) -> Any:
        return (step < tf.minimum(last, run.stop)) & wanted

    def _score(self, run: Run, feed: Any, step: Any) -> tuple[Any]:
        demand_metrics(self._model, self._model.test_step(run.batch(feed, step)))
        return (step + 1,)

    def _holds_optimizer(self, graph: Any) -> bool:
        """Tell whether the trace reads a variable of the optimizer, or a number out of the graph around it."""
        handles = {id(variable.value.handle) for variable in variables_in(self._model.optimizer)}
        weights = {id(variable.value.handle) for variable in self._model.variables}
        return any(
            not hasattr(held, "numpy") or id(held) in handles - weights for held in graph.external_captures
        )


def reset_metrics_at(model: Any, batch: Any) -> None:
    """Let the metrics start anew where the batch is the first."""
    tf.cond(batch == 0, lambda: _nothing(model.reset_metrics), lambda: tf.constant(0))


def demand_metrics(model: Any, logs: Any) -> None:
    """Refuse a step of the user's that returns something else than the model's metrics.

    fit shows such logs as the last batch left them.
    """
    if not isinstance(logs, dict) or set(dict(_scalars(logs))) != set(metrics_of(model)):
        raise NoProgram("train_step or test_step returns other values than the model's metrics", step=3)


def metrics_of(model: Any) -> dict[str, Any]:
    """Give the model's metrics that are one number, as fit names them."""
    return dict(_scalars(model.get_metrics_result()))


def _scalars(logs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the metrics that are one number, as fit flattens them."""
    for name, value in logs.items():
        if isinstance(value, dict):
            yield from _scalars(value)
        elif np.prod(np.shape(value)) == 1:
            yield name, tf.reshape(tf.convert_to_tensor(value), [])


def _nothing(function: Callable[[], object]) -> Any:
    """Call for the side effect; a branch of tf.cond must give something."""
    function()
    return tf.constant(0)
