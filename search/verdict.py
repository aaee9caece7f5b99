"""Which optimizer is best, and may one say so? A winner, a tie, or not enough evidence.

The leader is named by validation costs; how far it is ahead is judged by test costs of the same seeds, which
no choice has seen. Seeds are added only where something is undecided. Looking several times would find a
winner among equals too often, so each look has a level of its own, and together they stay below 5 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from optselect.search.comparing import (
    Interval,
    holm,
    mean_interval,
    p_value,
    seeds_needed,
)

Outcome = Literal["winner", "tie", "not_enough_evidence"]
Relation = Literal["beaten", "equivalent", "ahead", "undecided"]

MARGIN = 0.01
"""Differences below this share of the leader's mean cost do not matter in practice."""
LOOKS: Mapping[int, float] = {5: 0.01, 10: 0.015, 20: 0.025}
"""Seeds after which is judged, and the level of that look. They sum to 5 %, which bounds the whole."""
MOST_SEEDS = max(LOOKS)
FUTILE_FROM = 10
"""Seeds after which a difference that would need twice the most seeds is no longer pursued."""


@dataclass(frozen=True)
class Contender:
    """One configuration on its seeds; costs are the objective turned so that less is better."""

    name: str
    chosen: Mapping[int, float]
    """Validation cost by seed: names the leader."""
    judged: Mapping[int, float]
    """Test cost by seed; the validation cost again where data() gives no test split."""
    diverged: frozenset[int] = frozenset()
    """Seeds on which it exploded; their costs are finite caps."""


@dataclass(frozen=True)
class Comparison:
    """A rival beside the leader; a difference above 0 means that the rival is worse."""

    rival: str
    relation: Relation
    difference: Interval
    p: float
    """Corrected for the number of rivals."""
    seeds: int
    """Common to both."""
    lost_on: int
    """Seeds on which the rival was worse."""
    more_seeds: int
    """About so many would show a difference of this size."""

    @property
    def is_open(self) -> bool:
        """Whether further seeds, up to the most, may still settle it."""
        futile = self.seeds >= FUTILE_FROM and self.seeds + self.more_seeds > 2 * MOST_SEEDS
        return self.relation == "undecided" and self.seeds < MOST_SEEDS and not futile


@dataclass(frozen=True)
class Judgement:
    """What the seeds say."""

    outcome: Outcome
    leader: str
    margin: float
    """In units of cost."""
    comparisons: Mapping[str, Comparison]
    costs: Mapping[str, Interval]
    """Mean judged cost of each contender."""
    contradicted: bool = False
    """Whether test costs are clearly better for another one than for the leader that validation names."""
    tie: tuple[str, ...] = field(default=())

    @property
    def undecided(self) -> tuple[str, ...]:
        return tuple(name for name, found in self.comparisons.items() if found.relation == "undecided")

    @property
    def more_seeds(self) -> int:
        """About so many more seeds would settle what is open."""
        return max((self.comparisons[name].more_seeds for name in self.undecided), default=0)


def judge(contenders: Sequence[Contender], *, margin: float = MARGIN, thin: bool = False) -> Judgement:
    """Compare each contender with the leader, paired by seed.

    Args:
        margin: practical margin as a share of the leader's mean cost.
        thin: too few trials stand behind the configurations for more than "not enough evidence".
    """
    leader = find_leader(contenders)
    delta = margin * abs(mean_interval(list(leader.judged.values())).mean)
    rivals = [contender for contender in contenders if contender is not leader]
    comparisons = compare_all(leader, rivals, delta)
    contradicted = any(found.relation == "ahead" for found in comparisons.values())
    outcome = outcome_of(comparisons.values(), contradicted or thin)
    costs = {c.name: mean_interval(list(c.judged.values())) for c in contenders}
    tie = [name for name, found in comparisons.items() if found.relation != "beaten"]
    return Judgement(
        outcome=outcome,
        leader=leader.name,
        margin=delta,
        comparisons=comparisons,
        costs=costs,
        contradicted=contradicted,
        tie=(leader.name, *tie) if outcome == "tie" else (),
    )


def find_leader(contenders: Sequence[Contender]) -> Contender:
    """The lowest mean validation cost among those that were kept for the most seeds, on their common seeds."""
    most = max(len(contender.chosen) for contender in contenders)
    kept = [contender for contender in contenders if len(contender.chosen) > 0.75 * most]
    common = set.intersection(*(set(contender.chosen) for contender in kept)) or None

    def mean(contender: Contender) -> float:
        seeds = common or contender.chosen.keys()
        return sum(contender.chosen[seed] for seed in seeds) / len(seeds)

    return min(kept, key=mean)


def compare_all(leader: Contender, rivals: Sequence[Contender], delta: float) -> dict[str, Comparison]:
    """Every rival beside the leader, p-values corrected for their number."""
    differences = {rival.name: paired(rival, leader) for rival in rivals}
    adjusted = corrected({name: p_value(given) for name, given in differences.items()})
    return {
        rival.name: compare(rival, leader, differences[rival.name], adjusted[rival.name], delta)
        for rival in rivals
    }


def corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction, but none is larger than the largest p-value as it came.

    Whoever is said to win must beat every rival: that claim is wrong no more often than the weakest of its
    comparisons, so it needs no correction, however many rivals there are.

    >>> corrected({"a": 0.01, "b": 0.04, "c": 0.02})
    {'a': 0.03, 'c': 0.04, 'b': 0.04}
    """
    most = max(p_values.values(), default=1.0)
    return {name: min(p, most) for name, p in holm(p_values).items()}


def paired(rival: Contender, leader: Contender) -> list[float]:
    """The rival's cost less the leader's, on each seed that both have trained on."""
    return [rival.judged[seed] - leader.judged[seed] for seed in sorted(rival.judged.keys() & leader.judged)]


def compare(
    rival: Contender, leader: Contender, differences: Sequence[float], p: float, delta: float
) -> Comparison:
    """One rival beside the leader, its p-value corrected already."""
    interval = mean_interval(differences) if differences else Interval(0.0, -float("inf"), float("inf"))
    stable = not rival.diverged and not leader.diverged
    return Comparison(
        rival=rival.name,
        relation=relation_of(interval, p, len(differences), delta, stable),
        difference=interval,
        p=p,
        seeds=len(differences),
        lost_on=sum(difference > 0 for difference in differences),
        more_seeds=max(1, seeds_needed(differences, delta) - len(differences)) if len(differences) > 1 else 1,
    )


def relation_of(difference: Interval, p: float, seeds: int, delta: float, stable: bool) -> Relation:
    """Beaten needs proof and a difference that matters; an optimizer that explodes is never equivalent."""
    if p < level(seeds) and abs(difference.mean) >= delta:
        return "beaten" if difference.mean > 0 else "ahead"
    if seeds >= min(LOOKS) and stable and (difference.within(delta) or difference == Interval(0.0, 0.0, 0.0)):
        return "equivalent"
    return "undecided"


def level(seeds: int) -> float:
    """The level of a look after so many seeds; fewer than the first look's prove nothing.

    >>> level(4), level(5), level(12), level(30)
    (0.0, 0.01, 0.015, 0.025)
    """
    return max((alpha for look, alpha in LOOKS.items() if look <= seeds), default=0.0)


def outcome_of(comparisons: Iterable[Comparison], barred: bool) -> Outcome:
    """All beaten, or nobody else left: a winner. Nothing that more seeds would settle: a tie."""
    found = list(comparisons)
    if barred:
        return "not_enough_evidence"
    if all(comparison.relation == "beaten" for comparison in found):
        return "winner"
    return "not_enough_evidence" if any(comparison.is_open for comparison in found) else "tie"


def next_look(judgement: Judgement, contenders: Sequence[Contender]) -> dict[str, int]:
    """How many seeds each contender should have had at the next look; empty where nothing is open.

    Only the leader and who is not settled beside it go on.
    """
    open_rivals = [name for name, found in judgement.comparisons.items() if found.is_open]
    if not open_rivals:
        return {}
    seeds = {contender.name: len(contender.judged) for contender in contenders}
    fewest = min(judgement.comparisons[name].seeds for name in open_rivals)
    wanted = min(look for look in LOOKS if look > fewest)
    going_on = (judgement.leader, *open_rivals)
    return {name: wanted for name in going_on if seeds[name] < wanted}
