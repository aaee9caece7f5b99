"""What happens in one trial? The fastest way that serves it is chosen, and its outcome turned into a result.

ladder.py knows the ways, program_runner.py and fit_runner.py go them, and watch.py sees each epoch.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from optselect.trials.problem.loading import Problem
from optselect.trials.programs.cache import Programs
from optselect.trials.programs.hyperparameter import StructuralUse
from optselect.trials.programs.structure import NoProgram
from optselect.trials.state.snapshot import Position, read_position, restore_snapshot
from optselect.trials.terms.configuration import BASELINE, Configuration, check_arguments
from optselect.trials.terms.errors import ConfigurationError, DeviceLost, SnapshotError, WeightsChanged
from optselect.trials.terms.ladder_step import LadderStep
from optselect.trials.terms.outcome import OUT_OF_MEMORY, RATE_SET_TWICE, Epoch, Outcome, TrialResult
from optselect.trials.terms.user_code import explain, is_users_failure
from optselect.trials.training.choosing import Runner, choose_runner
from optselect.trials.training.device import is_device_lost
from optselect.trials.training.saved_model import save_model
from optselect.trials.training.watch import OnEpochs, Watch

log = logging.getLogger(__name__)

OnModel = Callable[[Epoch, Callable[[], bytes]], None]


def run_trial(
    problem: Problem,
    configuration: Configuration,
    seed: int,
    *,
    epochs: int,
    programs: Programs,
    batch_ends: Collection[int],
    on_epochs: OnEpochs,
    start: bytes | None = None,
    test: bool = False,
    on_model: OnModel | None = None,
    folder: Path | None = None,
) -> TrialResult:
    """Train one configuration from the seed's initial weights, or on from a snapshot.

    `on_epochs` gets the epochs since its last call and a function that gives a snapshot of the moment: about once
    a second of training, at each epoch in `batch_ends`, and at the end. In the middle of a long epoch it gets no
    epochs, and the function raises SnapshotError. What it raises comes out of here; what the user's code or Keras
    raises becomes a failed result, but for a lost GPU, which is DeviceLost. `on_model` gets the last epoch of a
    complete training and a function that gives the model as a .keras file. `folder` is where Keras's own callbacks
    write, a folder for each trial; None: where their paths say. `programs` is the training process's cache of compiled
    programs. Raises ConfigurationError, SnapshotError and WeightsChanged before any training.
    """
    configuration = problem.with_classes(configuration)
    _check_configuration(configuration, epochs)
    new_watch = partial(Watch, configuration, epochs, batch_ends, on_epochs, folder)
    training = _Training(problem, configuration, seed, epochs, programs, start, new_watch)
    try:
        training.run(test)
    except BaseException as error:
        if not _is_failure(error, training.watch):
            raise
        _end_by_failure(training.watch, error, problem.path.parent, configuration)
    watch = training.watch
    watch.report_rest()
    if on_model is not None and watch.outcome is Outcome.COMPLETE and watch.curve:
        on_model(watch.curve[-1], lambda: save_model(training.model, problem, configuration))
    return training.result()


@dataclass
class _Training:
    """One training: what was asked for, and what is known of it so far, for a failure may come at any point."""

    problem: Problem
    configuration: Configuration
    seed: int
    epochs: int
    programs: Programs
    start: bytes | None
    new_watch: Callable[[], Watch]
    watch: Watch = field(init=False)
    step: LadderStep | None = None
    model: Any = None  # once it is trained
    scores: Mapping[str, float] | None = None  # of the test data

    def __post_init__(self) -> None:
        self.watch = self.new_watch()

    def run(self, test: bool) -> None:
        """Train by the fastest way that serves, and score the test data if asked; by another where that one refuses."""
        runner = self._choose()
        try:
            self._train(runner)
        except (NoProgram, StructuralUse) as refusal:
            if self.watch.curve:  # what was reported cannot be trained once more
                raise
            runner = self._choose(refusal)
            self.watch = self.new_watch()
            self._train(runner)
        self.model = runner.model
        if test and self.watch.outcome is Outcome.COMPLETE and self.problem.data.test is not None:
            self.scores = runner.score_test()

    def result(self) -> TrialResult:
        """What came of it."""
        watch, jit = self.watch, self.problem.jit
        curve = tuple(watch.curve)
        return TrialResult(watch.outcome, curve, watch.reason, watch.initial, self.scores, self.step, jit)

    def _choose(self, refusal: NoProgram | StructuralUse | None = None) -> Runner:
        runner, self.step = choose_runner(self.problem, self.configuration, self.seed, self.programs, refusal)
        return runner

    def _train(self, runner: Runner) -> None:
        """Put model and optimizer where the training begins, and train what is left."""
        watch, start = self.watch, self.start
        watch.runner = runner
        watch.set_model(runner.model)
        position = read_position(start) if start is not None else Position(epoch=0, phase=1)
        runner.place(self.configuration.phases[position.phase - 1])
        initial = runner.initial()
        if start is not None:
            restore_snapshot(runner.model, start)
        if position.taken is not None:  # older snapshots do not tell them
            runner.take(position.taken)
        watch.begin(position, initial)
        if watch.epoch < self.epochs:
            runner.train(watch, self.epochs)


def _check_configuration(configuration: Configuration, epochs: int) -> None:
    for config in configuration.phases:
        check_arguments(config)
    earliest = 1
    for switch in configuration.switches:
        if switch.optimizer.optimizer == BASELINE:
            raise ConfigurationError("The second optimizer of a switch must be named. Received: baseline.")
        if not earliest <= switch.epoch < epochs:
            raise ConfigurationError(
                f"A switch must come after an epoch from {earliest} to {epochs - 1}. "
                f"Received: epoch={switch.epoch}."
            )
        if switch.estimates_rate and (switch.optimizer.optimizer != "SGD" or switch.optimizer.schedule):
            raise ConfigurationError(
                "The rule of SWATS finds a rate of SGD without a schedule. "
                f"Received: {switch.optimizer.optimizer}{' with a schedule' * bool(switch.optimizer.schedule)}."
            )
        earliest = switch.epoch + 1


def _end_by_failure(watch: Watch, error: BaseException, folder: Path, configuration: Configuration) -> None:
    """Let the trial fail; a lost GPU is no failure of its."""
    if is_device_lost(error):
        raise DeviceLost(explain(error, folder)) from error
    log.debug("the trial failed", exc_info=error)
    cause = explain_failure(error, folder)
    twice = sets_scheduled_rate(error) and any(config.schedule for config in configuration.phases)
    watch.end(Outcome.FAILED, f"{RATE_SET_TWICE}: {cause}" if twice else cause)


def _is_failure(error: BaseException, watch: Watch) -> bool:
    """Tell a failure of the user's model from what must come out of here."""
    if error is watch.caller_error or isinstance(error, (ConfigurationError, SnapshotError, WeightsChanged)):
        return False
    return is_users_failure(error)


def explain_failure(error: BaseException, folder: Path) -> str:
    """Say in one line why a trial failed; begins with "out of memory" where that was it."""
    cause = explain(error, folder)
    return f"{OUT_OF_MEMORY}: {cause}" if is_out_of_memory(error) else cause


def sets_scheduled_rate(error: BaseException) -> bool:
    """Tell by Keras's words of a rate that cannot be set, and Python's of `optimizer.learning_rate.assign`."""
    words = str(error)
    if isinstance(error, AttributeError):
        return "has no attribute 'assign'" in words
    return isinstance(error, TypeError) and "learning rate is not settable" in words


def is_out_of_memory(error: BaseException) -> bool:
    """Tell by class and by text: XLA and cuDNN raise other classes than TensorFlow's own kernels do."""
    if isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError)):
        return True
    texts = ("out of memory", "oom when allocating", "failed to allocate memory", "cuda_error_out_of_memory")
    return any(text in str(error).lower() for text in texts)
