"""Where does a configuration stand among those that are known?

Each optimizer of a study is a branch. What Keras has, within the ranges that were trained, is known as it is. A class
of one's own or a switch leans on its kin, one known optimizer, and has a shape of its own beside it; so have further
arguments and wider ranges. A class without kin has nothing but a shape of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from optselect.search.knowledge.known_tasks import KnownTasks, Surface
from optselect.search.spec.dimension import Choice, Dimension

OUTSIDE = 0.3
"""So far outside of a known range, in shares of it, does a place count; farther away it stands at that edge."""
WIDER = 0.02
"""A range that goes beyond the known one by more than this share has a shape of its own."""


@dataclass(frozen=True)
class Branch:
    """One optimizer of a study."""

    name: str
    dimensions: tuple[Dimension, ...]
    """What is searched; fixed arguments are not among them."""
    kin: Surface | None
    kin_name: str
    prefix: str = ""
    """Before the names of the arguments that are its kin's: those of a switch's second optimizer."""

    @property
    def is_known(self) -> bool:
        """Whether the branch is an optimizer that was trained, not one that leans on it."""
        return self.name == self.kin_name

    @property
    def has_more(self) -> bool:
        """Whether an argument is searched that no task was trained with, or a range beyond the known one."""
        known = (
            {} if self.kin is None else {f"{self.prefix}{one.keyword}": one for one in self.kin.dimensions}
        )
        return any(is_beyond(one, known.get(one.keyword)) for one in self.dimensions)

    def known_place(self, arguments: Mapping[str, Choice]) -> list[float]:
        """In the unit cube of its kin; what an argument is not given stands at Keras's default."""
        if self.kin is None:
            return []
        return [
            min(max(place_of(one, arguments, self.kin.defaults, self.prefix), -OUTSIDE), 1 + OUTSIDE)
            for one in self.kin.dimensions
        ]

    def own_place(self, arguments: Mapping[str, Choice]) -> list[float]:
        """In the unit cube of what is searched; a choice is a corner of its own, so that any two are equally far apart."""
        defaults = {} if self.kin is None else self.kin.defaults
        found: list[float] = []
        for one in self.dimensions:
            if one.scale == "choice":
                chosen = arguments.get(one.keyword, defaults.get(one.keyword))
                found += [math.sqrt(0.5) * (choice == chosen) for choice in one.choices]
            else:
                found.append(min(max(place_of(one, arguments, defaults), -OUTSIDE), 1 + OUTSIDE))
        return found

    @property
    def own_keywords(self) -> list[str]:
        """The argument behind each coordinate of an own place."""
        return [
            one.keyword
            for one in self.dimensions
            for _ in (one.choices if one.scale == "choice" else (None,))
        ]


def branches_of(
    space: Mapping[str, Sequence[Dimension]],
    known: KnownTasks,
    kin: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> dict[str, Branch]:
    """The branches of a study.

    Args:
        kin: by name of a class that is not known, a known one and the prefix of its arguments (kin.py).
    """
    return {
        name: branch_of(name, dimensions, known, *kin.get(name, (name, "")))
        for name, dimensions in space.items()
    }


def branch_of(name: str, dimensions: Sequence[Dimension], known: KnownTasks, kin: str, prefix: str) -> Branch:
    searched = tuple(one for one in dimensions if one.scale != "fixed")
    surface = known.surfaces.get(kin)
    return Branch(name, searched, surface, kin if surface is not None else "", prefix)


def is_beyond(searched: Dimension, known: Dimension | None) -> bool:
    """Whether a range holds more than what is known of the argument."""
    if known is None or searched.scale == "choice" or searched.choices:
        return known is None
    ends = [place_of(known, {known.keyword: bound}, {}) for bound in searched.keras_bounds()]
    return min(ends) < -WIDER or max(ends) > 1 + WIDER


def place_of(
    dimension: Dimension, arguments: Mapping[str, Choice], defaults: Mapping[str, Choice], prefix: str = ""
) -> float:
    """A coordinate on the scale of the search, which may lie outside of 0 to 1; in the middle where nobody knows it."""
    if prefix + dimension.keyword not in arguments and dimension.keyword not in defaults:
        return 0.5
    value = arguments.get(prefix + dimension.keyword, defaults.get(dimension.keyword))
    try:
        return dimension.place(float(value or 0.0))
    except ValueError:  # the logarithm of nothing, such as no decay; or no number at all
        return 0.5 if isinstance(value, str) else -OUTSIDE
