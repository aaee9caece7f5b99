"""How far apart are two optimizers, and how sure is that? Formulae over costs of common seeds; lower is better."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Numbers = npt.NDArray[np.float64]
Values = Sequence[float] | Numbers

FEWEST_FOR_SIGNS = 9
"""Seeds from which signs are flipped instead of trusting a normal distribution: with eight, seven rivals can
never be told from the leader, since no p-value is below 2 / 2**8."""
EXACT_UP_TO = 13
"""Seeds whose 2**k patterns of signs are all tried; beyond, 9,999 random ones stand for them."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """The plus-minus of a sentence."""
        return (self.high - self.low) / 2

    def within(self, margin: float) -> bool:
        """Whether the whole interval is closer to zero than the margin."""
        return -margin < self.low and self.high < margin


def mean_interval(values: Values) -> Interval:
    """Student's interval of a mean: it holds for few values, where a bootstrap is too narrow.

    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 6), round(found.high, 6)
    (2.0, -0.484138, 4.484138)
    """
    count, mean = len(values), float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if count > 1 else 0.0
    if spread == 0.0:
        return Interval(mean, mean, mean) if count > 1 else Interval(mean, -math.inf, math.inf)
    half = float(stats.t.ppf(0.975, count - 1)) * spread / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def p_value(differences: Values) -> float:
    """The two-sided p-value of paired differences: Student's below nine of them, else by flipping signs.

    >>> p_value([0.0, 0.0, 0.0])
    1.0
    >>> round(p_value([1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0]), 5)  # 2 of 1,024 patterns
    0.00195
    """
    given = np.asarray(differences, dtype=float)
    if len(given) < 2 or not given.any():
        return 1.0
    if len(given) >= FEWEST_FOR_SIGNS:
        return sign_flip_p(given)
    if np.ptp(given) == 0.0:  # the same difference on every seed
        return 0.0
    return float(stats.ttest_1samp(given, 0.0).pvalue)


def sign_flip_p(differences: Numbers) -> float:
    """How often a random pattern of signs gives as large a mean: exact for few seeds, seeded beyond.

    The same as scipy.stats.permutation_test with permutation_type="samples", in a hundredth of its time.
    """
    count = len(differences)
    if count <= EXACT_UP_TO:
        patterns = ((np.arange(2**count)[:, None] >> np.arange(count)) & 1) * 2.0 - 1.0
    else:
        patterns = np.random.default_rng(0).choice((-1.0, 1.0), size=(9999, count))
    seen = abs(float(differences.sum()))
    hits = int(np.count_nonzero(np.abs(patterns @ differences) >= seen * (1 - 1e-12)))
    return hits / len(patterns) if count <= EXACT_UP_TO else (hits + 1) / (len(patterns) + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction for several comparisons at once.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = highest
    return adjusted


def best_shares(costs: Mapping[str, Values], draws: int = 10_000) -> dict[str, float]:
    """How often each has the lowest mean when its seeds are drawn again with replacement; no posterior.

    >>> best_shares({"a": [1.0, 1.1, 0.9], "b": [2.0, 2.1, 1.9]})
    {'a': 1.0, 'b': 0.0}
    """
    random = np.random.default_rng(0)
    means = [
        np.asarray(values)[random.integers(len(values), size=(draws, len(values)))].mean(axis=1)
        for values in costs.values()
    ]
    counts = np.bincount(np.argmin(means, axis=0), minlength=len(means))
    return {name: float(count) / draws for name, count in zip(costs, counts, strict=True)}


def seeds_needed(differences: Values, margin: float) -> int:
    """Seeds that would show a difference of this size, or one of the margin, in four of five repeats.

    The standard formula for 80 % power at 5 %: (1.96 + 0.84)**2 * variance / difference**2.
    """
    size = max(abs(float(np.mean(differences))), margin)
    if size == 0.0:
        return len(differences)
    return math.ceil((1.96 + 0.84) ** 2 * float(np.var(differences, ddof=1)) / size**2)


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
