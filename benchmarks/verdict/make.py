"""How are the tables made? Every run by trials.run_trial: python -m benchmarks.verdict.make [PROBLEM[/OPTIMIZER] ...]

A problem takes two to four minutes of one core; a table that is there is left alone. Who is better is trained on
more seeds, for only these are ever compared: the best quarter of an optimizer's configurations on four seeds, the
best tenth on all.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna
from scipy.stats import qmc

from benchmarks.verdict.table import Branch, Numbers, kept_epochs, path_of, save_branch
from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS
from optselect.search.spec.dimension import Dimension
from optselect.search.spec.space import study_space, suggest_optimizer
from optselect.search.strategy.planning import placed
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.configuration import Configuration, OptimizerConfig
from optselect.trials.terms.outcome import TrialResult
from optselect.trials.training.trainer import run_trial

PROBLEMS = ("diabetes", "friedman", "digits")
CONFIGURATIONS = 256
ROUNDS = ((CONFIGURATIONS, 1), (60, 4), (24, 20))
"""So many of the best are trained on so many seeds."""
SEEDS = 20


def main() -> None:
    wanted = [name.partition("/") for name in sys.argv[1:] or PROBLEMS]
    space = study_space(DEFAULT_OPTIMIZERS, tune="1", trials_per_optimizer=CONFIGURATIONS)
    for problem in dict.fromkeys(name for name, _, _ in wanted):
        laboratory = Laboratory(load_problem(Path(__file__).parent / "problems" / f"{problem}.py"), space)
        some = [optimizer for name, _, optimizer in wanted if name == problem and optimizer]
        for optimizer in some or space:
            if not path_of(problem, optimizer).exists():
                laboratory.make(optimizer)


@dataclass
class Laboratory:
    """Trains one problem, again and again."""

    problem: Problem
    space: Mapping[str, tuple[Dimension, ...]]
    programs: Programs = field(default_factory=Programs)
    untrained: dict[int, float] = field(default_factory=dict)

    def make(self, optimizer: str) -> None:
        """Train an optimizer's table and keep it."""
        began = time.process_time()
        branch = self.branch(optimizer)
        untrained = np.array([self.untrained[seed] for seed in range(SEEDS)])
        save_branch(branch, self.problem.epochs, untrained, path_of(self.problem.name, optimizer))
        seconds = time.process_time() - began
        print(
            f"{self.problem.name}/{optimizer}: {branch.seeds.sum()} runs, {seconds:.0f} s of CPU", flush=True
        )

    def branch(self, optimizer: str) -> Branch:
        dimensions = self.space[optimizer]
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
        return Branch(dimensions, points, counts, curves, tests, ended)

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
        self.untrained[seed] = result.initial["val_chosen"]
        return result


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
    chosen = np.array([seen.get(epoch, {}).get("val_chosen", np.nan) for epoch in kept])
    return chosen, float(seen.get(kept[-1], {}).get("val_judged", np.nan))


if __name__ == "__main__":
    main()
