"""Which numbers does the environment give? Read in one place, so that a wrong one is one line before anything begins."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optselect.storage.errors import InvalidVariable

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Bounds:
    """What a variable may say."""

    least: float
    most: float
    is_whole: bool = False

    def holds(self, number: float) -> bool:
        """Whether the variable may be this number; NaN is within no bounds."""
        return self.least <= number <= self.most and (number.is_integer() or not self.is_whole)

    @property
    def words(self) -> str:
        """What must hold, for a sentence."""
        return f"a {'whole ' if self.is_whole else ''}number from {self.least:g} to {self.most:.10g}"


YEAR = 366.0 * 24 * 3600
NUMBERS = {
    "OPTSELECT_GPU_MEGABYTES": Bounds(1, 2**40, is_whole=True),
    "OPTSELECT_LEASE_SECONDS": Bounds(0.001, YEAR),
    "OPTSELECT_OUTAGE_SECONDS": Bounds(0, YEAR),
    "OPTSELECT_SLICE_SECONDS": Bounds(0, YEAR),
    "OPTSELECT_STUCK_SECONDS": Bounds(0.001, YEAR),
    "OPTSELECT_SUPERVISOR": Bounds(1, 2**31, is_whole=True),
    "OPTSELECT_BEGAN": Bounds(0, 2**40),
    "OPTSELECT_WATCHDOG_SECONDS": Bounds(0.001, YEAR),
}
"""Every variable that is read as a number."""


def check_numbers(environment: Environment) -> None:
    """Refuse the first variable that is no number of its kind; raises InvalidVariable."""
    for name in NUMBERS:
        number_in(environment, name, 0.0)


def number_in(environment: Environment, name: str, otherwise: float) -> float:
    """The number of a variable, or another where it is not set; raises InvalidVariable.

    >>> number_in({"OPTSELECT_LEASE_SECONDS": "20"}, "OPTSELECT_LEASE_SECONDS", 60.0)
    20.0
    """
    text = environment.get(name)
    if text is None:
        return otherwise
    number = as_number(text)
    if not NUMBERS[name].holds(number):
        raise InvalidVariable(
            f'{name} must be {NUMBERS[name].words}. Received: "{text}". Set it to one, or leave it unset.'
        )
    return number


def as_number(text: str) -> float:
    """A number as people write it; NaN for anything else, such as the digits that only Python takes.

    >>> as_number("1e3"), as_number("1_000"), as_number("")
    (1000.0, nan, nan)
    """
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
