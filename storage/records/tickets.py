"""Who may train what? One ticket per budgeted trial: claimed, leased, fenced by its token, finished once.

Every write of a worker carries the ticket's token. A claim by somebody else changes the token, so a worker
that was suspended past its lease finds no row at its next write (LeaseLost) and can do no harm. No clock decides
who holds a ticket: `lease_until` is a mark that each renewal changes, and -infinity once nobody holds it any more;
who may set it so stands in leases.py.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.errors import LeaseLost
from optselect.storage.records.checkpoint_files import remove_ours, ticket_folder
from optselect.storage.server.environment import number_in
from optselect.storage.server.jsonb import storable

LEASE_SECONDS = 60.0
"""How long a silent worker keeps its ticket."""

IS_RUNNING = """state = 'leased' AND lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 minutes'"""
"""Whether somebody trains a ticket, for whoever only looks. After a jump of the server's clock it is wrong until the next
beat, on both sides: what lies far ahead is as old as what lies behind."""

SEARCH_PHASES = ("quota", "survivors", "joint")
"""The phases that --trials counts; every other phase is an evaluation on top."""


NOTES = "notes"
"""The one entry of a ticket's result that is no number."""


@dataclass(frozen=True)
class NewTicket:
    """One training to be done, before anybody claimed it."""

    phase: str
    optimizer: str
    seed: int
    fixed_params: Mapping[str, Any]  # the sampler fills the rest
    role: str = "search"  # search, tuned, defaults or own
    arguments: Mapping[str, Any] | None = None  # Keras's, where no sampler chooses


@dataclass(frozen=True)
class Lease:
    """The right to write for one ticket, as long as the token is the ticket's own."""

    ticket_id: int
    token: uuid.UUID


@dataclass(frozen=True)
class Ticket:
    """A claimed ticket."""

    id: int
    ord: int
    token: uuid.UUID
    attempt: int  # 1 for the first claim
    max_attempts: int
    phase: str
    optimizer: str
    seed: int
    fixed_params: Mapping[str, Any]
    role: str
    arguments: Mapping[str, Any] | None  # Keras's, where no sampler chooses
    trial_id: int | None  # set once Optuna was asked; a later claimer continues this trial
    trial_number: int | None
    cause: str | None  # why the attempt before was lost, as far as anybody could tell

    @property
    def lease(self) -> Lease:
        return Lease(self.id, self.token)

    @property
    def attempts_exhausted(self) -> bool:
        return self.attempt > self.max_attempts


@dataclass(frozen=True)
class Orders:
    """What the database wants of a worker, read by the statement that writes its epochs."""

    study_state: str
    stop_requested: bool

    @property
    def leave(self) -> bool:
        return self.stop_requested or self.study_state == "stopped"


@dataclass(frozen=True)
class TrialEnding:
    """How a ticket ended, as the tables and MLflow show it."""

    outcome: str  # complete, pruned, diverged or failed
    epochs: int
    value: float | None = None  # the objective, where the trial has one
    message: str = ""
    result: Mapping[str, Any] | None = None  # single numbers such as the untrained loss and the test metrics
    notes: Mapping[str, Any] = field(default_factory=dict)  # how it was trained, in words and numbers


# --- claiming -----------------------------------------------------------------------------------------

# Not FOR SHARE, which would wait for whoever is finishing a ticket. A claim may slip past a pause by milliseconds, as if
# it had come before; past a stop it hears of it with its first write and goes back.
OPEN_STUDY = text("SELECT id FROM study WHERE id = :study AND state = 'running' FOR KEY SHARE")

LATER_PLACES = 32
"""How much further back a ticket counts whose optimizer another worker holds a program for: it waits, and not for ever."""

# '=' and not IN: the subquery must run once. What nobody holds any more comes first: resumed trials beat new ones. Of the free
# tickets none beyond LATER_PLACES can be the next, so that a claim reads as many in a large study as in a small one.
CLAIM = text("""
    WITH elsewhere AS (
      SELECT DISTINCT unnest(programs) AS optimizer FROM worker
       WHERE study_id = :study AND id <> :worker AND state <> 'gone'
         AND heartbeat_at BETWEEN clock_timestamp() - make_interval(secs => :lease_seconds)
                              AND clock_timestamp() + make_interval(secs => :lease_seconds)),
    taken AS (
      UPDATE ticket SET state = 'leased', worker_id = :worker, token = gen_random_uuid(), attempt = attempt + 1,
             lease_until = clock_timestamp() + make_interval(secs => :lease_seconds),
             started_at = coalesce(started_at, clock_timestamp())
       WHERE id = (SELECT id FROM ticket
                    WHERE (study_id = :study AND state = 'leased' AND lease_until = '-infinity')
                       OR (study_id = :study AND state = 'free' AND ord <= :later_places
                           + (SELECT min(ord) FROM ticket WHERE study_id = :study AND state = 'free'))
                    ORDER BY state = 'leased' DESC, trial_id IS NULL,
                             ord + CASE WHEN optimizer <> ALL (CAST(:held AS text[]))
                                         AND optimizer IN (SELECT optimizer FROM elsewhere)
                                        THEN :later_places ELSE 0 END
                    LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING id, ord, token, attempt, max_attempts, phase, optimizer, seed, fixed_params,
                role, arguments, trial_id, trial_number, cause),
    note AS (
      UPDATE worker SET heartbeat_at = clock_timestamp(), programs = CAST(:held AS text[]) || taken.optimizer,
             usage = coalesce(CAST(:usage AS jsonb), usage)
        FROM taken WHERE worker.id = :worker)
    SELECT * FROM taken""")


def claim_ticket(
    engine: Engine,
    study_id: int,
    worker_id: uuid.UUID,
    lease_seconds: float = LEASE_SECONDS,
    held: Sequence[str] = (),
    usage: Mapping[str, float] | None = None,
) -> Ticket | None:
    """Take the next ticket of a running study, or None where nothing can be claimed now.

    `held` names the optimizers for which this worker has compiled a program. Each worker trains in order, but leaves
    those that another living one has a program for until they have been overtaken by LATER_PLACES places. `usage` is how
    busy the worker is; None: as it was.
    """
    with engine.begin() as connection:
        if connection.execute(OPEN_STUDY, {"study": study_id}).first() is None:
            return None
        values = {"study": study_id, "worker": worker_id, "lease_seconds": lease_seconds}
        values |= {"held": list(held), "later_places": LATER_PLACES, "usage": as_json(usage)}
        row = connection.execute(CLAIM, values).mappings().first()
        return None if row is None else Ticket(**{**row, "fixed_params": row["fixed_params"] or {}})


UNDONE = text("SELECT count(*) FROM ticket WHERE study_id = :study AND state <> 'done'")


def count_undone(engine: Engine, study_id: int) -> int:
    """How many tickets somebody still has to finish."""
    with engine.begin() as connection:
        return int(connection.execute(UNDONE, {"study": study_id}).scalar_one())


# Tokens are compared, not ages, for clocks differ: whoever holds a ticket with the trial's token is about to bind it.
ORPHANS = text("""
    SELECT t.number
      FROM optuna.trials t
      JOIN optuna.studies s ON s.study_id = t.study_id
      JOIN study ON study.optuna_study_name = s.study_name
      LEFT JOIN optuna.trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'token'
     WHERE study.id = :study AND t.state = 'RUNNING'
       AND NOT EXISTS (SELECT 1 FROM ticket WHERE ticket.trial_id = t.trial_id)
       AND NOT EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND ticket.state = 'leased'
                          AND to_json(token::text)::text = a.value_json)""")


def find_orphans(engine: Engine, study_id: int) -> list[int]:
    """The numbers of running Optuna trials that no ticket knows: their workers died between asking and binding."""
    with engine.begin() as connection:
        return list(connection.execute(ORPHANS, {"study": study_id}).scalars())


def lease_seconds(environment: Mapping[str, str]) -> float:
    """How long a lease is; tests have less time."""
    return number_in(environment, "OPTSELECT_LEASE_SECONDS", LEASE_SECONDS)


def as_json(usage: Mapping[str, float] | None) -> str | None:
    return None if usage is None else json.dumps(usage)


# --- holding ------------------------------------------------------------------------------------------

RENEW = text("""
    WITH fence AS (
      UPDATE ticket SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
       WHERE id = :ticket AND token = :token AND state = 'leased' RETURNING worker_id, study_id),
    beat AS (
      UPDATE worker SET heartbeat_at = clock_timestamp(), usage = coalesce(CAST(:usage AS jsonb), usage)
        FROM fence WHERE worker.id = fence.worker_id)
    SELECT study.state, coalesce((SELECT stop_requested FROM worker WHERE id = fence.worker_id), false)
      FROM fence JOIN study ON study.id = fence.study_id""")


def renew_lease(
    engine: Engine,
    lease: Lease,
    lease_seconds: float = LEASE_SECONDS,
    usage: Mapping[str, float] | None = None,
) -> Orders | None:
    """Keep the ticket for another lease and hear what the study wants; None where the ticket is ours no more."""
    with engine.begin() as connection:
        values = fence_values(lease) | {"lease_seconds": lease_seconds, "usage": as_json(usage)}
        row = connection.execute(RENEW, values).first()
        return None if row is None else Orders(*row)


BIND_TRIAL = text("""
    UPDATE ticket SET trial_id = :trial_id, trial_number = :trial_number
     WHERE id = :ticket AND token = :token AND state = 'leased' RETURNING id""")


def bind_trial(engine: Engine, lease: Lease, trial_id: int, trial_number: int) -> None:
    """Remember which Optuna trial the ticket became, so that a later claimer continues it.

    Raises:
        LeaseLost: the caller must tell its own new trial FAIL, for no ticket knows it.
    """
    values = fence_values(lease) | {"trial_id": trial_id, "trial_number": trial_number}
    with engine.begin() as connection:
        demand_row(connection.execute(BIND_TRIAL, values).first(), lease)


SET_PARAMS = text("""
    UPDATE ticket SET params = CAST(:params AS jsonb), optimizer = :optimizer
     WHERE id = :ticket AND token = :token AND state = 'leased' RETURNING id""")


def set_params(engine: Engine, lease: Lease, optimizer: str, params: Mapping[str, Any]) -> None:
    """Store the optimizer, which the sampler may have chosen, and its arguments as Keras gets them; raises LeaseLost."""
    values = fence_values(lease) | {"optimizer": optimizer, "params": json.dumps(storable(params))}
    with engine.begin() as connection:
        demand_row(connection.execute(SET_PARAMS, values).first(), lease)


FORGET_EPOCHS = text("""
    WITH fence AS (
      SELECT id FROM ticket WHERE id = :ticket AND token = :token AND state = 'leased' FOR UPDATE),
    gone AS (DELETE FROM epoch_log USING fence WHERE ticket_id = fence.id AND epoch > :keep),
    later AS (DELETE FROM checkpoint USING fence WHERE ticket_id = fence.id AND epoch > :keep)
    UPDATE ticket SET epochs = :keep FROM fence WHERE ticket.id = fence.id RETURNING ticket.id""")

# MLflow cannot take points back: where it has seen any, the curve starts again in a run of its own.
LEAVE_RUN = text("""
    WITH old AS (SELECT id, mlflow_run_id FROM ticket
                  WHERE id = :ticket AND mlflow_run_id IS NOT NULL),
    note AS (
      UPDATE outbox SET mlflow_epoch = 0, error = NULL, superseded = superseded || to_jsonb(old.mlflow_run_id)
        FROM old, ticket WHERE outbox.ticket_id = old.id AND ticket.id = old.id
         AND outbox.mlflow_epoch > :keep RETURNING outbox.ticket_id)
    UPDATE ticket SET mlflow_run_id = NULL, restarts = restarts + 1 FROM note WHERE ticket.id = note.ticket_id""")


def restart_after(engine: Engine, lease: Lease, epoch: int) -> None:
    """Drop what an earlier attempt left beyond the epoch from which this attempt goes on; raises LeaseLost."""
    values = fence_values(lease) | {"keep": epoch}
    with engine.begin() as connection:
        demand_row(connection.execute(FORGET_EPOCHS, values).first(), lease)
        connection.execute(LEAVE_RUN, values)


GIVE_BACK = text("""
    UPDATE ticket SET lease_until = '-infinity', attempt = attempt - 1
     WHERE id = :ticket AND token = :token AND state = 'leased' RETURNING id""")


def give_back(engine: Engine, lease: Lease) -> bool:
    """Make the ticket claimable at once; leaving in good order is no lost attempt."""
    with engine.begin() as connection:
        return connection.execute(GIVE_BACK, fence_values(lease)).first() is not None


UNCOUNT = text("""
    UPDATE ticket SET attempt = attempt - 1
     WHERE id = :ticket AND token = :token AND state = 'leased' AND attempt > 1 RETURNING id""")


def forgive_attempt(engine: Engine, lease: Lease) -> None:
    """Count this attempt as the one before: the database was away, nothing was wrong with the trial."""
    with engine.begin() as connection:
        connection.execute(UNCOUNT, fence_values(lease))


EXPIRE = text("""
    UPDATE ticket SET lease_until = '-infinity', cause = :cause
     WHERE id = :ticket AND token = :token AND state = 'leased'""")


def expire_lease(engine: Engine, lease: Lease, cause: str) -> None:
    """Let the next worker claim the ticket at once; the attempt counts as lost, for this cause."""
    with engine.begin() as connection:
        connection.execute(EXPIRE, fence_values(lease) | {"cause": cause})


# --- finishing ----------------------------------------------------------------------------------------

OWN = text(
    "SELECT study_id FROM ticket WHERE id = :ticket AND token = :token AND state = 'leased' FOR UPDATE"
)

MARK_DONE = text("""
    UPDATE ticket SET state = 'done', outcome = :outcome, error = :message, trial_value = :value, epochs = :epochs,
           result = CAST(:result AS jsonb), finished_at = clock_timestamp()
     WHERE id = :ticket""")

DROP_CHECKPOINTS = text("DELETE FROM checkpoint WHERE ticket_id = :ticket RETURNING uri")

LOCK_STUDY = text("SELECT id FROM study WHERE id = :study FOR NO KEY UPDATE")

FINISH_STUDY = text("""
    UPDATE study SET state = 'finished', finished_at = clock_timestamp()
     WHERE id = :study AND state <> 'finished'
       AND NOT EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND state <> 'done')""")


def plan_nothing(_connection: Connection, _study_id: int) -> None:
    """For a study whose tickets are all made."""


@contextlib.contextmanager
def finishing(
    engine: Engine,
    lease: Lease,
    ending: TrialEnding,
    plan: Callable[[Connection, int], None] = plan_nothing,
    folder: str | None = None,
) -> Iterator[Connection]:
    """Hold the ticket's row while the block tells Optuna, then mark the ticket done; raises LeaseLost.

    Args:
        plan: makes the tickets of the next phase where this was the last one of a phase; it runs under the
            study's lock, before the study counts as finished.
        folder: the study's, where large checkpoints lie; None: they stay there.

    What the block writes with the connection it is given is kept or lost with the mark. It must take no other one: a
    beat of the lease may hold it and wait for this row. It must be safe to run again.
    """
    with engine.begin() as connection:
        study_id = demand_row(connection.execute(OWN, fence_values(lease)).first(), lease)[0]
        yield connection
        # Taken only now, for Optuna's answer may take long, and before the mark: of two workers that
        # finish the last two tickets at once the second must see the first one's mark.
        connection.execute(LOCK_STUDY, {"study": study_id})
        connection.execute(MARK_DONE, fence_values(lease) | ending_values(ending))
        plan(connection, study_id)
        dropped = connection.execute(DROP_CHECKPOINTS, {"ticket": lease.ticket_id}).scalars().all()
        # Before the commit: after a crash in between the rows are there again and tell that files are to be removed.
        if folder is not None and any(uri is not None for uri in dropped):
            remove_ours(folder, ticket_folder(lease.ticket_id))
        connection.execute(FINISH_STUDY, {"study": study_id})


def ending_values(ending: TrialEnding) -> dict[str, Any]:
    return {
        "outcome": ending.outcome,
        "message": ending.message or None,
        "value": ending.value,
        "epochs": ending.epochs,
        "result": json.dumps(storable({**(ending.result or {}), NOTES: ending.notes})),
    }


# --- making -------------------------------------------------------------------------------------------

INSERT_TICKETS = text("""
    WITH made AS (
      INSERT INTO ticket(study_id, ord, phase, optimizer, seed, fixed_params, role, arguments)
      SELECT :study, r.ord, r.phase, r.optimizer, r.seed, r.fixed_params, r.role, r.arguments
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r(ord int, phase text, optimizer text, seed bigint, fixed_params jsonb, role text, arguments jsonb)
      RETURNING id)
    INSERT INTO outbox(ticket_id) SELECT id FROM made""")

NEXT_ORD = text("SELECT coalesce(max(ord) + 1, 0) FROM ticket WHERE study_id = :study")


def insert_tickets(connection: Connection, study_id: int, tickets: Sequence[NewTicket]) -> None:
    """Append tickets, each with its outbox row; the caller holds the study's row or its creation lock."""
    if not tickets:
        return
    first = int(connection.execute(NEXT_ORD, {"study": study_id}).scalar_one())
    rows = [{"ord": first + place, **vars(ticket)} for place, ticket in enumerate(tickets)]
    connection.execute(INSERT_TICKETS, {"study": study_id, "rows": json.dumps(rows)})


# --- the fence ----------------------------------------------------------------------------------------


def fence_values(lease: Lease) -> dict[str, Any]:
    return {"ticket": lease.ticket_id, "token": lease.token}


def demand_row(row: Any, lease: Lease) -> Any:
    """The row a fenced statement returned; raises LeaseLost where it returned none."""
    if row is None:
        raise LeaseLost(f"Ticket {lease.ticket_id} now belongs to another worker; this attempt ends here.")
    return row
