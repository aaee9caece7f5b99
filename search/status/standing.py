"""How far is a study and who leads? Pure functions over its trials, for the live view, status and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optselect.search.documents import (
    SCHEMA,
    Best,
    Counts,
    PlacedLaunch,
    Status,
    Trial,
    Trials,
    Worker,
)
from optselect.search.spec.objective import Objective
from optselect.search.spec.stored import unchecked_spec
from optselect.search.status.ways import programs_built
from optselect.storage.records.deaths import set_aside
from optselect.storage.records.overview import ENDED, STATES, TrialRow, WorkerRow, runs_at_defaults
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import SEARCH_PHASES


@dataclass
class Tally:
    """Trials by state, and the best complete one."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    best: TrialRow | None = None

    @property
    def ended(self) -> int:
        return sum(self.counts[state] for state in ENDED)

    def add(self, trial: TrialRow, objective: Objective) -> None:
        self.counts[trial.state] += 1
        if trial.state == "complete" and is_better(trial, self.best, objective):
            self.best = trial


def is_better(trial: TrialRow, than: TrialRow | None, objective: Objective) -> bool:
    """Whether a trial has a better value than another one; any value is better than none."""
    return objective.rank(trial.value) < objective.rank(than.value if than else None)


@dataclass(frozen=True)
class Standing:
    """Everything a status shows."""

    search: Tally
    by_optimizer: Mapping[str, Tally]  # search trials only, in the order of the study
    by_phase: Mapping[str, Tally]
    baseline: TrialRow | None  # the finished run of the user's own optimizer
    defaults: Mapping[str, TrialRow]  # by optimizer, its run at its defaults that came to a value

    @property
    def evaluation(self) -> Mapping[str, Tally]:
        """By phase, without those that search."""
        return {phase: tally for phase, tally in self.by_phase.items() if phase not in SEARCH_PHASES}


def standing(study: StoredStudy, trials: Sequence[TrialRow]) -> Standing:
    """Count the trials of a study."""
    search, objective = Tally(), Objective.of(study)
    by_optimizer = {name: Tally() for name in unchecked_spec(study).optimizers}
    by_phase: dict[str, Tally] = {}
    for trial in trials:
        by_phase.setdefault(trial.phase, Tally()).add(trial, objective)
        if trial.searched:
            search.add(trial, objective)
            by_optimizer.setdefault(trial.optimizer, Tally()).add(trial, objective)
    baseline = next(
        (t for t in trials if t.phase == "baseline" and t.role == "own" and t.state in ENDED), None
    )
    return Standing(search, by_optimizer, by_phase, baseline, runs_at_defaults(trials))


def better_defaults(now: Standing, objective: Objective) -> dict[str, TrialRow]:
    """The runs at an optimizer's defaults that are better than the best trial of its search."""
    return {
        name: now.defaults[name]
        for name, tally in now.by_optimizer.items()
        if name in now.defaults and is_better(now.defaults[name], tally.best, objective)
    }


def ranked(tallies: Mapping[str, Tally], objective: Objective) -> list[tuple[str, Tally]]:
    """Best first; optimizers without a complete trial last, in the order of the study."""

    def key(item: tuple[str, Tally]) -> float:
        best = item[1].best
        return objective.rank(best.value if best else None)

    return sorted(tallies.items(), key=key)


def status_json(
    study: StoredStudy,
    trials: Sequence[TrialRow],
    workers: Sequence[WorkerRow],
    storage: str,
    tracking: str | None,
    launches: Sequence[PlacedLaunch] = (),
) -> Status:
    """The answer of `status --json`; budget and trials count search tickets only."""
    now = standing(study, trials)
    return {
        "schema": SCHEMA,
        "study": study.name,
        "state": study.state,
        "objective": study.objective,
        "direction": study.direction,
        "budget": study.budget,
        "trials": counts_json(now.search),
        "evaluation": {phase: counts_json(tally) for phase, tally in now.evaluation.items()},
        "by_optimizer": {
            name: {
                **counts_json(tally),
                "best": None if tally.best is None else tally.best.value,
                "defaults": now.defaults[name].value if name in now.defaults else None,
            }
            for name, tally in now.by_optimizer.items()
        },
        "set_aside": set_aside(study.decisions),
        "best": best_json(now.search.best),
        "programs_built": programs_built(trials),
        "workers": [worker_json(worker) for worker in workers],
        "launches": list(launches),
        "storage": storage,
        "tracking": tracking,
    }


def counts_json(tally: Tally) -> Counts:
    counts = tally.counts
    return {
        "waiting": counts["waiting"],
        "running": counts["running"],
        "complete": counts["complete"],
        "pruned": counts["pruned"],
        "diverged": counts["diverged"],
        "failed": counts["failed"],
    }


def best_json(best: TrialRow | None) -> Best | None:
    if best is None:
        return None
    return {
        "trial": best.trial,
        "optimizer": best.optimizer,
        "value": best.value,
        "params": dict(best.params),
    }


def worker_json(worker: WorkerRow) -> Worker:
    return {
        "id": str(worker.id),
        "host": worker.host,
        "pid": worker.pid,
        "slot": worker.slot,
        "device": worker.device,
        "seconds_silent": round(worker.seconds_silent, 1),
        "usage": dict(worker.usage),
        "trials_done": worker.done,
        "trials_per_minute": worker.per_minute,
    }


def trials_json(trials: Sequence[TrialRow]) -> Trials:
    """The answer of `trials --json`; params are Keras's arguments behind the optimizer's name."""
    return {"schema": SCHEMA, "trials": [trial_json(trial) for trial in trials]}


def trial_json(trial: TrialRow) -> Trial:
    return {
        "trial": trial.trial,
        "phase": trial.phase,
        "optimizer": trial.optimizer,
        "state": trial.state,
        "value": trial.value,
        "epochs": trial.epochs,
        "params": {f"{trial.optimizer}.{name}": value for name, value in trial.params.items()},
        "attempts": trial.attempts,
        "mlflow_run_id": trial.mlflow_run_id,
        "message": trial.message,
        "step": trial.notes.get("step"),
        "step_reason": trial.notes.get("step_reason"),
        "programs_built": trial.notes.get("programs_built"),
        "cause": trial.notes.get("cause"),
    }
