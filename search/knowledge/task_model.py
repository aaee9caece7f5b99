"""What does a study know of its task, and what would it try next?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from optselect.search.knowledge.branches import Branch
from optselect.search.knowledge.candidates import Candidate, candidates
from optselect.search.knowledge.constants import MEASURED, Constants
from optselect.search.knowledge.known_tasks import KnownTasks
from optselect.search.knowledge.levels import Levels, levels_of
from optselect.search.knowledge.misfit import HEARD, Misfit, misfit_of
from optselect.search.knowledge.posterior import Outlook, Posterior, expected_improvement
from optselect.search.knowledge.prior import Places, Prior, joined
from optselect.search.spec.dimension import Choice


@dataclass(frozen=True)
class Result:
    """One training, as the model hears of it."""

    optimizer: str
    arguments: Mapping[str, Choice]
    """As Keras gets them."""
    cost: float | None
    """Less is better; infinite of one that exploded, None of one that is running."""


@dataclass(frozen=True)
class Proposal:
    """What to try next of one optimizer."""

    optimizer: str
    candidate: Candidate
    gain: float
    """By how much its level is expected to be below the best one."""


@dataclass(frozen=True)
class TaskModel:
    """One model over all optimizers of a study; nothing in it is random but where candidates lie, which a seed decides."""

    branches: Mapping[str, Branch]
    known: KnownTasks
    results: Sequence[Result]
    """In the order of the trials; those of optimizers that are no branch count for nothing."""
    untrained: float | None = None
    """The cost of the untrained model, where it is known."""
    constants: Constants = MEASURED

    def proposal(self, optimizer: str, seed: int, best: float | None = None) -> Proposal:
        """What is expected to gain most on the optimizer's own best, or on a given level.

        Args:
            seed: where candidates lie; two workers that share it propose the same.
        """
        near = [one.arguments for one in self.best_first(optimizer)[:2]]
        offered = candidates(self.branches[optimizer], near, seed)
        places = self.prior.places(optimizer, [one.arguments for one in offered])
        prediction = self.with_running.at(places)
        best = self.best_level(optimizer) if best is None else best
        if best is None:  # nothing is known of it: what is best on average, not what is least certain
            gains = -prediction.mean
        else:
            gains = expected_improvement(prediction, best - self.constants.margin)
        chosen = int(np.argmax(gains))
        return Proposal(optimizer, offered[chosen], float(gains[chosen]))

    def best_proposal(self, optimizers: Sequence[str], seed: int) -> Proposal:
        """What is expected to gain most on the best of all, whichever optimizer it is of."""
        levels = [level for name in optimizers if (level := self.best_level(name)) is not None]
        best = min(levels, default=self.posterior.outlook.height)
        return max((self.proposal(name, seed, best) for name in optimizers), key=lambda one: one.gain)

    def best_level(self, optimizer: str) -> float | None:
        """What the best configuration of an optimizer is taken to be, those among them that run; None without any."""
        own = self.with_running.places.branch == list(self.branches).index(optimizer)
        return float(self.with_running.means[own].min()) if own.any() else None

    def landscape(self, optimizer: str) -> list[tuple[Candidate, float]]:
        """What configurations all over an optimizer's range are expected to cost."""
        spread = candidates(self.branches[optimizer], (), seed=0)
        found = self.posterior.at(self.prior.places(optimizer, [one.arguments for one in spread]))
        return [(one, self.levels.cost(float(level))) for one, level in zip(spread, found.mean, strict=True)]

    # --- what is known ---

    @cached_property
    def told(self) -> list[Result]:
        """The results that say something, and the trials that are running."""
        return [one for one in self.results if one.optimizer in self.branches]

    @cached_property
    def ended(self) -> list[Result]:
        return [one for one in self.told if one.cost is not None]

    @cached_property
    def levels(self) -> Levels:
        costs = [one.cost for one in self.ended if one.cost is not None and math.isfinite(one.cost)]
        return levels_of(costs, self.untrained, self.constants)

    @cached_property
    def taught(self) -> Prior:
        """If the task is like the known ones."""
        return Prior(self.known, self.branches, self.constants)

    @cached_property
    def untaught(self) -> Prior:
        """If it is like none of them: each optimizer must be searched from one end to the other."""
        return replace(self.taught, forgets=True)

    @property
    def prior(self) -> Prior:
        return self.untaught if self.misfit.rings else self.taught

    @cached_property
    def misfit(self) -> Misfit:
        """Whether the task is like the known ones."""
        return misfit_of(self.first_taught, self.first_untaught)

    @cached_property
    def first_taught(self) -> Posterior:
        return self.posterior_under(self.taught, self.ended[:HEARD])

    @cached_property
    def first_untaught(self) -> Posterior:
        return self.posterior_under(self.untaught, self.ended[:HEARD])

    @cached_property
    def posterior(self) -> Posterior:
        """Of what has ended."""
        first = self.first_untaught if self.misfit.rings else self.first_taught
        if len(first.levels) == len(self.ended):
            return first
        return replace(self.posterior_under(self.prior, self.ended), begin=first.top[0])

    def posterior_under(self, prior: Prior, results: Sequence[Result]) -> Posterior:
        levels = np.array([self.levels.level(one.cost) for one in results if one.cost is not None])
        outlook = Outlook.of(self.known, self.levels.untrained, levels, self.constants)
        return Posterior(places_of(prior, results), levels, outlook)

    @cached_property
    def with_running(self) -> Posterior:
        """As if each running trial had ended as expected: nobody else is sent to its place meanwhile."""
        running = [one for one in self.told if one.cost is None]
        if not running:
            return self.posterior
        places = places_of(self.prior, running)
        fit, expected = self.posterior.fit, self.posterior.at(places).mean
        return replace(
            self.posterior,
            places=joined([self.posterior.places, places]),
            levels=np.concatenate([self.posterior.levels, expected]),
            given=(fit.spread, fit.noise),
        )

    def best_first(self, optimizer: str) -> list[Result]:
        """The optimizer's results, by what they are taken to be: one seed's luck counts for little."""
        own = [place for place, one in enumerate(self.ended) if one.optimizer == optimizer]
        return [
            self.ended[place] for place in sorted(own, key=lambda place: float(self.posterior.means[place]))
        ]


def places_of(prior: Prior, results: Sequence[Result]) -> Places:
    """In the order of the results."""
    first = next(iter(prior.branches))
    parts, order = [prior.places(first, [])], list[int]()
    for name in prior.branches:
        own = [place for place, one in enumerate(results) if one.optimizer == name]
        if own:
            parts.append(prior.places(name, [results[place].arguments for place in own]))
            order += own
    return joined(parts)[np.argsort(order)]
