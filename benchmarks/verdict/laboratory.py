"""How is a branch of a table trained? Every run by trials.run_trial, as in a study.

Who is better is trained on more seeds, for only these are ever compared.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import optuna
from scipy.stats import qmc

from benchmarks.verdict.table import Branch, Numbers, kept_epochs, path_of, save_branch
from optselect.search.spec.dimension import Dimension
from optselect.search.spec.space import suggest_optimizer
from optselect.search.strategy.planning import placed
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.cache import Check, Program, Programs
from optselect.trials.programs.structure import REORDERED
from optselect.trials.terms.configuration import Configuration, OptimizerConfig
from optselect.trials.terms.outcome import Outcome, TrialResult
from optselect.trials.training.trainer import run_trial

CONFIGURATIONS = 256
ROUNDS = ((CONFIGURATIONS, 1), (40, 4), (12, 20))
"""So many of the best are trained on so many seeds. The first three tables have 60 on four and 24 on all."""
SEEDS = 20


@dataclass
class Laboratory:
    """Trains one problem, again and again, in one process."""

    problem: Problem
    space: Mapping[str, tuple[Dimension, ...]]
    programs: Programs = field(default_factory=lambda: LastBitsAside())
    untrained: dict[int, float] = field(default_factory=dict)

    def make(self, optimizer: str) -> Branch:
        """Train an optimizer's branch and keep it."""
        branch = self.branch(optimizer)
        untrained = np.array([self.untrained[seed] for seed in range(SEEDS)])
        save_branch(branch, self.problem.epochs, untrained, path_of(self.problem.name, optimizer))
        return branch

    def branch(self, optimizer: str) -> Branch:
        began, dimensions = time.process_time(), self.space[optimizer]
        points = qmc.Sobol(len(dimensions), scramble=True, rng=0).random(CONFIGURATIONS)
        configs = [config_at(optimizer, self.space, point) for point in points.tolist()]
        configs.append(OptimizerConfig(optimizer, {}))  # Keras's defaults
        kept = kept_epochs(self.problem.epochs)
        shape = (len(configs), SEEDS)
        curves, tests = np.full((*shape, len(kept)), np.nan), np.full(shape, np.nan)
        ended, counts = np.zeros(shape, dtype=np.int64), np.zeros(len(configs), dtype=np.int64)
        for place, seed in self.runs(curves, counts):
            result = self.train(configs[place], seed)
            curves[place, seed], tests[place, seed] = scores(result, kept)
            ended[place, seed] = result.curve[-1].number if result.curve else 1
            counts[place] = seed + 1
        seconds = time.process_time() - began
        return Branch(dimensions, points, counts, curves, tests, ended, kept, seconds)

    def runs(self, curves: Numbers, counts: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Which configuration is trained next, on which seed."""
        defaults = len(counts) - 1
        for best, seeds in ROUNDS:
            means = np.array([curves[place, : max(counts[place], 1), -1].mean() for place in range(defaults)])
            ranked = np.argsort(np.where(np.isnan(means), np.inf, means), kind="stable")[:best]
            for place in (*ranked.tolist(), defaults):
                for seed in range(counts[place], seeds):
                    yield place, seed

    def train(self, config: OptimizerConfig, seed: int) -> TrialResult:
        epochs = self.problem.epochs
        result = run_trial(
            self.problem,
            Configuration(config),
            seed,
            epochs=epochs,
            programs=self.programs,
            batch_ends=(epochs,),
            on_epochs=lambda epochs, snapshot: None,
        )
        if result.outcome is Outcome.FAILED:  # no result, which a table would hold as an explosion
            raise RuntimeError(f"{config.optimizer} on {self.problem.name}: {result.reason}")
        self.untrained[seed] = result.initial["val_chosen"]
        return result


class LastBitsAside(Programs):
    """Programs that hold no number of Muon or ScheduleFreeAdamW: a study compiles each configuration of theirs anew.

    So fit's last bits come out there, for ten times the cost of these small trainings; here losses differ by rounding.
    """

    def structural(self, config: OptimizerConfig) -> frozenset[str]:
        return self.decided_by(config)

    def program(self, problem: Problem, config: OptimizerConfig, epochs: bool, check: Check) -> Program:
        is_exact = config.optimizer not in REORDERED
        return super().program(problem, config, epochs, check if is_exact else lambda program: None)


def config_at(
    optimizer: str, space: Mapping[str, tuple[Dimension, ...]], point: Sequence[float]
) -> OptimizerConfig:
    """What a study would train at a point of the unit cube."""
    params = {"optimizer": optimizer, **placed(optimizer, space[optimizer], point)}
    settings = suggest_optimizer(optuna.trial.FixedTrial(params), space, total_steps=None)
    return OptimizerConfig(settings.optimizer, settings.arguments)


def scores(result: TrialResult, kept: tuple[int, ...]) -> tuple[Numbers, float]:
    """Validation losses of the kept epochs and the last test loss; NaN from where it exploded."""
    seen = {epoch.number: epoch.metrics for epoch in result.curve}
    losses = [*(seen.get(epoch, {}).get("val_chosen", np.nan) for epoch in kept)]
    found = np.array([*losses, seen.get(kept[-1], {}).get("val_judged", np.nan)])
    found[~np.isfinite(found)] = np.nan
    return found[:-1], float(found[-1])
