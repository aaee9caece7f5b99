"""What do the tables teach? python -m benchmarks.verdict.learn writes search/knowledge/known_tasks.npz of all that are whole."""

import inspect
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.verdict.table import Branch, Table, load_table, path_of, problem_names
from optselect.search.knowledge.branches import OUTSIDE, place_of
from optselect.search.knowledge.constants import MEASURED, Constants
from optselect.search.knowledge.known_tasks import FILE, KnownTasks, Numbers, Surface, write
from optselect.search.knowledge.prior import lengths_of, matern
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.dimension import Choice, Dimension
from optselect.trials.data.whole_file import replacing

MOST_POINTS = {1: 64, 2: 128}
"""So many points of a table are kept by the number of dimensions, else all: the surfaces between them are smooth."""
UNTRUE = 0.3
"""By how much one run of a configuration may mislead about it, in standardised levels: beside a table's own noise."""
BEST = 12
"""Configurations of each optimizer that were trained on all seeds."""


def main(
    to: Annotated[Path, typer.Argument(help="The file; the package's own by default.")] = FILE,
    tasks: Annotated[list[str] | None, typer.Option("--task", help="Only these.")] = None,
) -> None:
    """Make the known tasks of the tables."""
    wanted = tasks or problem_names()
    whole = [name for name in wanted if all(path_of(name, one).exists() for one in CATALOGUE)]
    known = learned([load_table(name, tuple(CATALOGUE)) for name in whole])
    with replacing(to, aside=to.with_suffix(".part")) as file:
        write(known, file)
    print(f"{to}: {len(whole)} tasks, {to.stat().st_size / 1000:.0f} kB")
    for name in sorted(set(wanted) - set(whole)):
        print(f"{name} is left out: its table lacks optimizers")


def learned(tables: Sequence[Table], constants: Constants = MEASURED) -> KnownTasks:
    """What tables of the same optimizers have in common."""
    levels = [task_levels(table, constants) for table in tables]
    heights = np.array([everything(one).mean() for one in levels])
    spreads = np.array([everything(one).std() for one in levels])
    noises = np.array([noise_of(table, constants) for table in tables])
    surfaces = {}
    for name, branch in tables[0].branches.items():
        defaults = defaults_of(name)
        places = np.vstack([branch.points, default_place(branch.dimensions, defaults)])
        known = np.array(
            [
                smoothed(
                    (one[name] - height) / spread, places, table.branches[name], noise / spread, constants
                )
                for table, one, height, spread, noise in zip(
                    tables, levels, heights, spreads, noises, strict=True
                )
            ]
        )
        kept = [*range(MOST_POINTS.get(len(branch.dimensions), len(branch.points))), -1]
        surfaces[name] = Surface(branch.dimensions, defaults, places[kept], known[:, kept])
    untrained = np.array([np.log(table.untrained.mean()) for table in tables])
    versions = {name: version(name) for name in ("tensorflow", "keras")}
    return KnownTasks(
        tuple(table.name for table in tables), surfaces, heights - untrained, spreads, noises, versions
    )


def task_levels(table: Table, constants: Constants) -> dict[str, Numbers]:
    """The logarithm of each configuration's mean loss, no higher than a run that learned nothing."""
    untrained = float(table.untrained.mean())
    return {
        name: np.minimum(
            np.log(branch.true_costs(table.untrained) + constants.floor * untrained),
            np.log(untrained) + constants.cap,
        )
        for name, branch in table.branches.items()
    }


def everything(levels: dict[str, Numbers]) -> Numbers:
    return np.concatenate([*levels.values()])


def noise_of(table: Table, constants: Constants) -> float:
    """The median standard deviation over seeds of those configurations that were trained on all of them."""
    floor = constants.floor * float(table.untrained.mean())
    return float(np.median([*seed_noises(table, floor)]))


def seed_noises(table: Table, floor: float) -> Iterator[float]:
    for branch in table.branches.values():
        whole = np.flatnonzero(branch.seeds[:-1] == len(table.untrained))[:BEST]
        for losses in branch.curves[whole, :, -1]:
            if np.isfinite(losses).all():
                yield float(np.log(losses + floor).std())


def smoothed(levels: Numbers, places: Numbers, branch: Branch, noise: float, constants: Constants) -> Numbers:
    """The levels without the noise of single runs: what a Gaussian process with the prior's lengths makes of them."""
    places = places / lengths_of([one.keyword for one in branch.dimensions], constants)
    middle, variance = levels.mean(), max(float(levels.var()), 0.04)
    alike = variance * matern(places, places)
    noises = max(UNTRUE, noise) ** 2 / branch.seeds
    found: Numbers = middle + alike @ np.linalg.solve(alike + np.diag(noises), levels - middle)
    return found


def defaults_of(optimizer: str) -> dict[str, Choice]:
    """Keras's own values of the constructor's plain arguments."""
    import keras

    parameters = inspect.signature(getattr(keras.optimizers, optimizer).__init__).parameters.values()
    plain = (bool, int, float, type(None))
    return {
        one.name: one.default for one in parameters if isinstance(one.default, plain) and one.name != "name"
    }


def default_place(dimensions: Sequence[Dimension], defaults: dict[str, Choice]) -> Numbers:
    """Where Keras's defaults stand; those outside of the ranges not far from them."""
    return np.clip([place_of(one, {}, defaults) for one in dimensions], -OUTSIDE, 1 + OUTSIDE)


if __name__ == "__main__":
    typer.run(main)
