"""Does a new program train as Keras does? A few batches by both, compared to the last bit; under XLA by far less.

What the program would get wrong silently, a number kept under another name, a state that is not reset, Python that
decides by something the structure does not hold, shows here, before a trial counts on it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

from optselect.trials.optimizers.building import build_optimizer, innermost, install_optimizer
from optselect.trials.programs.bench import Bench
from optselect.trials.programs.cache import Program
from optselect.trials.programs.epoch_graph import NO_BATCHES, Feeds
from optselect.trials.programs.sources import Resident
from optselect.trials.programs.structure import NoProgram, is_custom
from optselect.trials.state.snapshot import state_variables
from optselect.trials.terms.configuration import OptimizerConfig
from optselect.trials.terms.outcome import numbers_in

MOST_BATCHES = 3
MOST_EAGER_MISSES = 3
"""In a row; then a model's programs are compared with a compiled fit at once."""
ROUNDING_ULPS = 8
"""Of a variable's largest value, after these batches: where a number that fit's graph holds as a constant lets
TensorFlow calculate in another order (v - g^2 + epsilon, a division as a multiplication)."""
GPU_TOLERANCE = 1e-3
"""Relative; a GPU adds up in another order each time."""
XLA_TOLERANCE = 1e-3
"""Of a variable's mean size, on the mean: XLA rounds one way in a batch and another in an epoch, and an update that
follows the sign of a gradient turns round where that is zero but for rounding."""

Agree = Callable[[Any, Any], bool]

State = tuple[Mapping[str, float], list[np.ndarray[Any, Any]]]


def check(
    program: Program, bench: Bench, config: OptimizerConfig, make: Callable[[], Any], seed: int
) -> None:
    """Train a few batches by the program, twice, and by a fresh fit; raises NoProgram where they differ."""
    data = _FewBatches(bench, seed)
    came = [_by_program(program, bench, config, make, seed, data) for _ in range(2)]
    if _may_agree_eagerly(program, bench):
        expected = _by_fit(bench, config, seed, data, eagerly=True)
        agrees = all(_difference(expected, own, _same_bits) is None for own in came)
        bench.eager_misses = 0 if agrees else bench.eager_misses + 1
        if agrees:
            return
    expected = _by_fit(bench, config, seed, data)
    for again, own in zip(("", " when it is used again"), came, strict=True):
        if (difference := _difference(expected, own, _agreement(program, bench.problem.jit))) is not None:
            raise NoProgram(f"the program differs from fit{again}: {difference}")


def _may_agree_eagerly(program: Program, bench: Bench) -> bool:
    """Tell whether to compare with fit's batches run one operation after the other, which saves compiling them.

    Agreement to the last bit is proof enough. Else fit's own graph is asked, which TensorFlow may have made round
    in another way; after three such cases in a row that is expected of the model. Recurrent layers run each step of time
    by Python.
    """
    is_recurrent = any(isinstance(layer, keras.layers.RNN) for layer in bench.model._flatten_layers())
    is_exact = not bench.problem.jit and not _ulps(program)
    return is_exact and not is_recurrent and bench.eager_misses < MOST_EAGER_MISSES


def _by_program(
    program: Program, bench: Bench, config: OptimizerConfig, make: Callable[[], Any], seed: int, data: Any
) -> State:
    model = bench.model
    model.optimizer = program.bound.optimizer
    bench.place_weights(seed)
    program.bound.begin(config, make)
    logs = _by_epochs(program, bench, data) if program.graph else _by_batches(program, bench, data)
    state = logs, [variable.numpy() for variable in state_variables(model)]
    _validate(program, data)
    return state


class _FewBatches:
    """The first batches of a training, the same each time they are asked for."""

    def __init__(self, bench: Bench, seed: int) -> None:
        problem = bench.problem
        self._bench, self._seed = bench, seed
        self.count = min(MOST_BATCHES, problem.steps_per_epoch or MOST_BATCHES)
        train = problem.data.train
        self._kept: list[Any] | None = None
        if isinstance(train, keras.utils.PyDataset):
            self._kept = [train[index] for index in range(self.count)]
        elif isinstance(train, tf.data.Dataset):
            adapter = TFDatasetAdapter(train, class_weight=problem.fit.get("class_weight"))
            self._dataset = adapter.get_tf_dataset()
            self._kept = list(islice(self._dataset, self.count))
            self.count = len(self._kept)

    def for_fit(self) -> dict[str, Any]:
        """Give them as arguments of fit, fresh for each call."""
        if self._kept is None:
            batches = self._bench.problem.training_rows.batches(self._seed, 1, 1)
            return {"x": batches, "steps_per_epoch": self.count}
        return {"x": (batch for batch in self._kept), "steps_per_epoch": self.count}

    def feeds(self) -> Feeds:
        """Give them as a program's feeds."""
        training, validation = self._bench.feeds(self._seed, 1)
        if isinstance(self._bench.train, Resident):
            return training, validation
        spec = self._dataset.element_spec
        again = tf.data.Dataset.from_generator(lambda: iter(self._kept or ()), output_signature=spec)
        return iter(again), validation


def _by_epochs(program: Program, bench: Bench, data: _FewBatches) -> Mapping[str, float]:
    assert program.graph is not None, "asked before"
    part = program.graph.run(data.feeds(), range(data.count), NO_BATCHES, float("inf"))
    program.bound.show()  # what follows is no part of the program
    program.bound.optimizer.finalize_variable_values(bench.model.trainable_variables)
    return part.training


def _validate(program: Program, data: _FewBatches) -> None:
    """Let validation leave its traces, if it leaves any that a reset does not reach."""
    if program.graph is not None:
        program.graph.run(data.feeds(), NO_BATCHES, range(1), float("inf"))


def _by_batches(program: Program, bench: Bench, data: _FewBatches) -> Mapping[str, float]:
    bench.model.train_function = program.train_function
    return _fitted(bench.model, data)


def _by_fit(
    bench: Bench, config: OptimizerConfig, seed: int, data: _FewBatches, eagerly: bool = False
) -> State:
    model = bench.problem.initial_weights.model_of_seed(seed)
    install_optimizer(model, build_optimizer(config, model))
    model.run_eagerly = eagerly
    logs = _fitted(model, data)
    return logs, [variable.numpy() for variable in state_variables(model)]


def _fitted(model: Any, data: _FewBatches) -> Mapping[str, float]:
    history = model.fit(**data.for_fit(), shuffle=False, epochs=1, verbose=0)
    return numbers_in({name: values[-1] for name, values in history.history.items()})


def _difference(expected: State, came: State, agree: Agree) -> str | None:
    logs, states = expected
    own_logs, own_states = came
    for name, value in own_logs.items():
        if not agree(np.float32(value), np.float32(logs.get(name, np.nan))):
            return f"{name} {value:.9g} in place of {logs.get(name, np.nan):.9g} after a few batches"
    if len(states) != len(own_states):
        return f"{len(own_states)} variables in place of {len(states)}"
    unlike = sum(not agree(own, other) for own, other in zip(own_states, states, strict=True))
    return f"{unlike} of {len(states)} variables after a few batches" if unlike else None


def _agreement(program: Program, jit: bool) -> Agree:
    """Give the comparison of two variables that holds for a program."""
    if jit:
        return _agree_on_the_mean
    return partial(_agree_at_most, GPU_TOLERANCE if _on_gpu() else None, _ulps(program))


def _agree_at_most(relative: float | None, ulps: int, own: Any, other: Any) -> bool:
    if (same := _same(own, other)) is not None:
        return same
    largest = np.max(np.abs(other), initial=0)
    tolerance = ulps * np.spacing(largest) if relative is None else relative * largest
    return bool(np.max(np.abs(own - other), initial=0) <= tolerance)


def _agree_on_the_mean(own: Any, other: Any) -> bool:
    if (same := _same(own, other)) is not None:
        return same
    own, other = np.asarray(own, "float64"), np.asarray(other, "float64")
    return bool(np.mean(np.abs(own - other)) <= XLA_TOLERANCE * np.mean(np.abs(other)))


def _same_bits(own: Any, other: Any) -> bool:
    return _same(own, other) is True


def _same(own: Any, other: Any) -> bool | None:
    """Tell whether two values are the same, or cannot be compared by their size; None: they can."""
    if np.shape(own) != np.shape(other):
        return False
    own_kind = np.asarray(own).dtype.kind  # V: bfloat16
    if np.array_equal(own, other, equal_nan=own_kind in "fc"):
        return True
    if own_kind not in "fV" or not (np.isfinite(own).all() and np.isfinite(other).all()):
        return False
    return None


def _ulps(program: Program) -> int:
    """Give the rounding that is allowed: none but for those whose arithmetic TensorFlow reorders in fit, or might."""
    optimizer = innermost(program.bound.optimizer)
    reordered = isinstance(optimizer, keras.optimizers.Adafactor)
    centered = isinstance(optimizer, keras.optimizers.RMSprop) and optimizer.centered
    has_schedule = isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
    return ROUNDING_ULPS if reordered or centered or has_schedule or is_custom(optimizer) else 0


def _on_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))
