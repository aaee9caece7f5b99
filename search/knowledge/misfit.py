"""Is a task unlike the known ones? It rings where the results surprise the model more than a held-out known task would."""

from dataclasses import dataclass

from optselect.search.knowledge.posterior import Posterior

FEWEST = 12
"""Results before which nobody can tell."""
MOST = 1.5
"""The most that the mean squared one-step error may be."""


@dataclass(frozen=True)
class Misfit:
    """What tells a task from the known ones."""

    error: float
    """The mean square of each result's distance from what those before it said, in standard deviations: 1 where all is well."""
    results: int

    @property
    def rings(self) -> bool:
        return self.results >= FEWEST and self.error > MOST


def misfit_of(posterior: Posterior) -> Misfit:
    """Of a study's results under the prior of the known tasks."""
    count = len(posterior.levels)
    return Misfit(float((posterior.fit.whitened**2).mean()) if count else 0.0, count)
