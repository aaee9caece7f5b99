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

import numpy as np
import numpy.typing as npt

from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS
from optselect.search.spec.dimension import Dimension

Numbers = npt.NDArray[np.float64]
FOLDER = Path(__file__).parent / "tables"


def kept_epochs(epochs: int) -> tuple[int, ...]:
    """The epochs whose scores a table keeps: where a pruner might ask, and the last one.

    >>> kept_epochs(25)
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

    @property
    def kept(self) -> tuple[int, ...]:
        return kept_epochs(self.epochs)


# --- files ----------------------------------------------------------------------------------------------


def path_of(problem: str, optimizer: str) -> Path:
    return FOLDER / problem / f"{optimizer}.npz"


def save_branch(branch: Branch, epochs: int, untrained: Numbers, path: Path) -> None:
    """One compressed file; losses in float32, and only of runs that were made."""
    trained = np.arange(branch.ended.shape[1]) < branch.seeds[:, None]
    head = {"epochs": epochs, "dimensions": [dimension.model_dump() for dimension in branch.dimensions]}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        head=np.array(json.dumps(head)),
        untrained=untrained.astype(np.float32),
        points=branch.points.astype(np.float32),
        seeds=branch.seeds.astype(np.int16),
        curves=branch.curves[trained].astype(np.float32),
        tests=branch.tests[trained].astype(np.float32),
        ended=branch.ended[trained].astype(np.int16),
    )


def load_table(problem: str, optimizers: Sequence[str] = DEFAULT_OPTIMIZERS) -> Table:
    """All branches of a problem, in the order of the catalogue."""
    branches, epochs, untrained = {}, 0, np.zeros(0)
    for name in optimizers:
        with np.load(path_of(problem, name)) as file:
            head = json.loads(str(file["head"]))
            epochs, untrained = int(head["epochs"]), file["untrained"].astype(float)
            branches[name] = read_branch(file, [Dimension(**given) for given in head["dimensions"]])
    return Table(problem, epochs, untrained, branches)


def read_branch(file: Mapping[str, npt.NDArray[np.generic]], dimensions: Sequence[Dimension]) -> Branch:
    counts = file["seeds"].astype(np.int64)
    trained = np.arange(len(file["untrained"])) < counts[:, None]
    curves, tests = file["curves"].astype(float), file["tests"].astype(float)
    whole = np.full((*trained.shape, curves.shape[1]), math.nan)
    tested, ended = np.full(trained.shape, math.nan), np.zeros(trained.shape, dtype=np.int64)
    whole[trained], tested[trained], ended[trained] = curves, tests, file["ended"]
    return Branch(tuple(dimensions), file["points"].astype(float), counts, whole, tested, ended)
