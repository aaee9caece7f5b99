"""Which runner trains a configuration? Goes down the ladder until one can."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from optselect.trials.problem.loading import Problem
from optselect.trials.programs import self_check
from optselect.trials.programs.cache import Program, Programs
from optselect.trials.programs.hyperparameter import StructuralUse
from optselect.trials.programs.structure import NoProgram
from optselect.trials.terms.configuration import Configuration, OptimizerConfig
from optselect.trials.terms.errors import TrialsError
from optselect.trials.terms.ladder_step import LadderStep
from optselect.trials.terms.user_code import demand_users_failure, explain
from optselect.trials.training.fit_runner import BoundFitRunner, FitRunner
from optselect.trials.training.ladder import first_step
from optselect.trials.training.program_runner import ProgramRunner
from optselect.trials.training.watch import PlacesOptimizers, Watch

log = logging.getLogger(__name__)


class Runner(PlacesOptimizers, Protocol):
    """One way to train a model."""

    def take(self, values: Mapping[str, float]) -> None:
        """Go on with numbers of the optimizer that callbacks had set before the first batch."""

    def initial(self) -> Mapping[str, float]:
        """Score the untrained model; an optimizer is in place."""

    def score_test(self) -> Mapping[str, float]:
        """Score the trained model on the test data."""

    def train(self, watch: Watch, epochs: int) -> None:
        """Train the epochs that are left."""


def choose_runner(
    problem: Problem,
    configuration: Configuration,
    seed: int,
    programs: Programs,
    gave_up: NoProgram | StructuralUse | None = None,
) -> tuple[Runner, LadderStep]:
    """Give the fastest runner that serves all optimizers of a configuration, on the seed's weights.

    `gave_up` is why one that was given could not go on; it is noted, so that no later trial tries the same.
    """
    configs = list(configuration.phases)
    step = LadderStep(programs.first_step)
    if gave_up is not None:
        reason = NoProgram(str(gave_up))
        for config in configs:
            programs.refuse(config, reason)
        step = LadderStep(reason.step, str(reason))
    while step.number < 4:
        try:
            runner, step = _runner_of_step(step, problem, configs, seed, programs)
            _tell(step)
            return runner, step
        except NoProgram as refusal:
            step = LadderStep(refusal.step if refusal.step > step.number else 4, str(refusal))
        except TrialsError:
            raise
        except BaseException as error:  # whatever user code raises when it is traced: fit will tell
            demand_users_failure(error)
            log.debug("no program", exc_info=True)
            step = LadderStep(4, f"it cannot be compiled as a whole: {explain(error, problem.path.parent)}")
    _tell(step)
    return FitRunner(problem, seed), step


def _tell(step: LadderStep) -> None:
    if step.number > 1:
        log.info("trained by step %d of 4: %s", step.number, step.reason)


def _runner_of_step(
    step: LadderStep, problem: Problem, configs: list[OptimizerConfig], seed: int, programs: Programs
) -> tuple[Runner, LadderStep]:
    bench = programs.bench(problem)
    if step.number == 1:
        first = first_step(bench.model, problem.data, problem.callbacks)
        if first.number > 1:
            raise NoProgram(first.reason, first.number)
        bench.demand_sources()
    epochs = step.number == 1

    def find(config: OptimizerConfig) -> Program:
        check = partial(
            self_check.check, bench=bench, config=config, make=programs.maker(problem, config), seed=seed
        )
        return programs.program(problem, config, epochs, check)

    for config in configs:
        find(config)
    maker = partial(programs.maker, problem)
    if not epochs:
        return BoundFitRunner(bench, seed, find, maker), step
    reason = numbers_in_programs(programs, configs)
    return ProgramRunner(bench, seed, find, maker), (LadderStep(2, reason) if reason else step)


def numbers_in_programs(programs: Programs, configs: Sequence[OptimizerConfig]) -> str:
    """Say which numbers are part of the programs, and why; nothing where none is."""
    if decided_by := sorted(set().union(*map(programs.decided_by, configs))):
        return f"the optimizer's Python code decides by {', '.join(decided_by)}"
    if known := sorted(set().union(*map(programs.structural, configs))):
        return f"TensorFlow calculates otherwise where it knows {', '.join(known)}, as in fit"
    return ""
