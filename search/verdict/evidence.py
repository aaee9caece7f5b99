"""What do the stored trials say of an optimizer? Its best configurations, and the costs of its repeats.

Cost is the objective turned so that less is better. A score that never exceeds 1, such as accuracy, becomes
1 - score: one per cent of 0.98 would swallow every difference that matters.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optselect.search.spec.objective import Objective
from optselect.search.verdict.judging import Contender
from optselect.storage.records.overview import ENDED, TrialRow
from optselect.trials.terms.configuration import BASELINE

DEFAULTS = "defaults"
ROUNDING = 1e-6
"""Share by which two makings of the same run may differ."""
DRIFT = 1e-3
"""The same where no seed decides anything, but sums are taken in another order."""
TESTED = "tested"


@dataclass(frozen=True)
class Scale:
    """How an objective's values become costs, the same way for a whole study."""

    objective: Objective
    whole: float = 0.0
    """What a score is taken from: 1 where no value exceeds it."""
    worst: Mapping[str, float] = field(default_factory=dict)
    """The highest cost of the runs that are compared with each other, by where they are."""

    def cost(self, value: float) -> float:
        return self.whole + self.objective.cost(value)

    value = cost  # its own inverse: whole - (whole - value)

    def cost_of(self, trial: TrialRow) -> float | None:
        """The validation cost; a run that exploded has a finite stand-in, one that failed has none."""
        if trial.state == "diverged":
            return self.cost_of_explosion(trial, compared_in(trial))
        return None if trial.value is None else self.cost(trial.value)

    def test_cost_of(self, trial: TrialRow) -> float | None:
        """The cost on data that no choice has seen; None where there is no test split."""
        value = self.test_value(trial)
        if trial.state == "diverged" or (value is not None and not math.isfinite(value)):
            return self.cost_of_explosion(trial, TESTED)
        return None if value is None else self.cost(value)

    def test_value(self, trial: TrialRow) -> float | None:
        return trial.result.get(f"test_{self.objective.name.removeprefix('val_')}")

    def cost_of_explosion(self, trial: TrialRow, among: str) -> float:
        """The stand-in, but never less than what a run that ended came to."""
        untrained = trial.result.get(f"initial_{self.objective.name}", math.nan)
        return max(self.cost(self.objective.stand_in(untrained)), self.worst.get(among, -math.inf))


def scale_of(objective: Objective, trials: Iterable[TrialRow]) -> Scale:
    """The scale of a study."""
    rows = list(trials)
    values = [trial.value for trial in rows if trial.value is not None]
    scale, worst = Scale(objective, whole_of(objective, values)), dict[str, float]()
    for place, value in places_of(rows, scale):
        worst[place] = max(scale.cost(value), worst.get(place, -math.inf))
    return replace(scale, worst=worst)


def whole_of(objective: Objective, values: Sequence[float]) -> float:
    """What a score is taken from: 1 where none of the study's values exceeds it."""
    return 1.0 if objective.direction == "maximize" and max(values, default=2.0) <= 1.0 else 0.0


def places_of(trials: Iterable[TrialRow], scale: Scale) -> Iterator[tuple[str, float]]:
    """The finite values of the trials, each with the name of those that it is compared with."""
    for trial in trials:
        if trial.value is not None:
            yield compared_in(trial), trial.value
        if (tested := scale.test_value(trial)) is not None and math.isfinite(tested):
            yield TESTED, tested


def compared_in(trial: TrialRow) -> str:
    return "search" if trial.searched else trial.phase


# --- the search ---------------------------------------------------------------------------------------


def search_trials(trials: Iterable[TrialRow], optimizer: str) -> list[TrialRow]:
    return [trial for trial in trials if trial.searched and trial.optimizer == optimizer]


def candidates(trials: Sequence[TrialRow], optimizer: str, scale: Scale) -> list[TrialRow]:
    """The configurations of an optimizer, best first: by the mean of those that were run again, then by the others' own run.

    Those that exploded on a fresh seed come last.
    """
    again = [trial for trial in trials if trial.phase == "elimination" and trial.optimizer == optimizer]
    exploded = {key_of(trial) for trial in again if trial.state == "diverged"}
    costs: dict[tuple[str, str], list[float]] = {}
    for trial in again:
        if (cost := scale.cost_of(trial)) is not None:
            costs.setdefault(key_of(trial), []).append(cost)

    def rank(trial: TrialRow) -> tuple[bool, bool, float]:
        found = costs.get(key_of(trial), [])
        cost = sum(found) / len(found) if found else scale.cost(trial.value or 0.0)
        return key_of(trial) in exploded, not found, cost

    return sorted(best_configurations(trials, optimizer, scale), key=rank)


def best_configurations(trials: Sequence[TrialRow], optimizer: str, scale: Scale) -> list[TrialRow]:
    """The finished search trials of an optimizer, by their single runs; of one configuration the best only."""
    finished = [t for t in search_trials(trials, optimizer) if t.state == "complete" and t.value is not None]
    best: dict[tuple[str, str], TrialRow] = {}
    for trial in sorted(finished, key=lambda t: scale.cost(t.value or 0.0)):
        best.setdefault(key_of(trial), trial)
    return list(best.values())


def key_of(trial: TrialRow) -> tuple[str, str]:
    """What makes two runs the same configuration."""
    return trial.optimizer, json.dumps(trial.params, sort_keys=True)


# --- the finals ---------------------------------------------------------------------------------------


def current_finals(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """The runs of the finals that followed the last search trial: a search that goes on makes older ones stale."""
    last = max((trial.ord for trial in trials if trial.searched), default=-1)
    return [trial for trial in trials if trial.phase == "final" and trial.ord > last]


def final_name(trial: TrialRow) -> str:
    """How a finalist is called.

    A class at Keras's defaults is another finalist than the tuned one.
    """
    return f"{trial.optimizer} {DEFAULTS}" if trial.role == DEFAULTS else trial.optimizer


def contenders(finals: Iterable[TrialRow], scale: Scale) -> dict[str, Contender]:
    """The finalists by name, each with its costs by seed.

    Test costs judge where every finished run has one.
    """
    grouped = runs_of_finalists(finals, scale)
    tested = is_tested(grouped, scale)
    return {name: contender(name, runs, scale, tested) for name, runs in grouped.items()}


def runs_of_finalists(finals: Iterable[TrialRow], scale: Scale) -> dict[str, list[TrialRow]]:
    """The ended runs of each finalist that have a cost."""
    grouped: dict[str, list[TrialRow]] = {}
    for trial in finals:
        if trial.state in ENDED and scale.cost_of(trial) is not None:
            grouped.setdefault(final_name(trial), []).append(trial)
    return grouped


def is_tested(grouped: Mapping[str, Sequence[TrialRow]], scale: Scale) -> bool:
    """Whether every run was judged on data that no choice has seen."""
    runs = [run for found in grouped.values() for run in found]
    return bool(runs) and all(scale.test_cost_of(run) is not None for run in runs)


def one_run(grouped: Mapping[str, Sequence[TrialRow]], rounding: float = ROUNDING) -> list[str]:
    """Who was trained on several seeds that have changed nothing; nobody as soon as they have changed one's runs.

    A run that exploded says nothing: its few numbers may agree where training would not have.
    """
    complete = {name: [run for run in runs if run.state == "complete"] for name, runs in grouped.items()}
    several = {name: runs for name, runs in complete.items() if len({run.seed for run in runs}) > 1}
    same = [name for name, runs in several.items() if all(agree(runs[0], run, rounding) for run in runs)]
    return same if len(same) == len(several) else []


def agree(one: TrialRow, other: TrialRow, rounding: float) -> bool:
    """Whether every number that two runs came to is the same; a score of 1 on each seed alone would prove nothing."""
    mine, others = numbers_of(one), numbers_of(other)
    if mine.keys() != others.keys():
        return False
    pairs = ((value, others[name]) for name, value in mine.items())
    return all(math.isclose(*pair, rel_tol=rounding) or all(map(math.isnan, pair)) for pair in pairs)


def numbers_of(run: TrialRow) -> dict[str, float]:
    """What a run came to, but for its time."""
    told = {**run.result, "value": math.nan if run.value is None else run.value}
    return {name: value for name, value in told.items() if name != "seconds"}


def contender(name: str, runs: Iterable[TrialRow], scale: Scale, tested: bool) -> Contender:
    chosen, judged = {}, {}
    for run in runs:
        chosen[run.seed] = scale.cost_of(run) or 0.0
        judged[run.seed] = (scale.test_cost_of(run) if tested else scale.cost_of(run)) or 0.0
    return Contender(name, chosen, judged, frozenset(run.seed for run in runs if run.state == "diverged"))


def is_tuned(name: str) -> bool:
    """Whether a finalist is an optimizer's own best configuration."""
    return name != BASELINE and not name.endswith(f" {DEFAULTS}")


def competes(name: str) -> bool:
    """Whether a finalist can win: a tuned one, or what the user has already; defaults only show what tuning gains."""
    return is_tuned(name) or name == BASELINE


def dropped(decisions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The optimizers that were given up on the way, each with its reason."""
    return {name: reason for decision in decisions for name, reason in decision.get("dropped", {}).items()}
