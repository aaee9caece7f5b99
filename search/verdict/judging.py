"""Which optimizer is best, and may one say so? A winner, a tie, or not enough evidence.

The leader is named by validation costs; how far it is ahead is judged by test costs of the same seeds, which
no choice has seen. One interval decides on each rival, and it is the one that is shown: it leaves out zero where
the rival is beaten, and it lies within the margin where the two are equal. Seeds are added only where something is
undecided. Looking several times would find a winner among equals too often, so each look has a level of its own, and
together they stay below 5 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optselect.search.verdict.comparing import Interval, is_constant, mean_interval, p_value, seeds_needed

Outcome = Literal["winner", "tie", "not_enough_evidence"]
Relation = Literal["beaten", "equivalent", "ahead", "undecided"]

MARGIN = 0.01
"""Differences below this share of the leader's mean cost do not matter in practice."""
LOOKS: Mapping[int, float] = {5: 0.01, 10: 0.015, 20: 0.025}
"""Seeds after which is judged, and the level of that look. They sum to 5 %, which bounds the whole."""
MOST_SEEDS = max(LOOKS)
FUTILE_FROM = 10
"""Seeds after which a difference that would need twice the most seeds is no longer pursued."""
NOTHING_KNOWN = Interval(0.0, -float("inf"), float("inf"))


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
    """By which the relation is decided."""
    confidence: float
    """With which the interval holds; 1 where nothing bounds it: fewer seeds than the first look's, or one run."""
    p: float
    """Two-sided and not corrected: below 1 - confidence where the interval leaves out 0."""
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
    """Within which two are equal: a share of the leader's mean cost."""
    comparisons: Mapping[str, Comparison]
    costs: Mapping[str, Interval]
    """Mean judged cost of each contender."""
    contradicted: bool = False
    """Whether test costs are clearly better for another one than for the leader that validation names."""

    @property
    def tie(self) -> tuple[str, ...]:
        """The members of a tie, the leader first; else nobody."""
        return (self.leader, *self.named("equivalent")) if self.outcome == "tie" else ()

    @property
    def undecided(self) -> tuple[str, ...]:
        return self.named("undecided")

    def named(self, relation: Relation) -> tuple[str, ...]:
        """Who stands so beside the leader."""
        return tuple(name for name, found in self.comparisons.items() if found.relation == relation)

    @property
    def bound(self) -> float:
        """By so much of its mean cost the leader may be worse than another one, by the same intervals."""
        whole = abs(self.costs[self.leader].mean) or 1.0
        return max((-found.difference.low for found in self.comparisons.values()), default=0.0) / whole

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
    return Judgement(
        outcome=outcome,
        leader=leader.name,
        margin=margin,
        comparisons=comparisons,
        costs={c.name: mean_interval(list(c.judged.values())) for c in contenders},
        contradicted=contradicted,
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
    """Every rival beside the leader.

    "It beats them all" and "they are all equal" are wrong no more often than the weakest comparison is, however many
    rivals there are. Whatever else is said is said of single ones, and takes a correction.
    """
    alone = {rival.name: compare(rival, leader, delta) for rival in rivals}
    relations = {found.relation for found in alone.values()}
    return alone if relations in ({"beaten"}, {"equivalent"}) else one_by_one(leader, rivals, delta)


def one_by_one(leader: Contender, rivals: Sequence[Contender], delta: float) -> dict[str, Comparison]:
    """Correct for all pairs of those who are not settled, for any of them could have come to lead; the clearest first, as Holm."""
    found: dict[str, Comparison] = {}
    left = list(rivals)
    while left:
        pairs = len(left) * (len(left) + 1) // 2
        found |= {rival.name: compare(rival, leader, delta, among=pairs) for rival in left}
        undecided = [rival for rival in left if found[rival.name].relation == "undecided"]
        if len(undecided) == len(left):
            break
        left = undecided
    return {rival.name: found[rival.name] for rival in rivals}


def compare(rival: Contender, leader: Contender, delta: float, among: int = 1) -> Comparison:
    """One rival beside the leader.

    Args:
        among: comparisons of which none may be wrong at this level.
    """
    differences = paired(rival, leader)
    alpha = 0.0 if is_one_run(rival, leader) else level(len(differences)) / among
    interval = mean_interval(differences, alpha) if differences else NOTHING_KNOWN
    stable = not rival.diverged and not leader.diverged
    return Comparison(
        rival=rival.name,
        relation=relation_of(interval, delta, stable),
        difference=interval,
        confidence=1 - alpha,
        p=p_value(differences) if differences else 1.0,
        seeds=len(differences),
        lost_on=sum(difference > 0 for difference in differences),
        more_seeds=further_seeds(differences, delta),
    )


def paired(rival: Contender, leader: Contender) -> list[float]:
    """The rival's cost less the leader's, on each seed that both have trained on."""
    return [rival.judged[seed] - leader.judged[seed] for seed in sorted(rival.judged.keys() & leader.judged)]


def is_one_run(rival: Contender, leader: Contender) -> bool:
    """Whether both cost the same on every seed, but not as much as each other: one run each, counted several times."""
    return all(is_constant(list(one.judged.values())) for one in (rival, leader)) and any(
        paired(rival, leader)
    )


def relation_of(difference: Interval, delta: float, stable: bool) -> Relation:
    """Read off the interval alone; an optimizer that explodes is never equivalent.

    >>> relation_of(Interval(3.0, 1.0, 5.0), 1.0, True), relation_of(Interval(3.0, -1.0, 7.0), 1.0, True)
    ('beaten', 'undecided')
    >>> relation_of(Interval(0.2, -0.4, 0.8), 1.0, True), relation_of(Interval(0.2, -0.4, 0.8), 1.0, False)
    ('equivalent', 'undecided')
    """
    if stable and difference.within(delta):
        return "equivalent"
    if abs(difference.mean) >= delta and (difference.low > 0 or difference.high < 0):
        return "beaten" if difference.mean > 0 else "ahead"
    return "undecided"


def further_seeds(differences: Sequence[float], delta: float) -> int:
    """About so many more would show a difference of this size at the last look's level."""
    if len(differences) < 2:
        return 1
    return max(1, seeds_needed(differences, delta, level(MOST_SEEDS)) - len(differences))


def level(seeds: int) -> float:
    """The level of a look after so many seeds; fewer than the first look's prove nothing.

    >>> level(4), level(5), level(12), level(30)
    (0.0, 0.01, 0.015, 0.025)
    """
    return max((alpha for look, alpha in LOOKS.items() if look <= seeds), default=0.0)


def outcome_of(comparisons: Iterable[Comparison], barred: bool) -> Outcome:
    """All are beaten: a winner. Who is not beaten is equal: a tie. Whatever else: not enough evidence."""
    relations = {comparison.relation for comparison in comparisons}
    if barred or not relations <= {"beaten", "equivalent"}:
        return "not_enough_evidence"
    return "tie" if "equivalent" in relations else "winner"


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
