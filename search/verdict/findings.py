"""What has a study found out? Everything that a report says, as data: a pure function of what is stored.

The user's own optimizer is one of the contenders: a tuned optimizer that is no better than it has not won.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optselect.search.errors import InvalidInput
from optselect.search.verdict.comparing import Interval, best_shares
from optselect.search.verdict.evidence import (
    DRIFT,
    ROUNDING,
    Scale,
    competes,
    contenders,
    current_finals,
    dropped,
    is_tested,
    is_tuned,
    one_run,
    runs_of_finalists,
)
from optselect.search.verdict.judging import Comparison, Contender, Judgement, Outcome, judge
from optselect.search.verdict.record import Record, read_record
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine
from optselect.trials.terms.configuration import BASELINE, ArgumentValue


@dataclass(frozen=True)
class Finalist:
    """One configuration of the finals."""

    name: str
    """Keras's class, or "baseline" for the user's own."""
    arguments: Mapping[str, ArgumentValue]
    values: Interval
    """The mean of what was judged, in the objective's own values."""
    median: float
    seeds: int
    diverged: int
    shaky: int
    """Seeds on which it exploded or cost more than twice its median."""
    p_best: float
    """How often it is best when seeds are drawn again; no posterior."""
    versus_leader: Comparison | None
    """None for the leader itself."""
    runs: Sequence[TrialRow]


@dataclass(frozen=True)
class Gain:
    """How much better a tuned optimizer is than the user's own, as a share of what that costs; below 0: worse."""

    optimizer: str
    share: Interval
    """The interval of the leader's comparison, which the verdict has judged."""
    seeds: int


@dataclass(frozen=True)
class Findings:
    """What the finals say."""

    record: Record
    judgement: Judgement
    finalists: Sequence[Finalist]
    """Those who compete, the best first."""
    tested: bool
    """Whether the figures come from data that no choice has seen."""
    thin: bool
    """Whether too few trials stand behind them."""
    gain: Gain | None
    """None where the user's own or any tuned one has no run."""

    @property
    def outcome(self) -> Outcome:
        return self.judgement.outcome

    @property
    def keep(self) -> str:
        """Which one to use: the winner, of a tie the user's own or the simplest; else who leads, if it beats the user's own."""
        if self.outcome == "tie":
            return self.simplest
        return (
            BASELINE
            if self.outcome == "not_enough_evidence" and self.own_may_be_best
            else self.judgement.leader
        )

    @property
    def shown(self) -> str:
        """Whose figures and code are shown: who leads is worth a look even where the user's own is to be kept."""
        return self.judgement.leader if self.outcome == "not_enough_evidence" else self.keep

    @property
    def simplest(self) -> str:
        """Of a tie the user's own, or who has the fewest settings."""
        sizes = {name: len(self.finalist(name).arguments) for name in self.judgement.tie}
        return BASELINE if BASELINE in sizes else min(sizes, key=sizes.__getitem__)

    @property
    def own_may_be_best(self) -> bool:
        """Whether the user's own optimizer leads, or is not beaten by who leads."""
        beside = self.judgement.comparisons.get(BASELINE)
        return self.judgement.leader == BASELINE or (beside is not None and beside.relation != "beaten")

    @property
    def metric(self) -> str:
        """What the figures are of: "test loss", or the objective."""
        objective = self.record.spec.objective
        return f"test {objective.removeprefix('val_')}" if self.tested else objective

    def finalist(self, name: str) -> Finalist:
        return next(finalist for finalist in self.finalists if finalist.name == name)

    @property
    def trials_each(self) -> tuple[int, int]:
        """The fewest and the most search trials of those who compete."""
        names = [finalist.name for finalist in self.finalists if finalist.name != BASELINE]
        counts = Counter(trial.optimizer for trial in self.record.trials if trial.searched)
        found = [counts[name] for name in names] or [0]
        return min(found), max(found)

    @property
    def dropped(self) -> dict[str, str]:
        """Who was given up on the way, and why."""
        return dropped(self.record.decisions)


@dataclass(frozen=True)
class NoVerdict:
    """Why a study has no findings."""

    reason: str
    """In a sentence or two, with what can be done about it."""


def find(record: Record) -> Findings | NoVerdict:
    """The findings of a study, or why there are none."""
    if reason := why_none(record):
        return NoVerdict(reason)
    grouped = runs_of_finalists(current_finals(record.trials), record.scale)
    rivals = {n: c for n, c in contenders(current_finals(record.trials), record.scale).items() if competes(n)}
    thin = record.compared.is_thin(record.budget)
    judgement = judge(list(rivals.values()), thin=thin)
    return Findings(
        record=record,
        judgement=judgement,
        finalists=ranked_finalists(record, rivals, judgement, grouped),
        tested=is_tested(grouped, record.scale),
        thin=thin,
        gain=gain_of(rivals, judgement),
    )


def why_none(record: Record) -> str:
    """Why a study has no verdict; empty where it has one."""
    if not record.spec.compares:
        return (
            "No verdict: --goal best-config only looks for a good configuration and compares no optimizers."
        )
    if not record.spec.seeds:
        return (
            "No verdict: with --seeds 0 nothing is trained again on fresh seeds, and best single runs are each the "
            "luckiest of many. Launch under another --name without --seeds 0."
        )
    if not record.finished:
        return f"No verdict yet: the study is not finished. To go on: optselect resume {record.name}"
    found = runs_of_finalists(current_finals(record.trials), record.scale)
    if not any(is_tuned(name) for name in found):
        if aside := [name for name in record.spec.optimizers if name in record.set_aside]:
            reasons = "; ".join(f"{name}: {record.set_aside[name]}" for name in aside)
            return f"No verdict: no optimizer that could be trained on fresh seeds is left. {reasons}."
        return "No verdict: no trial reached its last epoch, so no optimizer could be trained on fresh seeds."
    if same := one_run(found, ROUNDING if record.problem.seeds_differ else DRIFT):
        return why_one_run(list(filter(competes, same)) or same, len({run.seed for run in found[same[0]]}))
    return ""


def why_one_run(names: Sequence[str], seeds: int) -> str:
    """Why runs that coincide decide nothing.

    >>> why_one_run(["baseline", "SGD", "Adam"], 5)[:113]
    'No verdict: the runs of your present optimizer on 5 seeds are one and the same run, and so are those of SGD, Adam'
    """
    first, *others = ("your present optimizer" if name == BASELINE else name for name in names)
    so_are = f", and so are those of {', '.join(others)}" if others else ""
    return (
        f"No verdict: the runs of {first} on {seeds} seeds are one and the same run{so_are}. Nothing changes with the "
        "seed, so chance cannot be told from a difference. Leave out what fixes the seed in model(), such as "
        "keras.utils.set_random_seed, or let the rows be shuffled, and launch under another --name."
    )


def ranked_finalists(
    record: Record,
    rivals: Mapping[str, Contender],
    judgement: Judgement,
    grouped: Mapping[str, Sequence[TrialRow]],
) -> list[Finalist]:
    """The leader first, the others by their mean cost."""
    shares = best_shares({name: list(rival.judged.values()) for name, rival in rivals.items()})
    names = sorted(rivals, key=lambda name: (name != judgement.leader, judgement.costs[name].mean))
    return [
        finalist_of(
            record, rivals[name], judgement, shares[name], sorted(grouped[name], key=lambda run: run.seed)
        )
        for name in names
    ]


def finalist_of(
    record: Record, rival: Contender, judgement: Judgement, share: float, runs: Sequence[TrialRow]
) -> Finalist:
    own = rival.name == BASELINE
    costs = sorted(rival.judged.values())
    median = (costs[(len(costs) - 1) // 2] + costs[len(costs) // 2]) / 2
    shaky = {seed for seed, cost in rival.judged.items() if cost > 2 * median > 0}
    return Finalist(
        name=rival.name,
        arguments=record.problem.baseline.arguments if own else runs[0].params,
        values=as_values(judgement.costs[rival.name], record.scale),
        median=record.scale.value(median),
        seeds=len(costs),
        diverged=len(rival.diverged),
        shaky=len(shaky | rival.diverged),
        p_best=share,
        versus_leader=judgement.comparisons.get(rival.name),
        runs=runs,
    )


def as_values(costs: Interval, scale: Scale) -> Interval:
    """An interval of costs in the objective's own values."""
    low, high = sorted((scale.value(costs.low), scale.value(costs.high)))
    return Interval(scale.value(costs.mean), low, high)


def gain_of(rivals: Mapping[str, Contender], judgement: Judgement) -> Gain | None:
    """The best tuned optimizer beside the user's own: one of the two leads, so the verdict has compared them."""
    tuned = [name for name in rivals if is_tuned(name)]
    if BASELINE not in rivals or not tuned:
        return None
    leads = judgement.leader in tuned
    name = judgement.leader if leads else min(tuned, key=lambda name: judgement.costs[name].mean)
    own, beside = rivals[BASELINE].judged, judgement.comparisons[BASELINE if leads else name]
    common = own.keys() & rivals[name].judged
    if not common:
        return None
    whole = abs(math.fsum(own[seed] for seed in common) / len(common)) or 1.0
    return Gain(name, shares(beside.difference, whole if leads else -whole), beside.seeds)


def shares(difference: Interval, whole: float) -> Interval:
    """A difference as a share; a whole below 0 turns it round.

    >>> shares(Interval(2.0, 1.0, 4.0), -10.0)
    Interval(mean=-0.2, low=-0.4, high=-0.1)
    """
    low, high = sorted((difference.low / whole, difference.high / whole))
    return Interval(difference.mean / whole, low, high)


def demand_verdict(found: Findings | NoVerdict) -> Findings:
    """The findings; raises InvalidInput where there are none."""
    if isinstance(found, NoVerdict):
        raise InvalidInput(found.reason)
    return found


def stored_findings(engine: Engine, study: StoredStudy) -> Findings | NoVerdict:
    """What a stored study has found out, or why nothing yet."""
    return find(read_record(engine, study))
