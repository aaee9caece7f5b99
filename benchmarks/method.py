"""Trains one workload by one method, in this process, and prints what each trial cost; started by engine.py."""

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import keras
import numpy as np

from benchmarks.bare_loop import bare_costs
from benchmarks.measured import NOTHING, Cost, Measured, Trial, so_far
from benchmarks.workloads import WORKLOADS, Setting, Workload, settings
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs import self_check
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import Configuration, OptimizerConfig
from optselect.trials.terms.outcome import Outcome
from optselect.trials.training.trainer import run_trial

SEED = 1


def main() -> None:
    """METHOD LETTER TRIALS JIT"""
    method, letter, trials, jit = sys.argv[1:]
    workload = WORKLOADS[letter]
    own_jit = method == "optselect" and jit == "on"
    problem = load_problem(resolve_problem(workload.problem), workload.epochs, jit=own_jit)
    measured = METHODS[method](problem, workload, int(trials), jit)
    print(dataclasses.replace(measured, whole=so_far()).to_json())


def by_optselect(problem: Problem, workload: Workload, trials: int, jit: str) -> Measured:
    """As a training process of ours does, without the database."""
    programs = Programs()
    checks: list[Cost] = []

    with timed_checks(checks):
        return measure(lambda setting: train_by_optselect(problem, setting, programs), trials, checks)


def train_by_optselect(problem: Problem, setting: Setting, programs: Programs) -> None:
    """Run one trial, which must be trained by a program, to its end."""
    result = run_trial(
        problem,
        Configuration(OptimizerConfig(setting.optimizer, setting.arguments)),
        SEED,
        epochs=problem.epochs,
        programs=programs,
        batch_ends=(),
        on_epochs=lambda epochs, snapshot: None,
    )
    assert result.outcome is Outcome.COMPLETE, result
    assert result.step is not None and result.step.number == 1, result.step


@contextmanager
def timed_checks(checks: list[Cost]) -> Iterator[None]:
    """Note what the self-check's own fit takes; the program's batches, which trace it, count as the trial's."""
    plain: Any = self_check._by_fit

    def timed(*arguments: object, **given: object) -> Any:
        before = so_far()
        try:
            return plain(*arguments, **given)
        finally:
            checks.append(so_far() - before)

    with mock.patch.object(self_check, "_by_fit", timed):
        yield


def by_fit(problem: Problem, workload: Workload, trials: int, jit: str) -> Measured:
    """What one writes by hand: a fresh model, compiled and fitted, for each trial."""
    arguments = fit_arguments(problem)
    return measure(lambda setting: compiled(problem, setting).fit(**arguments), trials, [])


def compiled(problem: Problem, setting: Setting) -> keras.Model:
    """A fresh model with the setting's optimizer, as compile would have it."""
    model = problem.make_model()
    model.optimizer = getattr(keras.optimizers, setting.optimizer)(**setting.arguments)
    return model


def fit_arguments(problem: Problem) -> dict[str, Any]:
    """What one gives to fit, or to a tuner's search: numpy's arrays."""
    train, validation = (
        keras.tree.map_structure(np.asarray, split.packed())
        for split in (problem.data.train, problem.data.validation)
    )
    return {
        "x": train[0],
        "y": train[1],
        "batch_size": problem.batch_size,
        "epochs": problem.epochs,
        "validation_data": validation,
        "verbose": 0,
    }


def by_keras_tuner(problem: Problem, workload: Workload, trials: int, jit: str) -> Measured:
    """KerasTuner's RandomSearch over the same optimizers; a trial lasts from the end of the one before to its own."""
    import keras_tuner  # the extra `bench` has it; the other methods do without

    ends: list[Cost] = []

    class Timed(keras_tuner.RandomSearch):  # type: ignore[misc]
        def on_trial_end(self, trial: object) -> None:
            super().on_trial_end(trial)
            ends.append(so_far())

    drawn = list(settings(trials))

    def build(choice: keras_tuner.HyperParameters) -> keras.Model:
        # One discrete choice: the same settings as the others', in an order of the tuner's.
        return compiled(problem, drawn[choice.Choice("setting", list(range(trials)))])

    start = so_far()
    with tempfile.TemporaryDirectory() as folder:
        tuner = Timed(build, "val_loss", max_trials=trials, directory=folder, seed=SEED)
        tuner.search(**fit_arguments(problem))
    assert len(ends) == trials, f"{len(ends)} of {trials} trials"
    begins = [start, *ends]
    taken = [Trial("any", False, end - begin) for begin, end in zip(begins, ends, strict=False)]
    return Measured(start, taken, so_far())


def by_bare_loop(problem: Problem, workload: Workload, trials: int, jit: str) -> Measured:
    """Forward, backward and update in one compiled loop, nothing else: what no method can beat. See bare_loop.py."""
    return bare_loop(problem, workload, trials, jit, validates=False)


def by_validating_loop(problem: Problem, workload: Workload, trials: int, jit: str) -> Measured:
    """The same with the validation loss after each epoch, which a search needs."""
    return bare_loop(problem, workload, trials, jit, validates=True)


def bare_loop(problem: Problem, workload: Workload, trials: int, jit: str, *, validates: bool) -> Measured:
    start, taken, seen = so_far(), [], set()
    for setting, cost in bare_costs(problem, workload.epochs, settings(trials), jit == "on", validates):
        taken.append(Trial(setting.label, setting.label not in seen, cost))
        seen.add(setting.label)
    return Measured(start, taken, so_far())


def measure(train: Callable[[Setting], None], trials: int, checks: list[Cost]) -> Measured:
    """Train the drawn settings, one after the other."""
    start, taken, seen = so_far(), [], set()
    for setting in settings(trials):
        checks.clear()
        before = so_far()
        train(setting)
        check = sum(checks, NOTHING)
        taken.append(Trial(setting.label, setting.label not in seen, so_far() - before - check, check))
        seen.add(setting.label)
    return Measured(start, taken, so_far())


METHODS: dict[str, Callable[[Problem, Workload, int, str], Measured]] = {
    "optselect": by_optselect,
    "fit": by_fit,
    "keras-tuner": by_keras_tuner,
    "bare-loop": by_bare_loop,
    "validating-loop": by_validating_loop,
}

if __name__ == "__main__":
    main()
