"""What is expected of a configuration before anything of its task was trained?

The known tasks' mean at its place, and as much as they differ from it there: a new task is the mean, plus a weight for
each of them times its difference, plus a rest of each optimizer that follows none of them. So what is found of one
optimizer tells of all others in the way in which it did on the known tasks.

The learning rate is the first dimension of every known optimizer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from optselect.search.knowledge.branches import Branch
from optselect.search.knowledge.constants import MEASURED, Constants
from optselect.search.knowledge.known_tasks import KnownTasks, Numbers, Surface
from optselect.search.spec.dimension import Choice

Integers = npt.NDArray[np.int64]
NOBODY = -1
JITTER = 1e-3
"""What is added to the variance of a known level, so that surfaces can be inverted."""


@dataclass(frozen=True)
class Places:
    """Configurations as the prior sees them, n of them; levels are standardised."""

    mean: Numbers
    """What the known tasks say on average."""
    factors: Numbers
    """How a task may differ from that: n x directions."""
    kin: Integers
    """Whose rest each shares, as a number of a known optimizer; NOBODY's is none."""
    known: Numbers
    """Coordinates among the kin's, in lengths."""
    rest: Numbers
    """Standard deviation of the rest that kin share."""
    branch: Integers
    own: Numbers
    """Coordinates among the branch's own, in lengths."""
    shape: Numbers
    """Standard deviation of the branch's own shape; 0 where all of it is known."""
    height: Numbers
    """The same of its own height."""

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, chosen: npt.NDArray[np.generic] | slice) -> "Places":
        return Places(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def variance(self) -> Numbers:
        """Of each place by itself."""
        sums: Numbers = (self.factors**2).sum(axis=1) + self.rest**2 + self.shape**2 + self.height**2
        return sums

    def covariance(self, others: "Places") -> Numbers:
        """Between these and others, n x m."""
        found: Numbers = self.factors @ others.factors.T
        akin = (self.kin[:, None] == others.kin[None]) & (self.kin[:, None] != NOBODY)
        found += akin * np.outer(self.rest, others.rest) * matern(self.known, others.known)
        if self.shape.any() and others.shape.any():
            same = self.branch[:, None] == others.branch[None]
            shapes = np.outer(self.shape, others.shape) * matern(self.own, others.own)
            found += same * (shapes + np.outer(self.height, others.height))
        return found


def joined(parts: Sequence[Places]) -> Places:
    """One after the other."""
    return Places(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Places.__dataclass_fields__)
    )


def matern(places: Numbers, others: Numbers) -> Numbers:
    """Matérn's correlation with smoothness 3/2 (Rasmussen and Williams 2006, equation 4.17); places are in lengths."""
    squares = (places**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None] - 2 * places @ others.T
    distances = np.sqrt(3 * np.maximum(squares, 0.0))
    correlations: Numbers = (1 + distances) * np.exp(-distances)
    return correlations


@dataclass(frozen=True)
class Prior:
    """What the known tasks say of the branches of a study."""

    known: KnownTasks
    branches: Mapping[str, Branch]
    constants: Constants = MEASURED
    forgets: bool = False
    """Whether the known tasks say nothing, as of a task that is like none of them."""

    def places(self, branch: str, arguments: Sequence[Mapping[str, Choice]]) -> Places:
        """Of so many configurations of one branch."""
        one = self.branches[branch]
        known = self.table([one.known_place(given) for given in arguments], self.known_width)
        own = self.table([one.own_place(given) for given in arguments], self.own_width)
        return self.at(branch, known, own)

    def at(self, branch: str, known: Numbers, own: Numbers) -> Places:
        """Of coordinates: among the kin's and among the branch's own, padded to the widest ones."""
        one, count, constants = self.branches[branch], len(known), self.constants
        if one.kin is None or self.forgets:
            means, factors = np.full(count, self.overall_mean), np.zeros((count, self.directions))
            rest, kin = 0.0, NOBODY
        else:
            surface = self.surfaces[one.kin_name]
            means, factors = self.means_and_factors(surface, known[:, : len(surface.lengths)])
            known, rest = known / padded(surface.lengths, self.known_width), constants.rest
            kin = list(self.known.surfaces).index(one.kin_name)
        shape, height = self.strangeness(one)
        return Places(
            mean=means,
            factors=factors,
            kin=np.full(count, kin),
            known=known,
            rest=np.full(count, rest),
            branch=np.full(count, list(self.branches).index(branch)),
            own=own / padded(lengths_of(one.own_keywords, constants), self.own_width),
            shape=np.full(count, shape),
            height=np.full(count, height),
        )

    def strangeness(self, branch: Branch) -> tuple[float, float]:
        """By how much a branch may differ from what is known, in shape and in height."""
        constants = self.constants
        if branch.kin is None or self.forgets:
            return constants.stranger, constants.stranger
        if not branch.is_known:
            return constants.kin, constants.kin
        return (constants.further, 0.0) if branch.has_more else (0.0, 0.0)

    def means_and_factors(self, surface: "Interpolated", places: Numbers) -> tuple[Numbers, Numbers]:
        """The known tasks' mean, and all directions in which a new task may differ from it: n and n x directions.

        A new task is one more of the same kind; and it may be one of them whose learning rates are all higher, or lower.
        """
        constants, tasks = self.constants, len(self.known.names)
        levels = surface.at(places)
        means = levels.mean(axis=1)
        factors = [math.sqrt(constants.shared / max(tasks - 1, 1)) * (levels - means[:, None])]
        share = math.sqrt(constants.moved / (tasks * len(constants.moves) or 1))
        for move in constants.moves:
            moved = places.copy()
            moved[:, 0] = np.clip(places[:, 0] + move, 0.0, 1.0)
            factors.append(share * (surface.at(moved) - means[:, None]))
        return means, np.hstack(factors)

    @property
    def directions(self) -> int:
        return len(self.known.names) * (1 + len(self.constants.moves))

    @cached_property
    def surfaces(self) -> Mapping[str, "Interpolated"]:
        names = {one.kin_name for one in self.branches.values() if one.kin is not None}
        return {name: interpolated(self.known.surfaces[name], self.constants) for name in sorted(names)}

    @cached_property
    def overall_mean(self) -> float:
        """Of what nobody knows: as all optimizers are on average."""
        return float(np.mean([one.levels.mean() for one in self.known.surfaces.values()] or [0.0]))

    @cached_property
    def known_width(self) -> int:
        return max((len(one.kin.dimensions) for one in self.branches.values() if one.kin), default=1)

    @cached_property
    def own_width(self) -> int:
        return max((len(one.own_keywords) for one in self.branches.values()), default=0) or 1

    def table(self, rows: Sequence[Sequence[float]], width: int) -> Numbers:
        """The rows as one array, filled up with zeros."""
        found = np.zeros((len(rows), width))
        for place, row in enumerate(rows):
            found[place, : len(row)] = row
        return found


@dataclass(frozen=True)
class Interpolated:
    """The surfaces of one optimizer between the places that were trained."""

    lengths: Numbers
    points: Numbers
    """In lengths."""
    middles: Numbers
    """By task."""
    weights: Numbers
    """Points x tasks."""

    def at(self, places: Numbers) -> Numbers:
        """The tasks' levels at places of the unit cube: n x tasks."""
        levels: Numbers = self.middles + matern(places / self.lengths, self.points) @ self.weights
        return levels


def interpolated(surface: Surface, constants: Constants) -> Interpolated:
    lengths = lengths_of([one.keyword for one in surface.dimensions], constants)
    points, middles = surface.points / lengths, surface.levels.mean(axis=1)
    matrix = matern(points, points) + JITTER * np.eye(len(points))
    return Interpolated(
        lengths, points, middles, np.linalg.solve(matrix, (surface.levels - middles[:, None]).T)
    )


def lengths_of(keywords: Sequence[str], constants: Constants) -> Numbers:
    """Over how much of its range an argument changes little; that of a switch's second optimizer is as its own."""
    bare = [keyword.removeprefix("second_") for keyword in keywords]
    return np.array([constants.lengths.get(keyword, constants.other_length) for keyword in bare])


def padded(lengths: Numbers, width: int) -> Numbers:
    return np.concatenate([lengths, np.ones(width - len(lengths))])
