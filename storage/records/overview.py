"""How far is a study? The counts, trials and workers that the commands show, read in few statements."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.records.tickets import IS_RUNNING, SEARCH_PHASES
from optselect.storage.server.jsonb import numbers

STATES = ("waiting", "running", "complete", "pruned", "diverged", "failed")
ENDED = ("complete", "pruned", "diverged", "failed")


@dataclass(frozen=True)
class TrialRow:
    """One ticket as a person sees it."""

    ticket: int
    ord: int  # in the order in which they were made
    trial: int | None  # Optuna's number; None while it waits
    phase: str
    optimizer: str
    state: str  # one of STATES
    value: float | None
    epochs: int
    params: Mapping[str, Any]  # Keras's arguments
    attempts: int
    seed: int
    mlflow_run_id: str | None
    message: str | None
    seconds: float | None  # from the first claim to the end, or to now
    role: str  # search, tuned, defaults or own
    result: Mapping[str, Any]  # single numbers: the untrained model's, the test split's, seconds
    started: float | None  # seconds since 1970, by the server's clock
    finished: float | None
    notes: Mapping[str, Any] = field(default_factory=dict)  # how it was trained: step, step_reason, ...

    @property
    def searched(self) -> bool:
        return self.phase in SEARCH_PHASES


@dataclass(frozen=True)
class WorkerRow:
    """One worker that has not signed off."""

    id: uuid.UUID
    host: str
    pid: int
    slot: int | None
    device: str
    seconds_silent: float
    usage: Mapping[str, float]
    """How busy it was at a beat some seconds ago; empty: nothing is known."""
    done: int
    """Trials that it has ended."""
    seconds: float
    """Since it began."""

    @property
    def per_minute(self) -> float | None:
        """Trials that it ends in a minute; None before the first one."""
        return 60 * self.done / self.seconds if self.done and self.seconds > 0 else None


@dataclass(frozen=True)
class StudyRow:
    """One line of the list of studies."""

    name: str
    state: str
    budget: int
    done: int
    best: float | None
    objective: str
    created_at: datetime


# A lease that ran out belongs to a dead worker: its trial waits for the next one. No time is less than none: the server's
# clock may have been set back since, and what was trained is measured by a clock that cannot be.
TRIALS = text(f"""
    SELECT id AS ticket, ord, trial_number AS trial, phase, optimizer,
           CASE WHEN state = 'done' THEN outcome
                WHEN {IS_RUNNING} THEN 'running' ELSE 'waiting' END AS state,
           trial_value AS value, epochs, coalesce(params, '{{}}'::jsonb) AS params, attempt AS attempts, seed,
           mlflow_run_id, error AS message,
           CASE WHEN started_at IS NOT NULL
                THEN greatest(extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8,
                              (result ->> 'seconds')::float8, 0) END AS seconds,
           role, coalesce(result - 'notes', '{{}}'::jsonb) AS result,
           coalesce(result -> 'notes', '{{}}'::jsonb) AS notes,
           extract(epoch FROM started_at)::float8 AS started, extract(epoch FROM finished_at)::float8 AS finished
      FROM ticket WHERE study_id = :study ORDER BY trial_number NULLS LAST, ord""")


def list_trials(source: Engine | Connection, study_id: int) -> list[TrialRow]:
    """Every ticket of a study, asked trials first, by number."""
    if isinstance(source, Engine):
        with source.begin() as connection:
            return list_trials(connection, study_id)
    rows = source.execute(TRIALS, {"study": study_id}).mappings().all()
    return [TrialRow(**{**row, "result": numbers(row["result"])}) for row in rows]


WORKERS = text("""
    SELECT id, host, pid, slot, device, usage,
           abs(extract(epoch FROM clock_timestamp() - heartbeat_at))::float8 AS seconds_silent,
           (SELECT count(*) FROM ticket WHERE worker_id = worker.id AND state = 'done') AS done,
           greatest(0, extract(epoch FROM clock_timestamp() - started_at))::float8 AS seconds
      FROM worker WHERE study_id = :study AND state <> 'gone' ORDER BY started_at""")


def list_workers(engine: Engine, study_id: int) -> list[WorkerRow]:
    """The workers of a study that have not signed off, alive or not."""
    with engine.begin() as connection:
        rows = connection.execute(WORKERS, {"study": study_id}).mappings().all()
    return [WorkerRow(**row) for row in rows]


STUDIES = text("""
    SELECT s.name, s.state, s.budget, s.objective, s.created_at,
           count(t.id) FILTER (WHERE t.state = 'done' AND t.phase = ANY(:phases)) AS done,
           CASE WHEN s.direction = 'minimize'
                THEN min(t.trial_value) FILTER (WHERE t.outcome = 'complete' AND t.phase = ANY(:phases))
                ELSE max(t.trial_value) FILTER (WHERE t.outcome = 'complete' AND t.phase = ANY(:phases)) END AS best
      FROM study s LEFT JOIN ticket t ON t.study_id = s.id GROUP BY s.id ORDER BY s.created_at""")


def list_studies(engine: Engine) -> list[StudyRow]:
    """Every study of the database, oldest first."""
    with engine.begin() as connection:
        rows = connection.execute(STUDIES, {"phases": list(SEARCH_PHASES)}).mappings().all()
    return [StudyRow(**row) for row in rows]


def runs_at_defaults(trials: Sequence[TrialRow]) -> dict[str, TrialRow]:
    """By optimizer, the run at its defaults where that came to a value."""
    return {
        t.optimizer: t
        for t in trials
        if t.phase == "baseline" and t.role == "defaults" and t.state == "complete" and t.value is not None
    }
