"""How sure is a share that was counted over repeats?"""

from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Share:
    """So many of so many, with Wilson's 95 % interval."""

    hits: int
    repeats: int

    @property
    def value(self) -> float:
        return self.hits / self.repeats if self.repeats else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        if not self.repeats:
            return 0.0, 1.0
        found = stats.binomtest(self.hits, self.repeats).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        """As a table shows it.

        >>> str(Share(3, 100))
        '3.0 % (1.0-8.5)'
        """
        low, high = self.interval
        return f"{self.value:.1%}".replace("%", " %") + f" ({low * 100:.1f}-{high * 100:.1f})"
