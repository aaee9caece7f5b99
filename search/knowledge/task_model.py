"""What does a study know of its task, and what would it try next?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from optselect.search.knowledge.branches import Branch
from optselect.search.knowledge.candidates import Candidate, candidates, farthest
from optselect.search.knowledge.constants import MEASURED, Constants
from optselect.search.knowledge.known_tasks import KnownTasks, Numbers
from optselect.search.knowledge.levels import Levels, levels_of
from optselect.search.knowledge.misfit import Misfit, misfit_of
from optselect.search.knowledge.posterior import Outlook, Posterior, expected_improvement
from optselect.search.knowledge.prior import Places, Prior, joined
from optselect.search.spec.dimension import Choice

SPREAD_EVERY = 3
"""Where a task is unlike the known ones, each third trial of an optimizer goes where nobody was."""


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
        branch, own = self.branches[optimizer], self.places_of(optimizer)
        posterior = self.with_running
        known_best = posterior.at(own).mean if len(own) else np.empty(0)
        near = [self.ended[place].arguments for place in self.best_first(optimizer)[:2]]
        offered = candidates(branch, near, seed)
        prediction = posterior.at(self.prior.places(optimizer, [one.arguments for one in offered]))
        if len(known_best) or best is not None:
            gains = expected_improvement(prediction, float(known_best.min()) if best is None else best)
        else:  # nothing is known of it: what is best on average, not what is most uncertain
            gains = posterior.outlook.height - prediction.mean
        chosen = int(np.argmax(gains))
        if self.misfit.rings and len(own) % SPREAD_EVERY == SPREAD_EVERY - 1:
            chosen = farthest(prediction.places.own, own.own)
        return Proposal(optimizer, offered[chosen], float(gains[chosen]))

    def best_proposal(self, optimizers: Sequence[str], seed: int) -> Proposal:
        """What is expected to gain most on the best of all, whichever optimizer it is of."""
        means = self.with_running.at(self.all_places).mean
        best = float(means.min()) if len(means) else self.posterior.outlook.height
        return max((self.proposal(name, seed, best) for name in optimizers), key=lambda one: one.gain)

    # --- what is known ---

    @cached_property
    def told(self) -> list[Result]:
        """The results that say something, and the trials that are running."""
        return [one for one in self.results if one.optimizer in self.branches]

    @property
    def ended(self) -> list[Result]:
        return [one for one in self.told if one.cost is not None]

    @cached_property
    def levels(self) -> Levels:
        costs = [one.cost for one in self.ended if one.cost is not None and math.isfinite(one.cost)]
        return levels_of(costs, self.untrained, self.constants)

    @cached_property
    def usual_prior(self) -> Prior:
        """The known tasks' word."""
        return Prior(self.known, self.branches, self.constants)

    @cached_property
    def usual(self) -> Posterior:
        return self.posterior_under(self.usual_prior)

    @property
    def misfit(self) -> Misfit:
        """How far the results are from what the known tasks said of them."""
        return misfit_of(self.usual)

    @cached_property
    def prior(self) -> Prior:
        """The known tasks' word, which counts for less where the task is unlike them."""
        if not self.misfit.rings:
            return self.usual_prior
        return Prior(self.known, self.branches, self.constants.widened)

    @cached_property
    def posterior(self) -> Posterior:
        """Of what has ended."""
        if not self.misfit.rings:
            return self.usual
        return replace(self.posterior_under(self.prior), begin=self.usual.uphill[0])

    def posterior_under(self, prior: Prior) -> Posterior:
        levels = np.array([self.levels.level(one.cost) for one in self.ended if one.cost is not None])
        outlook = Outlook.of(self.known, self.levels.untrained, levels, prior.constants)
        return Posterior(places_of(prior, self.ended), levels, outlook)

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

    @cached_property
    def all_places(self) -> Places:
        return self.with_running.places

    def places_of(self, optimizer: str) -> Places:
        """Where an optimizer has been, or is."""
        return self.all_places[self.all_places.branch == list(self.branches).index(optimizer)]

    def best_first(self, optimizer: str) -> list[int]:
        """The optimizer's results, as numbers among all that ended, by what they are taken to be."""
        means: Numbers = self.posterior.at(self.posterior.places).mean
        own = [place for place, one in enumerate(self.ended) if one.optimizer == optimizer]
        return sorted(own, key=lambda place: float(means[place]))


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
