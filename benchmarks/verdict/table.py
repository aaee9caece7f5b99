"""What is a table of training runs, and what does it answer for a configuration that it does not hold?

Each optimizer has Sobol configurations over its space and its Keras defaults (the last row). Every one was trained
on the first seed; the better it was, the more seeds it was trained on. A table is a small world of its own: a study
draws its seeds from the table's, and the truth about a configuration is its mean over them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS
from optselect.search.spec.dimension import Dimension
from optselect.search.strategy.rungs import rungs
from optselect.trials.data.whole_file import replacing

Numbers = npt.NDArray[np.float64]
FOLDER = Path(__file__).parent / "tables"
PROBLEMS = Path(__file__).parent / "problems"
MOST_KEPT = 25
"""So many epochs of a run are kept at most, beside those at which a pruner might ask."""


def problem_names() -> list[str]:
    """The problems that there are; parts.py is what they share."""
    return sorted(file.stem for file in PROBLEMS.glob("*.py") if file.stem != "parts")


def kept_epochs(epochs: int) -> tuple[int, ...]:
    """The epochs whose scores a table keeps: all, of many evenly spread ones, where a pruner might ask, and the last.

    >>> kept_epochs(4), kept_epochs(60)[:5], len(kept_epochs(60))
    ((1, 2, 3, 4), (3, 6, 9, 12, 15), 20)
    """
    step = math.ceil(epochs / MOST_KEPT)
    return tuple(sorted({*range(step, epochs + 1, step), *rungs(epochs), epochs}))


def first_kept(epochs: int) -> tuple[int, ...]:
    """The epochs that the first tables keep, which do not say them.

    >>> first_kept(25)
    (1, 2, 3, 6, 9, 18, 25)
    """
    return (*(epoch for epoch in (1, 2, 3, 6, 9, 18) if epoch < epochs), epochs)


@dataclass(frozen=True)
class Branch:
    """The runs of one optimizer; the last row is that of Keras's defaults."""

    dimensions: tuple[Dimension, ...]
    points: Numbers
    """Configurations in the unit cube of the dimensions."""
    seeds: npt.NDArray[np.int64]
    """So many of the table's seeds, from the first, has each configuration been trained on."""
    curves: Numbers
    """Validation losses by configuration, seed and kept epoch; NaN where a run exploded before, or was not made."""
    tests: Numbers
    """Test losses of the last epoch by configuration and seed."""
    ended: npt.NDArray[np.int64]
    """The last epoch of each run; the exploded ones are those without a finite loss at the last epoch."""
    kept: tuple[int, ...]
    """The epochs of the curves."""
    cpu_seconds: float | None = None
    """What its trainings cost; the first tables do not say."""

    def nearest(self, params: Mapping[str, object]) -> int:
        """The row of the configuration that is closest on the scales of the search."""
        place = [dimension.place(float(str(params[dimension.keyword]))) for dimension in self.dimensions]
        return int(np.argmin(((self.points - np.array(place)) ** 2).sum(axis=1)))

    def true_costs(self, untrained: Numbers) -> Numbers:
        """The mean validation loss of each configuration; an exploded run counts as in a study."""
        return self._means(self.curves[:, :, -1], untrained)

    def true_tests(self, untrained: Numbers) -> Numbers:
        return self._means(self.tests, untrained)

    def _means(self, values: Numbers, untrained: Numbers) -> Numbers:
        filled = np.where(np.isnan(values), 11.0 * untrained, values)
        return np.array([row[:count].mean() for row, count in zip(filled, self.seeds, strict=True)])


@dataclass(frozen=True)
class Table:
    """All runs on one problem."""

    name: str
    epochs: int
    untrained: Numbers
    """The untrained model's validation loss by seed."""
    branches: Mapping[str, Branch]


# --- files ----------------------------------------------------------------------------------------------


def path_of(problem: str, optimizer: str) -> Path:
    return FOLDER / problem / f"{optimizer}.npz"


def save_branch(branch: Branch, epochs: int, untrained: Numbers, path: Path) -> None:
    """One compressed file, whole or not at all; losses in float32, and only of runs that were made."""
    trained = np.arange(branch.ended.shape[1]) < branch.seeds[:, None]
    head = {
        "epochs": epochs,
        "dimensions": [dimension.model_dump() for dimension in branch.dimensions],
        "kept": branch.kept,
        "cpu_seconds": branch.cpu_seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, aside=path.with_suffix(".part")) as file:
        np.savez_compressed(
            file,
            head=np.array(json.dumps(head)),
            untrained=untrained.astype(np.float32),
            points=branch.points.astype(np.float32),
            seeds=branch.seeds.astype(np.int16),
            curves=shortened(branch.curves[trained]),
            tests=branch.tests[trained].astype(np.float32),
            ended=branch.ended[trained].astype(np.int16),
        )


def shortened(curves: Numbers) -> npt.NDArray[np.float32]:
    """The curves in float32, before the last epoch to 12 binary digits: a third less in a file, at most 0.025 % off.

    >>> shortened(np.array([[0.123456789, 0.123456789]])).tolist()
    [[0.123443603515625, 0.12345679104328156]]
    """
    mantissas, exponents = np.frexp(curves)
    rounded: npt.NDArray[np.float32] = np.ldexp(np.round(mantissas * 2**12), exponents - 12).astype(
        np.float32
    )
    rounded[:, -1] = curves[:, -1]
    return rounded


def load_table(problem: str, optimizers: Sequence[str] = DEFAULT_OPTIMIZERS) -> Table:
    """All branches of a problem, in the order of the catalogue."""
    branches, epochs, untrained = {}, 0, np.zeros(0)
    for name in optimizers:
        with np.load(path_of(problem, name)) as file:
            head = head_of(file)
            epochs, untrained = int(head["epochs"]), file["untrained"].astype(float)
            branches[name] = read_branch(file, head)
    return Table(problem, epochs, untrained, branches)


def head_of(file: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Any]:
    """What a branch says of itself."""
    head = json.loads(str(file["head"]))
    return {"kept": first_kept(head["epochs"]), "cpu_seconds": None, **head}


def read_branch(file: Mapping[str, npt.NDArray[np.generic]], head: Mapping[str, Any]) -> Branch:
    counts = file["seeds"].astype(np.int64)
    trained = np.arange(len(file["untrained"])) < counts[:, None]
    curves, tests = file["curves"].astype(float), file["tests"].astype(float)
    whole = np.full((*trained.shape, curves.shape[1]), math.nan)
    tested, ended = np.full(trained.shape, math.nan), np.zeros(trained.shape, dtype=np.int64)
    whole[trained], tested[trained], ended[trained] = curves, tests, file["ended"]
    dimensions, kept = tuple(Dimension(**given) for given in head["dimensions"]), tuple(head["kept"])
    points = file["points"].astype(float)
    return Branch(dimensions, points, counts, whole, tested, ended, kept, head["cpu_seconds"])
