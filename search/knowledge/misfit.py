"""Is a task unlike the known ones? It is where a model that knows none of them explains the results better.

Both models say beforehand how likely the results are; their ratio is a Bayes factor. On tasks that are held out it
speaks for the known tasks nearly always, on tasks whose learning rates are turned around against them. The limit is
calibrated on both: the shares stand in docs/verdict-measured.md.
"""

from dataclasses import dataclass

from optselect.search.knowledge.posterior import Posterior

FEWEST = 12
"""Results before which nobody can tell."""
LIMIT = 1.5
"""A logarithm of the Bayes factor below which the known tasks are not believed: of held-out tasks 2 % are, after four trials of each optimizer."""
HEARD = 128
"""So many of the first results are asked: by then it is known, and more of them cost time."""


@dataclass(frozen=True)
class Misfit:
    """What speaks for the known tasks, or against them."""

    evidence: float
    """The logarithm of the Bayes factor: above 0 where the known tasks explain the results better."""
    results: int

    @property
    def rings(self) -> bool:
        return self.results >= FEWEST and self.evidence < LIMIT


def misfit_of(learned: Posterior, stranger: Posterior) -> Misfit:
    """Of the same first results under the known tasks, and under none."""
    return Misfit(learned.fit.evidence - stranger.fit.evidence, len(learned.levels))
