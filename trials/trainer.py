"""What happens in one trial? Keras's own fit, on our order of rows, watched epoch by epoch.

Keras owns the loop, so that the user's callbacks, train_step and metrics work as they do outside. watch.py sees
each epoch; this file prepares the model, calls fit once and turns what comes out into a result.
"""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.callbacks import fresh_callbacks
from optselect.trials.configuration import BASELINE, Configuration, check_arguments
from optselect.trials.data import Arrays
from optselect.trials.errors import ConfigurationError, SnapshotError
from optselect.trials.initial_weights import assign_values
from optselect.trials.optimizers import build_optimizer, install_optimizer
from optselect.trials.outcome import Outcome, TrialResult
from optselect.trials.problem import Problem
from optselect.trials.snapshot import Position, read_position, restore_snapshot
from optselect.trials.user_code import explain, raised_below
from optselect.trials.watch import OnEpochs, SeededPython, Watch

log = logging.getLogger(__name__)


def run_trial(
    problem: Problem,
    configuration: Configuration,
    seed: int,
    *,
    epochs: int,
    programs: object,
    batch_ends: Collection[int],
    on_epochs: OnEpochs,
    start: bytes | None = None,
    test: bool = False,
) -> TrialResult:
    """Train one configuration from the seed's initial weights, or on from a snapshot.

    `on_epochs` gets the epochs since its last call and a function that gives a snapshot of the moment: about once
    a second of training, at each epoch in `batch_ends`, and at the end. What it raises comes out of here; what the
    user's code or Keras raises becomes a failed result. `programs` is the worker's cache of compiled programs,
    which this trainer does not need. Raises ConfigurationError and SnapshotError before any training.
    """
    _check_configuration(configuration, epochs)
    watch = Watch(configuration, epochs, batch_ends, on_epochs)
    tested = None
    try:
        model = _prepare(problem, configuration, watch, seed, start)
        _fit(model, problem, watch, seed, epochs)
        if test and watch.outcome is Outcome.COMPLETE and problem.data.test is not None:
            tested = evaluate(model, problem, problem.data.test)
    except (Exception, SystemExit) as error:
        if not _is_failure(error, watch, problem.path.parent):
            raise
        log.debug("the trial failed", exc_info=True)
        watch.end(Outcome.FAILED, explain_failure(error, problem.path.parent))
    watch.report_rest()
    return TrialResult(watch.outcome, tuple(watch.curve), watch.reason, watch.initial, tested)


def _check_configuration(configuration: Configuration, epochs: int) -> None:
    check_arguments(configuration.optimizer)
    if (switch := configuration.switch) is None:
        return
    check_arguments(switch.optimizer)
    if switch.optimizer.optimizer == BASELINE:
        raise ConfigurationError("The second optimizer of a switch must be named. Received: baseline.")
    if not 1 <= switch.epoch < epochs:
        raise ConfigurationError(
            f"A switch must come after an epoch from 1 to {epochs - 1}. Received: epoch={switch.epoch}."
        )


def _prepare(
    problem: Problem, configuration: Configuration, watch: Watch, seed: int, start: bytes | None
) -> Any:
    """Make the model with its optimizer and put both where the training begins."""
    model = problem.initial_weights.model_of_seed(seed)
    watch.set_model(model)
    watch.initial = _initial_metrics(model, problem, seed)
    position = read_position(start) if start is not None else Position(epoch=0, phase=1)
    second = configuration.switch.optimizer if configuration.switch and position.phase == 2 else None
    install_optimizer(model, build_optimizer(second or configuration.optimizer, model))
    if start is not None:
        restore_snapshot(model, start)
    watch.place(position)
    return model


def _initial_metrics(model: Any, problem: Problem, seed: int) -> Mapping[str, float]:
    """Score the untrained model, once for each seed; the first epoch's mean would contain an explosion already."""
    if seed not in problem.initial_metrics:
        scores = evaluate(model, problem, problem.data.validation, problem.fit.get("validation_steps"))
        problem.initial_metrics[seed] = {f"val_{name}": value for name, value in scores.items()}
        # A test_step of the user's may have changed variables.
        assign_values(model.variables, problem.initial_weights.of_seed(seed))
    return problem.initial_metrics[seed]


def _fit(model: Any, problem: Problem, watch: Watch, seed: int, epochs: int) -> None:
    """Train the epochs that are left, in one call of fit."""
    if watch.epoch >= epochs:
        return
    watch.users_callbacks = fresh_callbacks(problem.fit.get("callbacks"))
    callbacks = [watch.rate, *watch.users_callbacks, watch]
    if isinstance(problem.data.train, keras.utils.PyDataset):
        callbacks.insert(0, SeededPython(seed))
    validation = problem.data.validation
    model.fit(
        validation_data=validation.packed() if isinstance(validation, Arrays) else validation,
        **_training_arguments(problem, seed, watch.epoch + 1, epochs),
        **{name: problem.fit[name] for name in ("validation_steps",) if name in problem.fit},
        validation_batch_size=validation_batch_size(problem),
        initial_epoch=watch.epoch,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    )


def _training_arguments(problem: Problem, seed: int, first_epoch: int, last_epoch: int) -> dict[str, Any]:
    """Give the training data to fit: arrays as one pipeline in our order of rows, all else as it is."""
    train, fit = problem.data.train, problem.fit
    if isinstance(train, Arrays):
        rows = problem.training_rows
        batches = rows.batches(seed, first_epoch, last_epoch)
        return {"x": batches, "steps_per_epoch": rows.steps, "shuffle": False}
    kept = {name: fit[name] for name in ("steps_per_epoch", "class_weight", "shuffle") if name in fit}
    if isinstance(train, tf.data.Dataset):
        kept["shuffle"] = False  # it brings its own order; True only makes Keras warn
    return {"x": train, **kept}


def validation_batch_size(problem: Problem) -> int | None:
    """Give the batch size for validation and test arrays, as fit would choose it."""
    size = problem.fit.get("validation_batch_size") or problem.batch_size or problem.fit.get("batch_size")
    return None if size is None else int(size)


def evaluate(model: Any, problem: Problem, split: Any, steps: int | None = None) -> dict[str, float]:
    """Score a split, under Keras's own names."""
    arguments: dict[str, Any] = {"x": split}
    if isinstance(split, Arrays):
        parts = zip(("x", "y", "sample_weight"), split.packed(), strict=False)
        arguments = {**dict(parts), "batch_size": validation_batch_size(problem)}
    logs = model.evaluate(**arguments, steps=steps, verbose=0, return_dict=True)
    return {name: float(value) for name, value in logs.items() if np.size(value) == 1}


def _is_failure(error: BaseException, watch: Watch, folder: Path) -> bool:
    """Tell a failure of the user's model from what must come out of here."""
    if error is watch.caller_error or isinstance(error, (ConfigurationError, SnapshotError)):
        return False
    return not isinstance(error, SystemExit) or raised_below(error, folder)


def explain_failure(error: BaseException, folder: Path) -> str:
    """Say in one line why a trial failed; begins with "out of memory" where that was it."""
    cause = explain(error, folder)
    is_memory = isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError))
    return f"out of memory: {cause}" if is_memory else cause
