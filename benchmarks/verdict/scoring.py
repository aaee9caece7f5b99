"""Was a verdict right? Measured against the table's truth, over many repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.share import Share
from benchmarks.verdict.replaying import Verdict
from benchmarks.verdict.world import Place, World
from optselect.search.verdict.comparing import mean_interval
from optselect.trials.terms.configuration import BASELINE

NEAR = 1.05
"""A tie may hold nothing whose best is further behind than this."""
LEFT_BEHIND = 2.0


@dataclass(frozen=True)
class Truth:
    """What an unlimited search on this table would find."""

    best: Mapping[str, Place]
    """Of each optimizer, and the user's own, which is untuned."""
    test: Mapping[str, float]
    validation: Mapping[str, float]
    truly_best: frozenset[str]
    """The best one, and those whose best configuration cannot be told from its on the table's seeds."""
    near: frozenset[str]
    """Whose best is at most 5 % worse."""
    maybe_near: frozenset[str]
    """Whose best the table's seeds do not show to be more than 5 % worse."""

    @property
    def is_tie(self) -> bool:
        return len(self.truly_best) > 1


def truth_of(world: World) -> Truth:
    best = {name: world.best(name) for name in world.optimizers}
    best[BASELINE] = world.place(BASELINE, {})
    test = {name: world.test(place) for name, place in best.items()}
    first = min(test, key=lambda name: test[name])
    alike = {name for name, place in best.items() if not told_apart(world, place, best[first])}
    near = frozenset(name for name in best if test[name] <= NEAR * test[first])
    maybe_near = frozenset(name for name, place in best.items() if not shown_far(world, place, best[first]))
    validation = {name: world.validation(place) for name, place in best.items()}
    return Truth(best, test, validation, frozenset({first} | (alike & near)), near, maybe_near)


def told_apart(world: World, place: Place, other: Place) -> bool:
    differences = world.tests_of(place) - world.tests_of(other)
    return bool(np.any(differences)) and float(stats.ttest_1samp(differences, 0.0).pvalue) < 0.05


def shown_far(world: World, place: Place, other: Place) -> bool:
    """Whether the 95 % interval of what it costs beyond NEAR times the other lies above 0."""
    beyond = world.tests_of(place) - NEAR * world.tests_of(other)
    return mean_interval(beyond).low > 0


@dataclass(frozen=True)
class Score:
    """How often a strategy was right on one problem."""

    right: Share
    right_if_told: Share
    """The same where a tie may hold whoever is not shown to be far."""
    wrong_winner: Share
    winner: Share
    tie: Share
    left_behind: Share
    leader_covered: Share
    differences_covered: Share
    epochs: float


def score(world: World, truth: Truth, verdicts: Sequence[Verdict]) -> Score:
    count = len(verdicts)
    winners = [verdict for verdict in verdicts if verdict.outcome == "winner"]
    behind = [
        is_left_behind(world, truth, verdict, name) for verdict in verdicts for name in world.optimizers
    ]
    leaders = [covered(*verdict.claims[0]) for verdict in verdicts if verdict.claims]
    differences = [covered(*claim) for verdict in verdicts for claim in verdict.claims[1:]]
    return Score(
        right=Share(sum(is_right(truth, verdict, truth.near) for verdict in verdicts), count),
        right_if_told=Share(sum(is_right(truth, verdict, truth.maybe_near) for verdict in verdicts), count),
        wrong_winner=Share(sum(verdict.leader not in truth.truly_best for verdict in winners), count),
        winner=Share(len(winners), count),
        tie=Share(sum(verdict.outcome == "tie" for verdict in verdicts), count),
        left_behind=Share(sum(behind), len(behind)),
        leader_covered=Share(sum(leaders), len(leaders)),
        differences_covered=Share(sum(differences), len(differences)),
        epochs=float(np.mean([verdict.cost for verdict in verdicts])),
    )


def is_right(truth: Truth, verdict: Verdict, bearable: frozenset[str]) -> bool:
    """The winner is a truly best one, or the tie holds one and only what is bearable."""
    named = set(verdict.named)
    return bool(named & truth.truly_best) and named <= bearable


def is_left_behind(world: World, truth: Truth, verdict: Verdict, optimizer: str) -> bool:
    place = verdict.found.get(optimizer)
    return place is None or world.validation(place) > LEFT_BEHIND * truth.validation[optimizer]


def covered(low: float, high: float, true: float) -> bool:
    return low <= true <= high
