"""Plain Keras beside run_trial: the same training by hand, for comparison."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from optselect.trials.data.row_order import order_of_rows
from optselect.trials.data.splits import Arrays
from optselect.trials.problem.initial_weights import assign_values, build_model
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.cache import Programs
from optselect.trials.state.snapshot import Position, write_snapshot
from optselect.trials.terms.configuration import Configuration, OptimizerConfig
from optselect.trials.terms.outcome import Epoch, Stop, TrialResult
from optselect.trials.training.fit_runner import training_arguments
from optselect.trials.training.trainer import run_trial

SEED = 3


class Recorder:
    """An on_epochs that keeps what it was told, and a snapshot at each call."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[list[int]] = []
        self.snapshots: dict[int, bytes] = {}
        self._stop_at = stop_at

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        if not epochs:  # asked in mid-epoch
            return None
        self.calls.append([epoch.number for epoch in epochs])
        self.snapshots[epochs[-1].number] = snapshot()
        return Stop("enough") if self._stop_at == epochs[-1].number else None

    @property
    def last(self) -> bytes:
        return self.snapshots[max(self.snapshots)]


def train(
    problem: Problem, optimizer: str = "SGD", recorder: Recorder | None = None, **given: Any
) -> TrialResult:
    """Run a trial of one optimizer; batch_ends, start, test and configuration may be given."""
    arguments = given.pop("arguments", {"learning_rate": 0.01})
    configuration = given.pop("configuration", None) or Configuration(OptimizerConfig(optimizer, arguments))
    defaults = {
        "epochs": problem.epochs,
        "programs": Programs(),
        "batch_ends": (),
        "on_epochs": recorder or Recorder(),
    }
    return run_trial(problem, configuration, given.pop("seed", SEED), **{**defaults, **given})


def fit_by_hand(
    model: Any, problem: Problem, epochs: Sequence[int], seed: int = SEED, **fit: Any
) -> list[Any]:
    """Train these epochs with Keras alone, on rows put into the trial's order; gives each epoch's logs."""
    train, validation = problem.data.train, problem.data.validation
    curve = []
    for epoch in epochs:
        order = order_of_rows(seed, epoch, train.rows, shuffle=True)
        x, y, weight = (_picked(part, order) for part in (train.x, train.y, train.sample_weight))
        history = model.fit(
            x,
            y,
            sample_weight=weight,
            batch_size=problem.batch_size,
            shuffle=False,
            verbose=0,
            validation_data=validation.packed(),
            **fit,
        )
        curve.append({name: values[0] for name, values in history.history.items()})
    return curve


def compiled(problem: Problem, optimizer: str, arguments: Mapping[str, Any], **given: Any) -> Any:
    """What a user would write: a model, compiled with this optimizer."""
    model = problem.make_model()
    if optimizer == "Muon":
        arguments = {**arguments, "exclude_layers": [f"(^|/){model.layers[-1].name}/"]}
    model.compile(optimizer=getattr(keras.optimizers, optimizer)(**arguments), **given)
    return model


def fit_by_keras(
    model: Any, problem: Problem, seed: int = SEED
) -> tuple[list[dict[str, float]], list[np.ndarray[Any, Any]]]:
    """One fit of a compiled model on the seed's batches; gives the curve and the state after the last epoch."""
    build_model(model, problem.one_batch)
    assign_values(model.variables, problem.initial_weights.of_seed(seed))
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)  # or Keras 3.15 trains ScheduleFreeAdamW wrongly
    state: list[np.ndarray[Any, Any]] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: state.__setitem__(slice(None), read_state(model))
    )
    validation = problem.data.validation
    given = {name: problem.fit[name] for name in ("validation_steps",) if name in problem.fit}
    history = model.fit(
        **training_arguments(problem, seed, 1, problem.epochs),
        **given,
        epochs=problem.epochs,
        validation_data=validation.packed() if isinstance(validation, Arrays) else validation,
        validation_batch_size=problem.validation_batch_size,
        callbacks=[*problem.callbacks, keep],
        verbose=0,
    ).history
    epochs = range(len(history["loss"]))
    return [{name: values[epoch] for name, values in history.items()} for epoch in epochs], state


def read_state(model: Any) -> list[np.ndarray[Any, Any]]:
    """All variables of a training, as a snapshot holds them."""
    return state_in(write_snapshot(model, Position(epoch=0, phase=1)))


def _picked(part: Any, order: Any) -> Any:
    return None if part is None else keras.tree.map_structure(lambda array: np.asarray(array)[order], part)


def weights_in(snapshot: bytes, model: Any) -> list[np.ndarray[Any, Any]]:
    """Read the model's variables out of a snapshot, where they come first."""
    with np.load(io.BytesIO(snapshot)) as stored:
        return [stored[f"variable_{index}"] for index in range(len(model.variables))]


def state_in(snapshot: bytes) -> list[np.ndarray[Any, Any]]:
    """Read all variables out of a snapshot, the optimizer's too."""
    with np.load(io.BytesIO(snapshot)) as stored:
        names = [name for name in stored.files if name.startswith("variable_")]
        return [stored[f"variable_{index}"] for index in range(len(names))]


def largest_difference(curve: Sequence[Mapping[str, float]], epochs: Sequence[Epoch]) -> float:
    """Compare two curves in every metric of the first."""
    assert len(curve) == len(epochs)
    pairs = zip(curve, epochs, strict=True)
    return max(abs(logs[name] - epoch.metrics[name]) for logs, epoch in pairs for name in logs)


def allowed_ulps(optimizer: str, arguments: Mapping[str, Any]) -> int:
    """Give the rounding in which a program may differ from fit: none, but for two.

    In fit's graph their numbers are constants, with which TensorFlow calculates in another order.
    """
    if optimizer == "RMSprop" and arguments.get("centered"):
        return 2
    more = arguments.keys() - {"learning_rate"}
    return 2 if optimizer == "Adafactor" and more else 0


def curve_ulps(curve: Sequence[Mapping[str, float]], epochs: Sequence[Epoch]) -> float:
    """Compare two curves; the largest difference of a metric, in float32 steps at its value."""
    assert len(curve) == len(epochs)
    pairs = zip(curve, epochs, strict=True)
    return max(
        ulps(np.float32(epoch.metrics[name]), np.float32(np.squeeze(logs[name])))
        for logs, epoch in pairs
        for name in logs
    )


def ulps(own: Any, other: Any) -> float:
    """The largest difference of two arrays, in steps of their type at the largest value of the second."""
    own, other = np.asarray(own), np.asarray(other)
    assert own.shape == other.shape and own.dtype == other.dtype
    if np.array_equal(own, other):
        return 0.0
    step = np.spacing(np.max(np.abs(other))) if own.dtype.kind == "f" else 1
    return float(np.max(np.abs(own.astype(float) - other.astype(float))) / step)
