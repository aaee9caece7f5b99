"""What did the trials show beside the verdict? Numbers for the page: budgets, tuning, sensitivity, speed.

Where TPE proposes, budget curves and shares are of the quota only: its points are spread evenly, while those that a
sampler chose later depend on what came before. The learned sampler has no quota: a budget curve is what was found after
so many trials, and how much of a range is good is what its model predicts.
"""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optselect.search.knowledge.candidates import Candidate
from optselect.search.verdict.comparing import budget_curve
from optselect.search.verdict.evidence import DEFAULTS, final_name
from optselect.search.verdict.findings import Findings
from optselect.search.verdict.importance import importance_of
from optselect.search.verdict.record import Record
from optselect.search.verdict.task import task_model
from optselect.search.verdict.tuning import Tuning, tunings
from optselect.storage.records.overview import TrialRow
from optselect.trials.terms.configuration import BASELINE

Curve = Mapping[int, float]
"""The objective by epoch."""
Curves = Mapping[int, Curve]
"""By ticket."""

NEAR = 0.10
"""A trial is near the best of its optimizer when it costs at most so much more."""
HARDLY = 0.02
"""A training that has moved its loss by less after an eighth of its epochs is too slow."""
STILL_FALLING = 0.01
"""Or one whose loss still falls by more, at each of its last epochs."""


@dataclass(frozen=True)
class Sensitivity:
    """How hard an optimizer is to tune."""

    near: float
    """Share of its quota that is near its best, or of its whole range by what the model predicts."""
    rates: tuple[float, float] | None
    """The lowest and the highest learning rate among these."""

    @property
    def decades(self) -> float | None:
        """Width of the good band of learning rates."""
        return None if self.rates is None else math.log10(self.rates[1] / self.rates[0])


@dataclass(frozen=True)
class TimeToTarget:
    """How soon a finalist reaches the target."""

    epochs: float
    """The median over its seeds; infinite where most never reach it."""
    seconds: float
    missed: int
    seeds: int


@dataclass(frozen=True)
class Band:
    """Learning curves of one finalist over its seeds."""

    epochs: Sequence[int]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Insight:
    """Everything that the page draws; each mapping is by optimizer and lacks those of whom nothing is known."""

    budget: Mapping[str, Sequence[tuple[int, float]]]
    tuning: Mapping[str, Tuning]
    sensitivity: Mapping[str, Sensitivity]
    ends: Mapping[str, Mapping[str, float]]
    """Shares of these trials that diverged, were too slow, were cut early, or trained well."""
    target: float | None
    target_of: str
    times_to_target: Mapping[str, TimeToTarget]
    importance: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Band]


def insight_of(found: Findings, curves: Curves) -> Insight:
    """All numbers of a study with a verdict."""
    record = found.record
    is_learned = record.spec.sampler == "learned"
    spread = {
        name: [t for t in record.searched(name) if is_learned or t.phase == "quota"]
        for name in record.spec.optimizers
    }
    ended = {name: trials for name, trials in spread.items() if trials}
    target, target_of = find_target(found)
    return Insight(
        budget=best_so_far(found, curves) if is_learned else budgets(found, ended, curves),
        tuning=tunings(found),
        sensitivity=predicted_sensitivities(record) if is_learned else sensitivities(found, ended, curves),
        ends={name: ends_of(found, trials, curves) for name, trials in ended.items()},
        target=target,
        target_of=target_of,
        times_to_target={} if target is None else times_to_target(found, curves, target),
        importance={n: i for n in record.spec.optimizers if (i := importance_of(record, n))},
        curves={
            finalist.name: band_of([curves.get(r.ticket, {}) for r in finalist.runs])
            for finalist in found.finalists
        },
    )


# --- what the learned sampler found -------------------------------------------------------------------


def best_so_far(found: Findings, curves: Curves) -> dict[str, list[tuple[int, float]]]:
    """The best value after so many trials of each optimizer, in their order."""
    record = found.record
    costs = {name: costs_of(found, record.searched(name), curves) for name in record.spec.optimizers}
    return {
        name: [
            (count, record.scale.value(cost))
            for count, cost in enumerate(itertools.accumulate(one.values(), min), start=1)
        ]
        for name, one in costs.items()
        if one
    }


def predicted_sensitivities(record: Record) -> dict[str, Sensitivity]:
    """Of each optimizer that was tried."""
    model = task_model(record)
    tried = {one.optimizer for one in model.ended}
    return {
        name: predicted_sensitivity(model.landscape(name)) for name in record.spec.optimizers if name in tried
    }


def predicted_sensitivity(landscape: Sequence[tuple[Candidate, float]]) -> Sensitivity:
    best = min(cost for _, cost in landscape)
    near = [one.arguments for one, cost in landscape if cost <= best + NEAR * abs(best)]
    rates = [rate for one in near if isinstance(rate := one.get("learning_rate"), float) and rate > 0]
    return Sensitivity(len(near) / len(landscape), (min(rates), max(rates)) if rates else None)


# --- the quota ----------------------------------------------------------------------------------------


def reached(found: Findings, trial: TrialRow, curves: Curves) -> float | None:
    """The cost a trial came to: of one that was cut early the last one, of one that exploded its stand-in."""
    if trial.state != "pruned":
        return found.record.scale.cost_of(trial)
    curve = curves.get(trial.ticket, {})
    last = curve[max(curve)] if curve else math.nan
    return found.record.scale.cost(last) if math.isfinite(last) else None


def costs_of(found: Findings, trials: Sequence[TrialRow], curves: Curves) -> dict[int, float]:
    costs = {trial.ticket: reached(found, trial, curves) for trial in trials}
    return {ticket: cost for ticket, cost in costs.items() if cost is not None}


def budgets(
    found: Findings, ended: Mapping[str, Sequence[TrialRow]], curves: Curves
) -> dict[str, list[tuple[int, float]]]:
    return {name: budget_of(found, trials, curves) for name, trials in ended.items()}


def budget_of(found: Findings, trials: Sequence[TrialRow], curves: Curves) -> list[tuple[int, float]]:
    """The best value that so many trials are expected to find."""
    costs = list(costs_of(found, trials, curves).values())
    return [(n, found.record.scale.value(cost)) for n, cost in budget_curve(costs)]


def sensitivities(
    found: Findings, ended: Mapping[str, Sequence[TrialRow]], curves: Curves
) -> dict[str, Sensitivity]:
    return {n: s for n, t in ended.items() if (s := sensitivity_of(found, t, curves)) is not None}


def sensitivity_of(found: Findings, trials: Sequence[TrialRow], curves: Curves) -> Sensitivity | None:
    costs = costs_of(found, trials, curves)
    if not costs:
        return None
    best = min(costs.values())
    near = [trial for trial in trials if costs.get(trial.ticket, math.inf) <= best + NEAR * abs(best)]
    rates = [
        rate for trial in near if isinstance(rate := trial.params.get("learning_rate"), float) and rate > 0
    ]
    return Sensitivity(len(near) / len(trials), (min(rates), max(rates)) if rates else None)


def ends_of(found: Findings, trials: Sequence[TrialRow], curves: Curves) -> dict[str, float]:
    counts = Counter(end_of(found, trial, curves.get(trial.ticket, {})) for trial in trials)
    return {end: counts[end] / len(trials) for end in ENDS}


ENDS = ("diverged", "too slow", "cut early", "failed", "plateau")


def end_of(found: Findings, trial: TrialRow, curve: Curve) -> str:
    """In which way a trial ended."""
    if trial.state in ("diverged", "failed"):
        return trial.state
    objective = found.record.spec.objective
    if is_slow(curve, trial.result.get(f"initial_{objective}", math.nan), found.record.spec.epochs):
        return "too slow"
    return "cut early" if trial.state == "pruned" else "plateau"


def is_slow(curve: Curve, untrained: float, epochs: int) -> bool:
    """Whether a training hardly moves at its beginning, or is far from done at its end.

    >>> is_slow({1: 1.99, 2: 1.99, 3: 1.98}, untrained=2.0, epochs=3)
    True
    >>> is_slow({1: 1.0, 2: 0.8, 3: 0.7, 4: 0.69, 5: 0.689}, untrained=2.0, epochs=5)
    False
    """
    early = curve.get(max(1, round(epochs / 8)))
    if early is not None and math.isfinite(untrained) and abs(early - untrained) < HARDLY * abs(untrained):
        return True
    tail = [curve[epoch] for epoch in range(epochs - max(2, epochs // 5), epochs + 1) if epoch in curve]
    if epochs not in curve or len(tail) < 3:
        return False
    return all(after < before - STILL_FALLING * abs(before) for before, after in itertools.pairwise(tail))


# --- the finals ---------------------------------------------------------------------------------------


def find_target(found: Findings) -> tuple[float | None, str]:
    """A value that was fixed before anything was tuned: Adam's at Keras's defaults, else the user's own."""
    baselines = {
        final_name(t): t.value for t in found.record.trials if t.phase == "baseline" and t.value is not None
    }
    if f"Adam {DEFAULTS}" in baselines:
        return baselines[f"Adam {DEFAULTS}"], "Adam at Keras's defaults"
    return baselines.get(BASELINE), "your own optimizer"


def times_to_target(found: Findings, curves: Curves, target: float) -> dict[str, TimeToTarget]:
    return {
        finalist.name: time_to_target(found, finalist.runs, curves, target)
        for finalist in found.finalists
        if finalist.runs
    }


def time_to_target(found: Findings, runs: Sequence[TrialRow], curves: Curves, target: float) -> TimeToTarget:
    limit = found.record.scale.cost(target)
    epochs, seconds = [], []
    for run in runs:
        costs = {epoch: found.record.scale.cost(value) for epoch, value in curves.get(run.ticket, {}).items()}
        first = min((epoch for epoch, cost in costs.items() if cost <= limit), default=math.inf)
        epochs.append(first)
        seconds.append(first * float(run.result.get("seconds", math.nan)) / max(1, run.epochs))
    missed = sum(math.isinf(epoch) for epoch in epochs)
    return TimeToTarget(statistics.median(epochs), statistics.median(seconds), missed, len(runs))


def band_of(curves: Sequence[Curve]) -> Band:
    """Mean, lowest and highest at each epoch at which every seed that ended with a number has one."""
    ended = [curve for curve in curves if curve and math.isfinite(curve[max(curve)])]
    whole = [{epoch: value for epoch, value in curve.items() if math.isfinite(value)} for curve in ended]
    epochs = sorted(set.intersection(*(set(curve) for curve in whole))) if whole else []
    columns = [[curve[epoch] for curve in whole] for epoch in epochs]
    return Band(
        epochs, [statistics.fmean(c) for c in columns], [min(c) for c in columns], [max(c) for c in columns]
    )
