"""Which numbers does the model stand on? Chosen on two thirds of the known tasks and judged on the others.

How each was chosen and what others gave: docs/verdict-measured.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

LENGTHS: Mapping[str, float] = MappingProxyType(
    {"learning_rate": 0.13, "momentum": 0.45, "rho": 0.5, "beta_1": 0.5, "beta_2": 0.6, "weight_decay": 0.6}
)


@dataclass(frozen=True)
class Constants:
    """Shares of a range, and standard deviations in standardised levels unless something else is said."""

    lengths: Mapping[str, float] = field(default_factory=lambda: dict(LENGTHS))
    """Over so much of an argument's range levels are alike."""
    other_length: float = 0.5
    """The same of an argument that is not among the lengths."""
    shared: float = 0.75
    """The share of the known tasks' own variance that a new task has along the directions in which they differ."""
    moved: float = 0.3
    """The same along the known tasks with all learning rates moved."""
    moves: tuple[float, ...] = (-0.15, 0.15)
    """By so much of the range, which is half a decade or more."""
    rest: float = 0.6
    """By how much an optimizer's levels differ from all that the known tasks together can tell."""
    further: float = 0.3
    """By how much arguments change the levels that no task was trained with, and ranges beyond the known ones."""
    kin: float = 0.6
    """By how much a class may differ from its kin, in shape, and as much in height."""
    stranger: float = 1.2
    """By how much the levels of a class without kin differ from the mean, in shape, and as much in height."""
    floor: float = 1e-4
    """Losses that differ by less than so much of the untrained model's count as equal."""
    cap: float = 0.405
    """A run counts as worse than the untrained model by so much at most, in logarithms: 1.5 times its loss."""
    height_sd: float = 2.0
    """The height's own standard deviation is taken so many times: a new task may be easier than all known ones."""
    spread_sd: float = 0.3
    """The spread's standard deviation is taken to be this at least, in logarithms."""
    margin: float = 0.01
    """What is better by less, in logarithms, is not worth a training."""
    noise: float = 0.08
    noise_sd: float = 1.0
    """The noise of a run in logarithms, and how far it may be from that, in logarithms of it."""


MEASURED = Constants()
