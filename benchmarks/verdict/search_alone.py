"""How near to each optimizer's own best does a search come? python -m benchmarks.verdict.search_alone --help

No comparison, no finals: only whether each optimizer was tuned. Whatever is learned is learned of the other tasks.
A search proposes rows of the table, and is told of the very row that answers it.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import optuna
from scipy.stats import qmc

from benchmarks.verdict.learn import learned
from benchmarks.verdict.table import Numbers, Table, load_table, path_of, problem_names
from benchmarks.verdict.world import OWN, Place, World
from optselect.search.knowledge.branches import branches_of
from optselect.search.knowledge.constants import MEASURED, Constants
from optselect.search.knowledge.known_tasks import KnownTasks
from optselect.search.knowledge.levels import Levels, levels_of
from optselect.search.knowledge.posterior import Outlook, Posterior, expected_improvement
from optselect.search.knowledge.prior import Places, Prior, joined

COUNTS = (1, 2, 4, 8, 16)
FAMILIES = (
    frozenset({"diabetes", "diabetes_dropout"}),
    frozenset(
        {
            "digits", "digits_autoencoder", "digits_batchnorm", "digits_conv", "digits_label_noise",
            "digits_large_batch", "digits_linear",
        }
    ),
)  # fmt: skip
"""Tasks on the same rows."""
LEFT_BEHIND = 2.0


@dataclass(frozen=True)
class Arena:
    """One task as a search meets it."""

    world: World
    known: KnownTasks
    """Of other tasks."""
    constants: Constants

    @property
    def optimizers(self) -> Sequence[str]:
        return self.world.optimizers

    @cached_property
    def untrained(self) -> float:
        return float(self.world.table.untrained.mean())

    @cached_property
    def levels(self) -> Levels:
        return levels_of([self.untrained], self.untrained, self.constants)

    @cached_property
    def prior(self) -> Prior:
        space = {name: branch.dimensions for name, branch in self.world.table.branches.items()}
        return Prior(self.known, branches_of(space, self.known), self.constants)

    @cached_property
    def places(self) -> Mapping[str, Places]:
        """Each row's, the last one of Keras's defaults."""
        return {name: self.prior.at(name, points, points) for name, points in self.points.items()}

    @cached_property
    def points(self) -> Mapping[str, Numbers]:
        width, found = self.prior.known_width, {}
        for name, branch in self.world.table.branches.items():
            points = np.vstack([branch.points, self.prior.branches[name].known_place({})])
            found[name] = np.pad(points, ((0, 0), (0, width - points.shape[1])))
        return found

    def loss(self, optimizer: str, row: int, study: int, seed: int) -> float:
        """What the training of a row ends with, on a study's seed."""
        drawn = zlib.crc32(f"{study} {seed}".encode()) % len(self.world.table.untrained)
        return float(self.world.validations_of(Place(optimizer, row))[drawn])

    @cached_property
    def ratios(self) -> Mapping[str, Numbers]:
        """Of each row: its true loss to that of its optimizer's best."""
        found = {}
        for name in self.optimizers:
            best = self.world.validation(self.world.best(name))
            rows = range(len(self.points[name]))
            found[name] = np.array([self.world.validation(Place(name, row)) for row in rows]) / best
        return found


@dataclass
class Found:
    """Rows that a search chose, by optimizer, and which it takes for the best after each."""

    rows: dict[str, list[int]]
    losses: dict[str, list[float]]

    def best(self, optimizer: str, count: int) -> int:
        losses = self.losses[optimizer][:count]
        return self.rows[optimizer][int(np.argmin(losses))]


Search = Callable[[Arena, int, int], Mapping[str, Sequence[int]]]
"""Of an arena, a study's seed and a number of trials: what each optimizer's best is taken to be after each of them."""


# --- searches -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One prediction and what came."""

    optimizer: str
    count: int
    expected: float
    sd: float
    level: float
    is_worst: bool
    """The run is no better than an untrained model, which is where levels end."""


def by_model(
    arena: Arena,
    study: int,
    trials: int,
    steps: list[Step] | None = None,
    posteriors: list[Posterior] | None = None,
) -> Mapping[str, Sequence[int]]:
    """One Gaussian process over all optimizers, a trial of each in each round; the user's own optimizer is the first result."""
    rows: dict[str, list[int]] = {name: [] for name in arena.optimizers}
    chosen: dict[str, list[int]] = {name: [] for name in arena.optimizers}
    runs: list[tuple[str, int, float]] = []
    if OWN in rows:
        runs.append((OWN, len(arena.points[OWN]) - 1, arena.levels.level(arena.loss(OWN, -1, study, 0))))
    for turn in range(trials):
        posterior = posterior_of(arena, runs)
        for name in arena.optimizers:
            places = arena.places[name]
            prediction = posterior.at(places)
            had = [row for owner, row, _ in runs if owner == name]
            wanted = (
                expected_improvement(prediction, prediction.mean[had].min())
                if rows[name]
                else -prediction.mean
            )
            wanted[rows[name]] = -math.inf
            row = int(np.argmax(wanted))
            rows[name].append(row)
            level = arena.levels.level(arena.loss(name, row, study, turn))
            if steps is not None:
                sd = math.hypot(prediction.sd[row], posterior.fit.noise)
                is_worst = level >= arena.levels.most - 1e-9
                steps.append(Step(name, turn, float(prediction.mean[row]), sd, level, is_worst))
        runs += [
            (name, had[-1], arena.levels.level(arena.loss(name, had[-1], study, turn)))
            for name, had in rows.items()
        ]
        posterior = posterior_of(arena, runs)
        if posteriors is not None:
            posteriors.append(posterior)
        for name, had in rows.items():
            tried = had + [row for owner, row, _ in runs[:1] if owner == name]
            best = posterior.at(arena.places[name][np.array(tried)]).mean
            chosen[name].append(tried[int(np.argmin(best))])
    return chosen


def posterior_of(arena: Arena, runs: Sequence[tuple[str, int, float]]) -> Posterior:
    nothing = [arena.places[arena.optimizers[0]][:0]]
    places = joined([arena.places[name][np.array([row])] for name, row, _ in runs] or nothing)
    levels = np.array([level for *_, level in runs])
    outlook = Outlook.of(arena.known, arena.levels.untrained, levels, arena.constants)
    return Posterior(places, levels, outlook)


def by_proposals(
    propose: Callable[[Arena, str, int, Sequence[tuple[int, float]]], int],
    arena: Arena,
    study: int,
    trials: int,
) -> Mapping[str, Sequence[int]]:
    """Each optimizer by itself; its best is that of the lowest single loss."""
    chosen = {}
    for name in arena.optimizers:
        had: list[tuple[int, float]] = []
        best = []
        for turn in range(trials):
            row = propose(arena, name, study, had)
            had.append((row, arena.loss(name, row, study, turn)))
            best.append(min(had, key=lambda one: one[1])[0])
        chosen[name] = best
    return chosen


def at_random(arena: Arena, name: str, study: int, had: Sequence[tuple[int, float]]) -> int:
    order = generator(study, name).permutation(len(arena.points[name]) - 1)
    return int(order[len(had)])


def of_learned_list(arena: Arena, name: str, study: int, had: Sequence[tuple[int, float]]) -> int:
    """The next of a list that covers the known tasks (Metz et al. 2020, arXiv 2002.11887)."""
    return learned_list(arena, name)[len(had)]


def learned_list(arena: Arena, name: str) -> list[int]:
    """Each next row makes the best so far of the known tasks as low as can be, on average."""
    surface = arena.prior.surfaces[name]
    width = len(surface.lengths)
    points = arena.points[name][:, :width] / surface.lengths
    means, differences = surface.at(points)
    regrets = (means[:, None] + differences) * arena.known.spreads
    regrets = np.minimum(regrets - regrets.min(axis=0), math.log(8))
    best, found = np.full(regrets.shape[1], math.log(8)), list[int]()
    for _ in range(max(COUNTS)):
        gains = np.minimum(regrets, best).mean(axis=1)
        gains[found] = math.inf
        found.append(int(np.argmin(gains)))
        best = np.minimum(best, regrets[found[-1]])
    return found


def of_tpe(arena: Arena, name: str, study: int, had: Sequence[tuple[int, float]]) -> int:
    """Six spread trials, then TPE that knows its own optimizer: the product's search until it learned."""
    points = arena.world.table.branches[name].points
    if len(had) < 6:
        spread = qmc.Sobol(points.shape[1], scramble=True, rng=generator(study, name)).random(8)
        return nearest(points, spread[len(had)])
    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=1, seed=1000 * study + len(had))
    optuna_study = optuna.create_study(sampler=sampler)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        f"x{place}": optuna.distributions.FloatDistribution(0, 1) for place in range(points.shape[1])
    }
    for row, loss in had:
        params = {f"x{place}": float(value) for place, value in enumerate(points[row])}
        optuna_study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=loss)
        )
    asked = np.array([*optuna_study.ask(distributions).params.values()])
    return nearest(points, asked)


def of_prior_band(arena: Arena, name: str, study: int, had: Sequence[tuple[int, float]]) -> int:
    """In turn near the learned best, near the best found and anywhere (after PriorBand, arXiv 2306.12370, without its rungs)."""
    points = arena.world.table.branches[name].points
    draw = generator(study, f"{name} {len(had)}")
    kind = len(had) % 3
    if kind == 2:
        return nearest(points, draw.random(points.shape[1]))
    centre = learned_list(arena, name)[0] if kind == 0 else min(had, key=lambda one: one[1])[0]
    middle: Numbers = arena.points[name][centre, : points.shape[1]]
    steps = 0.25 * draw.standard_normal(points.shape[1]) if had else 0.0 * middle
    place: Numbers = np.clip(middle + steps, 0, 1)
    return nearest(points, place)


def nearest(points: Numbers, place: Numbers) -> int:
    return int(np.argmin(((points - place) ** 2).sum(axis=1)))


def generator(study: int, word: str) -> np.random.Generator:
    return np.random.default_rng([study, zlib.crc32(word.encode())])


SEARCHES: Mapping[str, Search] = {
    "one process over all": by_model,
    "learned list": partial(by_proposals, of_learned_list),
    "TPE each": partial(by_proposals, of_tpe),
    "PriorBand-like": partial(by_proposals, of_prior_band),
    "random": partial(by_proposals, at_random),
}


# --- judging --------------------------------------------------------------------------------------------


def ratios(arena: Arena, search: Search, repeats: int, trials: int) -> Numbers:
    """Loss of what is taken for each optimizer's best, to that of its very best: repeats x trials x optimizers."""
    found = np.empty((repeats, trials, len(arena.optimizers)))
    for study in range(repeats):
        chosen = search(arena, study, trials)
        for place, name in enumerate(arena.optimizers):
            found[study, :, place] = arena.ratios[name][[*chosen[name]]]
    return found


def arenas(
    optimizers: Sequence[str],
    names: Sequence[str],
    whole_family: bool = False,
    constants: Constants = MEASURED,
    hidden: Sequence[str] = (),
) -> Iterator[Arena]:
    """Each task with what all other tasks teach, or all that are of no kin to it."""
    tables = whole_tables(optimizers)
    known = learned([*tables.values()], constants)
    for name in names:
        kin = family(name) if whole_family else {name}
        others = known.only(set(tables) - kin - set(hidden))
        yield Arena(World(tables[name]), others, constants)


def whole_tables(optimizers: Sequence[str]) -> dict[str, Table]:
    return {
        name: load_table(name, optimizers)
        for name in problem_names()
        if all(path_of(name, optimizer).exists() for optimizer in optimizers)
    }


def family(task: str) -> frozenset[str]:
    return next((one for one in FAMILIES if task in one), frozenset({task}))
