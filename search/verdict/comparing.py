"""How far apart are two optimizers, and how sure is that? Formulae over costs of common seeds; lower is better."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# NumPy and SciPy cost a third of a second: whoever only looks at a study calculates nothing of this.
Values: TypeAlias = "Sequence[float] | npt.NDArray[np.float64]"

CONSTANT = 1e-4
"""Differences that spread by less than this share of their mean are one and the same but for rounding."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """The plus-minus of a sentence."""
        return (self.high - self.low) / 2

    def within(self, margin: float) -> bool:
        """Whether the whole interval is no further from zero than the margin."""
        return -margin <= self.low and self.high <= margin


def shown_share(share: float, form: str = ".0%") -> str:
    """A share as a person reads it: beside a loss of 1e30 it would have thirty digits.

    >>> shown_share(0.123), shown_share(0.0041, ".1%"), shown_share(-0.5, "+.0%"), shown_share(1e28)
    ('12%', '0.4%', '-50%', '1e+30%')
    """
    return f"{share:{form}}" if abs(share) < 100 else f"{100 * share:.2g}%"


def mean_interval(values: Values, level: float = 0.05) -> Interval:
    """Student's interval of a mean: it holds for few values, where a bootstrap is too narrow.

    It leaves out 0 just where p_value is below the level.

    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 6), round(found.high, 6)
    (2.0, -0.484138, 4.484138)
    >>> mean_interval([0.5] * 5, level=0.01)  # nothing is known of its spread
    Interval(mean=0.5, low=-inf, high=inf)
    """
    import numpy as np
    from scipy import special

    count, mean = len(values), float(np.mean(values))
    if is_constant(values):
        half = 0.0 if constant_p(count) < level else math.inf
    else:
        half = float(special.stdtrit(count - 1, 1 - level / 2) * np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def p_value(differences: Values) -> float:
    """The two-sided p-value of paired differences, by Student's test.

    >>> p_value([0.0, 0.0, 0.0]), p_value([0.2, 0.2, 0.2])
    (1.0, 0.25)
    """
    import numpy as np
    from scipy import special

    if is_constant(differences):
        return constant_p(len(differences)) if np.any(differences) else 1.0
    count = len(differences)
    away = abs(np.mean(differences)) / np.std(differences, ddof=1) * math.sqrt(count)
    return float(2 * special.stdtr(count - 1, -away))  # scipy.stats' own, a hundred times as fast


def is_constant(values: Values) -> bool:
    """Whether all values are the same, up to rounding.

    >>> is_constant([0.95 - 0.94, 0.93 - 0.92]), is_constant([0.0, 0.0]), is_constant([0.01, 0.02])
    (True, True, False)
    """
    import numpy as np

    return bool(np.ptp(values) <= CONSTANT * abs(np.mean(values)))


def constant_p(count: int) -> float:
    """The p-value of one and the same difference on every seed: its spread tells nothing, only its signs do.

    >>> constant_p(1), constant_p(5), constant_p(10) < 0.01
    (1.0, 0.0625, True)
    """
    return float(2.0 ** (1 - count))


def best_shares(costs: Mapping[str, Values], draws: int = 10_000) -> dict[str, float]:
    """How often each has the lowest mean when its seeds are drawn again with replacement; no posterior.

    >>> best_shares({"a": [1.0, 1.1, 0.9], "b": [2.0, 2.1, 1.9]})
    {'a': 1.0, 'b': 0.0}
    """
    import numpy as np

    random = np.random.default_rng(0)
    means = [
        np.asarray(values)[random.integers(len(values), size=(draws, len(values)))].mean(axis=1)
        for values in costs.values()
    ]
    counts = np.bincount(np.argmin(means, axis=0), minlength=len(means))
    return {name: float(count) / draws for name, count in zip(costs, counts, strict=True)}


def seeds_needed(differences: Values, margin: float, level: float = 0.05) -> int:
    """Seeds that would show a difference of this size, or one of the margin, in four of five repeats.

    The standard formula for 80 % power, at 5 %: (1.96 + 0.84)**2 * variance / difference**2.
    """
    import numpy as np
    from scipy import special

    size = max(abs(float(np.mean(differences))), margin)
    if size == 0.0:
        return len(differences)
    deviations = float(special.ndtri(1 - level / 2) + special.ndtri(0.8))
    return math.ceil(deviations**2 * float(np.var(differences, ddof=1)) / size**2)


def expected_best(costs: Values, n: int) -> float:
    """The expected lowest cost of n trials drawn without replacement; unbiased where the trials are alike.

    >>> expected_best([3.0, 1.0, 2.0], 1), expected_best([3.0, 1.0, 2.0], 3)
    (2.0, 1.0)
    """
    ordered, total = sorted(costs), len(costs)
    weights = (math.comb(total - place, n - 1) for place in range(1, total + 1))
    return float(
        sum(cost * weight for cost, weight in zip(ordered, weights, strict=True)) / math.comb(total, n)
    )


def budget_curve(costs: Values) -> Iterator[tuple[int, float]]:
    """Trials, and the best that so many of them are expected to find."""
    for n in range(1, len(costs) + 1):
        yield n, expected_best(costs, n)
