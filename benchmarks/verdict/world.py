"""What would a training have given? A table's answer for any configuration and seed.

A configuration that the table does not hold is answered by the nearest one that it holds. A seed on which that one
was not trained is answered by its own run, moved as the nearest fully trained configuration moves between the seeds.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.verdict.table import Branch, Numbers, Table
from optselect.search.spec.dimension import Choice
from optselect.trials.terms.configuration import BASELINE

OWN = "SGD"
"""The optimizer that the problem files compile with, at its defaults."""
EXPLODED = 11.0
"""How many times the untrained model's loss an exploded run costs: what a study puts in its place."""


@dataclass(frozen=True)
class Run:
    """One training as a table knows it."""

    curve: Mapping[int, float]
    """Validation loss at the kept epochs that it reached."""
    test: float
    ended: int
    """Its last epoch."""
    untrained: float


@dataclass(frozen=True)
class Place:
    """One row of one optimizer."""

    optimizer: str
    row: int


class World:
    """A table that answers for every seed, and the truth about it: means over all seeds."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.curves = {name: filled(branch, branch.curves) for name, branch in table.branches.items()}
        self.tests = {
            name: filled(branch, branch.tests[:, :, None])[:, :, 0] for name, branch in table.branches.items()
        }
        self._validation = {name: self.costs(curves[:, :, -1]) for name, curves in self.curves.items()}
        self._test = {name: self.costs(tests) for name, tests in self.tests.items()}

    @property
    def optimizers(self) -> Sequence[str]:
        return tuple(self.table.branches)

    def place(self, optimizer: str, arguments: Mapping[str, Choice]) -> Place:
        """Where a configuration is found; one without arguments is the last row."""
        if optimizer == BASELINE:
            return Place(OWN, -1)
        return Place(optimizer, self.table.branches[optimizer].nearest(arguments) if arguments else -1)

    def run(self, place: Place, study: int, seed: int) -> Run:
        """The training on a study's seed, which stands for one of the table's, drawn with replacement."""
        drawn = zlib.crc32(f"{study} {seed}".encode()) % len(self.table.untrained)
        branch = self.table.branches[place.optimizer]
        losses = self.curves[place.optimizer][place.row, drawn]
        curve = {
            epoch: float(loss) for epoch, loss in zip(branch.kept, losses, strict=True) if np.isfinite(loss)
        }
        made = drawn if drawn < branch.seeds[place.row] else drawn % int(branch.seeds[place.row])
        ended = self.table.epochs if self.table.epochs in curve else int(branch.ended[place.row, made])
        test = float(self.tests[place.optimizer][place.row, drawn])
        return Run(curve, test, ended, float(self.table.untrained[drawn]))

    # --- the truth ---

    def costs(self, values: Numbers) -> Numbers:
        exploded: Numbers = EXPLODED * self.table.untrained
        return np.where(np.isnan(values), exploded, values)

    def validation(self, place: Place) -> float:
        return float(self.validations_of(place).mean())

    def validations_of(self, place: Place) -> Numbers:
        """Validation losses by seed."""
        losses: Numbers = self._validation[place.optimizer][place.row]
        return losses

    def test(self, place: Place) -> float:
        return float(self.tests_of(place).mean())

    def tests_of(self, place: Place) -> Numbers:
        """Test losses by seed."""
        tests: Numbers = self._test[place.optimizer][place.row]
        return tests

    def best(self, optimizer: str) -> Place:
        """The best configuration that was trained on every seed, by its validation losses."""
        whole = self.table.branches[optimizer].seeds == len(self.table.untrained)
        means = np.where(whole, self._validation[optimizer].mean(axis=1), np.inf)[:-1]
        return Place(optimizer, int(np.argmin(means)))


def filled(branch: Branch, values: Numbers) -> Numbers:
    """The values on all seeds, also where a configuration was trained on the first ones only."""
    seeds, found = values.shape[1], values.copy()
    whole = np.flatnonzero(branch.seeds[:-1] == seeds)  # Keras's defaults, the last row, have no place
    for row in np.flatnonzero(branch.seeds < seeds):
        distances = ((branch.points[whole] - branch.points[row]) ** 2).sum(axis=1)
        near, count = values[whole[np.argmin(distances)]], int(branch.seeds[row])
        for seed in range(count, seeds):
            moved = near[seed] / near[seed % count]
            found[row, seed] = values[row, seed % count] * np.where(np.isfinite(moved), moved, 1.0)
    return found
