"""How near to each optimizer's own best does a search come? python -m benchmarks.verdict.search_alone --help

No comparison, no finals: only whether each optimizer was tuned. Whatever is learned is learned of the other tasks.
A search proposes rows of the table, and is told of the very row that answers it.
"""

import math
import multiprocessing
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Annotated, Literal

import numpy as np
import optuna
import typer
from rich.console import Console
from rich.table import Table as Shown
from scipy.stats import norm, qmc, rankdata

from benchmarks.engine import ONE_THREAD
from benchmarks.share import Share
from benchmarks.verdict.learn import learned
from benchmarks.verdict.table import Numbers, Table, load_table, path_of, problem_names
from benchmarks.verdict.world import OWN, Place, World
from optselect.search.knowledge.branches import branches_of
from optselect.search.knowledge.constants import MEASURED, Constants
from optselect.search.knowledge.kin import Kin
from optselect.search.knowledge.known_tasks import KnownTasks
from optselect.search.knowledge.levels import levels_of
from optselect.search.knowledge.misfit import LIMIT, misfit_of
from optselect.search.knowledge.posterior import Outlook, Posterior, Prediction, expected_improvement
from optselect.search.knowledge.prior import Places, Prior, joined
from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS
from optselect.search.spec.space import choose_optimizers

COUNTS = (1, 2, 4, 8, 16)
FAMILIES = (
    frozenset({"diabetes", "diabetes_dropout"}),
    frozenset(
        {
            "digits", "digits_autoencoder", "digits_batchnorm", "digits_conv", "digits_label_noise",
            "digits_large_batch", "digits_linear", "raw_pixels",
        }
    ),
    frozenset(
        {
            "correlated_linear", "friedman", "heavy_tails", "large_targets", "prices", "raw_pixels", "shifted_inputs",
            "tiny_inputs",
        }
    ),
)  # fmt: skip
"""Tasks on the same rows, and those whose inputs or targets are badly scaled."""
LEFT_BEHIND = 2.0
FLOOR = 0.01
"""The second measure takes losses for equal that differ by less than so much of the untrained model's."""

Costs = Literal["losses", "negative", "ranks"]


@dataclass(frozen=True)
class Setting:
    """What is varied."""

    optimizers: tuple[str, ...] = DEFAULT_OPTIMIZERS
    whole_family: bool = False
    """Whether tasks of the same family teach nothing, either."""
    constants: Constants = MEASURED
    costs: Costs = "losses"
    """negative: all losses less twice the untrained one; ranks: of them the model hears the order only."""
    mirrored: bool = False
    """Whether each task's learning rates are turned around, so that it is like no known one."""
    kin: Kin = field(default_factory=dict)
    """By optimizer that no task was trained with: on whom it leans."""


@dataclass(frozen=True)
class Arena:
    """One task as a search meets it."""

    world: World
    known: KnownTasks
    """Of other tasks."""
    setting: Setting

    @property
    def optimizers(self) -> Sequence[str]:
        return self.world.optimizers

    @cached_property
    def untrained(self) -> float:
        return float(self.world.table.untrained.mean())

    def levels(self, losses: Sequence[float]) -> tuple[Numbers, float | None]:
        """What the model hears of losses, and the level of the untrained model."""
        costs = np.array(losses)
        if self.setting.costs == "ranks":
            return norm.ppf((rankdata(costs) - 0.5) / max(len(costs), 1)), None
        less = 2 * self.untrained if self.setting.costs == "negative" else 0.0
        scale = levels_of((costs - less).tolist(), self.untrained - less, self.setting.constants)
        return np.array([scale.level(cost) for cost in costs - less]), scale.untrained

    @cached_property
    def prior(self) -> Prior:
        space = {name: branch.dimensions for name, branch in self.world.table.branches.items()}
        branches = branches_of(space, self.known, self.setting.kin)
        return Prior(self.known, branches, self.setting.constants)

    @cached_property
    def places(self) -> Mapping[bool, Mapping[str, Places]]:
        """Each row's, the last one of Keras's defaults; by whether the known tasks are forgotten."""
        priors = {forgets: replace(self.prior, forgets=forgets) for forgets in (False, True)}
        return {
            forgets: {
                name: prior.at(name, self.known_points[name], points) for name, points in self.points.items()
            }
            for forgets, prior in priors.items()
        }

    @cached_property
    def points(self) -> Mapping[str, Numbers]:
        """In the unit cube of what is searched."""
        width, found = self.prior.own_width, {}
        for name, branch in self.world.table.branches.items():
            points = np.vstack([branch.points, self.prior.branches[name].own_place({})])
            if self.setting.mirrored:
                points[:, 0] = 1 - points[:, 0]
            found[name] = np.pad(points, ((0, 0), (0, width - points.shape[1])))
        return found

    @cached_property
    def known_points(self) -> Mapping[str, Numbers]:
        """In the unit cube of the kin."""
        found = {}
        for name, one in self.prior.branches.items():
            points = self.points[name]
            if not one.is_known:
                arguments = [
                    {
                        d.keyword: d.argument(d.at(float(place)))
                        for d, place in zip(one.dimensions, point, strict=False)
                    }
                    for point in np.clip(points, 0, 1)
                ]
                points = self.prior.table(
                    [one.known_place(given) for given in arguments], self.prior.known_width
                )
            found[name] = points[:, : self.prior.known_width]
        return found

    def loss(self, optimizer: str, row: int, study: int, seed: int) -> float:
        """What the training of a row ends with, on a study's seed."""
        drawn = zlib.crc32(f"{study} {seed}".encode()) % len(self.world.table.untrained)
        return float(self.world.validations_of(Place(optimizer, row))[drawn])

    @cached_property
    def true_losses(self) -> Mapping[str, Numbers]:
        """Of each row, over all seeds."""
        return {
            name: np.array([self.world.validation(Place(name, row)) for row in range(len(self.points[name]))])
            for name in self.optimizers
        }

    def ratios(self, optimizer: str, rows: Sequence[int], floor: float = 0.0) -> Numbers:
        """The true loss of rows to that of the optimizer's best; a floor, a share of the untrained loss, is added to both."""
        added = floor * self.untrained
        best = self.world.validation(self.world.best(optimizer))
        found: Numbers = (self.true_losses[optimizer][[*rows]] + added) / (best + added)
        return found


Search = Callable[[Arena, int, int], Mapping[str, Sequence[int]]]
"""Of an arena, a study's seed and a number of trials: what each optimizer's best is taken to be after each of them."""


# --- searches -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Surprise:
    """One prediction and what came."""

    count: int
    """Trials of the optimizer before it."""
    deviations: float
    """How far the result is from what was expected, in standard deviations."""
    is_worst: bool
    """Whether the run was no better than an untrained model, which is where levels end."""


@dataclass
class Seen:
    """What a study of the model notes beside its choices."""

    surprises: list[Surprise] = field(default_factory=list)
    evidence: list[float] = field(default_factory=list)
    """After each round, for the known tasks."""


def by_model(
    arena: Arena, study: int, trials: int, seen: Seen | None = None, answers_alarm: bool = True
) -> Mapping[str, Sequence[int]]:
    """One Gaussian process over all optimizers, a trial of each in each round; the user's own optimizer is the first result."""
    seen = Seen() if seen is None else seen
    rows: dict[str, list[int]] = {name: [] for name in arena.optimizers}
    chosen: dict[str, list[int]] = {name: [] for name in arena.optimizers}
    runs = [(OWN, len(arena.points[OWN]) - 1, arena.loss(OWN, -1, study, 0))] if OWN in rows else []
    model = modelled(arena, runs, answers_alarm)
    for turn in range(trials):
        predicted = {name: model.predicted(name) for name in arena.optimizers}
        for name, prediction in predicted.items():
            had = model.rows(name)
            if rows[name]:
                aim = prediction.mean[had].min() - arena.setting.constants.margin
                wanted = expected_improvement(prediction, aim)
            else:
                wanted = -prediction.mean
            wanted[rows[name]] = -math.inf
            rows[name].append(int(np.argmax(wanted)))
            runs.append((name, rows[name][-1], arena.loss(name, rows[name][-1], study, turn)))
        levels, untrained = arena.levels([loss for *_, loss in runs])
        for (name, row, _), level in zip(runs[-len(rows) :], levels[-len(rows) :], strict=True):
            prediction = predicted[name]
            sd = math.hypot(prediction.sd[row], model.posterior.fit.noise)
            is_worst = untrained is not None and level >= untrained
            seen.surprises.append(Surprise(turn, (level - prediction.mean[row]) / sd, is_worst))
        model = modelled(arena, runs, answers_alarm)
        seen.evidence.append(model.evidence)
        for name in rows:
            tried = model.rows(name)
            chosen[name].append(tried[int(np.argmin(model.predicted(name).mean[tried]))])
    return chosen


@dataclass(frozen=True)
class Modelled:
    """What the model makes of some runs."""

    arena: Arena
    runs: Sequence[tuple[str, int, float]]
    posterior: Posterior
    evidence: float
    forgets: bool

    def predicted(self, optimizer: str) -> Prediction:
        return self.posterior.at(self.arena.places[self.forgets][optimizer])

    def rows(self, optimizer: str) -> list[int]:
        return [row for name, row, _ in self.runs if name == optimizer]


def modelled(arena: Arena, runs: Sequence[tuple[str, int, float]], answers_alarm: bool) -> Modelled:
    taught, untaught = (posterior_of(arena, runs, forgets) for forgets in (False, True))
    misfit = misfit_of(taught, untaught)
    forgets = answers_alarm and misfit.rings
    return Modelled(arena, tuple(runs), untaught if forgets else taught, misfit.evidence, forgets)


def posterior_of(arena: Arena, runs: Sequence[tuple[str, int, float]], forgets: bool) -> Posterior:
    places = arena.places[forgets]
    nothing = [places[arena.optimizers[0]][:0]]
    levels, untrained = arena.levels([loss for *_, loss in runs])
    outlook = Outlook.of(arena.known, untrained, levels, arena.setting.constants)
    return Posterior(
        joined([places[name][np.array([row])] for name, row, _ in runs] or nothing), levels, outlook
    )


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
    regrets = surface.at(arena.known_points[name][:, : len(surface.lengths)]) * arena.known.spreads
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
        return nearest(points, draw.random(points.shape[1:]))
    centre = learned_list(arena, name)[0] if kind == 0 else min(had, key=lambda one: one[1])[0]
    middle: Numbers = arena.points[name][centre, : points.shape[1]]
    steps = 0.25 * draw.standard_normal(points.shape[1]) if had else 0.0 * middle
    place: Numbers = np.clip(middle + steps, 0, 1)
    return nearest(points, place)


def nearest(points: Numbers, place: Numbers) -> int:
    return int(np.argmin(((points - place) ** 2).sum(axis=1)))


def generator(study: int, word: str) -> np.random.Generator:
    return np.random.default_rng([study, zlib.crc32(word.encode())])


MODEL = "one model over all"
SEARCHES: Mapping[str, Search] = {
    MODEL: by_model,
    "learned list": partial(by_proposals, of_learned_list),
    "TPE each": partial(by_proposals, of_tpe),
    "PriorBand-like": partial(by_proposals, of_prior_band),
    "random": partial(by_proposals, at_random),
}


# --- judging --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What a search came to on one task."""

    task: str
    ratios: Numbers
    """Repeats x trials x optimizers."""
    floored: Numbers
    """The same by the second measure."""
    surprises: Sequence[Surprise] = ()
    evidence: Numbers | None = None
    """Repeats x trials, of the model."""


def found_by(name: str, arena: Arena, repeats: int, trials: int) -> Found:
    shape = (repeats, trials, len(arena.optimizers))
    plain, floored, seen = np.empty(shape), np.empty(shape), [Seen() for _ in range(repeats)]
    for study in range(repeats):
        search = partial(by_model, seen=seen[study]) if name == MODEL else SEARCHES[name]
        chosen = search(arena, study, trials)
        for place, optimizer in enumerate(arena.optimizers):
            plain[study, :, place] = arena.ratios(optimizer, chosen[optimizer])
            floored[study, :, place] = arena.ratios(optimizer, chosen[optimizer], FLOOR)
    surprises = [one for study in seen for one in study.surprises]
    evidence = np.array([study.evidence for study in seen]) if name == MODEL else None
    return Found(arena.world.table.name, plain, floored, surprises, evidence)


def arena_of(task: str, known: KnownTasks, setting: Setting) -> Arena:
    """A task with what all other tasks teach, or all that are not of its family."""
    kin = family(task) if setting.whole_family else {task}
    others = known.only(set(known.names) - kin).without_optimizers(setting.kin)
    return Arena(World(load_table(task, setting.optimizers)), others, setting)


def whole_tables(optimizers: Sequence[str]) -> dict[str, Table]:
    return {
        name: load_table(name, optimizers)
        for name in problem_names()
        if all(path_of(name, optimizer).exists() for optimizer in optimizers)
    }


def family(task: str) -> frozenset[str]:
    return frozenset({task}).union(*(one for one in FAMILIES if task in one))


def searched(
    task: str, known: KnownTasks, names: Sequence[str], setting: Setting, repeats: int, trials: int
) -> dict[str, Found]:
    """All searches on one task."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arena = arena_of(task, known, setting)
    return {name: found_by(name, arena, repeats, trials) for name in names}


def all_searched(
    tasks: Sequence[str], names: Sequence[str], setting: Setting, repeats: int, trials: int, processes: int
) -> list[dict[str, Found]]:
    os.environ.update(ONE_THREAD)
    known = learned([*whole_tables(setting.optimizers).values()], setting.constants)
    job = partial(searched, known=known, names=names, setting=setting, repeats=repeats, trials=trials)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.map(job, tasks, chunksize=1)


# --- the command ----------------------------------------------------------------------------------------


def main(
    tasks: Annotated[str, typer.Option(help="Tables by commas; all that are whole by default.")] = "",
    searches: Annotated[str, typer.Option(help="By commas.")] = ",".join(SEARCHES),
    optimizers: Annotated[str, typer.Option(help="By commas, SGD among them; or all.")] = ",".join(
        DEFAULT_OPTIMIZERS
    ),
    repeats: Annotated[int, typer.Option(min=1, help="Studies, each with a seed of its own.")] = 20,
    trials: Annotated[int, typer.Option(min=1, help="Of each optimizer.")] = max(COUNTS),
    family: Annotated[bool, typer.Option("--family", help="Tasks of the same family teach nothing.")] = False,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Turn the tasks' learning rates around.")
    ] = False,
    costs: Annotated[Costs, typer.Option(help="What the model hears.")] = "losses",
    kin: Annotated[
        str, typer.Option(help="Optimizers that no task was trained with, and their kin: Nadam:Adam,Lion:")
    ] = "",
    processes: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Print how far each search is from the best of each optimizer."""
    leaning = read_kin(kin)
    chosen = choose_optimizers(optimizers, OWN)
    setting = Setting(chosen, family, MEASURED, costs, mirrored, leaning)
    names = searches.split(",")
    wanted = tasks.split(",") if tasks else [*whole_tables(chosen)]
    found = all_searched(wanted, names, setting, repeats, trials, processes)
    console = Console(width=150)
    counts = [count for count in COUNTS if count <= trials]
    console.print(
        f"{len(wanted)} tasks, {repeats} studies each: left more than 2x behind, % / median ratio to the best"
    )
    console.print(by_search(found, setting, counts))
    if MODEL in names:
        of_model = [one[MODEL] for one in found]
        console.print(by_task(of_model, counts))
        console.print(calibration(of_model))
        console.print(alarms(of_model, counts))


def read_kin(text: str) -> dict[str, tuple[str, str]]:
    """
    >>> read_kin("Nadam:Adam,Lion:")
    {'Nadam': ('Adam', ''), 'Lion': ('', '')}
    """
    pairs = (one.partition(":") for one in filter(None, text.split(",")))
    return {name: (other, "") for name, _, other in pairs}


def by_search(found: Sequence[Mapping[str, Found]], setting: Setting, counts: Sequence[int]) -> Shown:
    """All searches over all tasks; of those that no task was trained with a row of their own."""
    shown = Shown("search", *map(str, counts))
    untaught = [setting.optimizers.index(name) for name in setting.kin]
    for name in found[0]:
        rows = {
            name: [one[name].ratios for one in found],
            f"  less than {FLOOR:.0%} is nothing": [one[name].floored for one in found],
        }
        if untaught:
            rows[f"  {', '.join(setting.kin)} only"] = [one[name].ratios[:, :, untaught] for one in found]
        for title, ratios in rows.items():
            shown.add_row(title, *(cell(ratios, count) for count in counts))
    return shown


def cell(ratios: Sequence[Numbers], count: int) -> str:
    at = np.array([one[:, count - 1] for one in ratios])
    return f"{100 * (at > LEFT_BEHIND).mean():.1f} / {np.median(at):.3f}"


def by_task(found: Sequence[Found], counts: Sequence[int]) -> Shown:
    shown = Shown("task", *map(str, counts), title="The model, task by task")
    for one in found:
        shown.add_row(one.task, *(cell([one.ratios], count) for count in counts))
    return shown


def calibration(found: Sequence[Found]) -> str:
    """How often 90 % intervals of single results hold; those at the end of the scale say nothing."""
    said = [abs(one.deviations) for task in found for one in task.surprises if not one.is_worst]
    tasks = [
        np.mean([abs(one.deviations) < INTERVAL for one in task.surprises if not one.is_worst])
        for task in found
    ]
    share = Share(sum(one < INTERVAL for one in said), len(said))
    return f"90 % intervals hold in {share} % of {len(said)} results; by task {min(tasks):.0%} to {max(tasks):.0%}"


INTERVAL = 1.6449
"""Standard deviations to either side of a 90 % interval."""


def alarms(found: Sequence[Found], counts: Sequence[int]) -> str:
    """How often a task is taken for one that is unlike the known ones."""
    evidence = np.array([one.evidence for one in found])
    shares = [
        f"{100 * (evidence[:, :, count - 1] < LIMIT).mean():.1f} % after {count}"
        for count in counts
        if count > 1
    ]
    rung = [one.task for one in found if one.evidence is not None and np.median(one.evidence[:, 3]) < LIMIT]
    return f"unlike the known tasks: {', '.join(shares)} trials of each; most often after 4: {', '.join(rung) or 'none'}"


if __name__ == "__main__":
    typer.run(main)
