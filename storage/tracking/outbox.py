"""What of a study does MLflow lack, and what does it refuse? Table outbox says so, one row for each ticket.

epoch_log is the truth; MLflow is a copy that may be late. Anybody may empty the outbox, any number of times: points are
sent with the timestamps of epoch_log, which are part of MLflow's key, and sending them again changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text

from optselect.storage.records.curves import EpochRow
from optselect.storage.server.jsonb import numbers

AWAY_SECONDS = 10.0
"""How long a tracking server is left in peace that did not answer, or that refused a run."""


@dataclass(frozen=True)
class RunRow:
    """What of a trial's row its run in MLflow shows at the end."""

    ticket_id: int
    trial_number: int
    state: str  # of the ticket; "done": the trial has ended
    outcome: str  # empty until then
    mlflow_run_id: str | None  # None: nothing of it was sent
    mlflow_epoch: int  # up to which it was sent
    epochs: int
    trial_value: float | None
    result: Mapping[str, Any]  # numbers as jsonb holds them
    finished_ms: int  # since 1970; 0 until then

    @property
    def is_done(self) -> bool:
        """Whether the trial has ended."""
        return self.state == "done"


@dataclass(frozen=True)
class PendingRun(RunRow):
    """A trial of which MLflow lacks something, and what its run is described by."""

    upto: int  # the last epoch that may be sent
    superseded: Sequence[str]  # runs that earlier attempts left; to be closed
    refused: str | None  # what MLflow has refused of it so far, a line each
    started_ms: int
    attempt: int
    restarts: int
    worker_id: str | None
    phase: str
    role: str
    optimizer: str
    seed: int
    params: Mapping[str, Any]  # arguments of the optimizer; empty where the trial ended before it had any
    jit: str  # "on" or "off"
    error: str | None
    notes: Mapping[str, Any]


# --- what waits ---------------------------------------------------------------------------------------

# A ticket that was never asked for (no trial_number) has nothing to show yet. Of a running trial only the epochs up
# to its last checkpoint are sent: those behind it may be trained again, and MLflow cannot take points back.
WAITING = """
      FROM outbox o JOIN ticket t ON t.id = o.ticket_id JOIN study ON study.id = t.study_id
     CROSS JOIN LATERAL (SELECT CASE WHEN t.state = 'done' THEN 2147483647 ELSE
           coalesce((SELECT max(epoch) FROM checkpoint c WHERE c.ticket_id = t.id), 0) END AS upto) AS sure
     WHERE t.study_id = :study AND NOT o.finished
       AND o.next_try NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => :longest)
       AND t.trial_number IS NOT NULL AND (t.params IS NOT NULL OR t.state = 'done')
       AND (t.state = 'done' OR t.mlflow_run_id IS NULL OR jsonb_array_length(o.superseded) > 0
            OR EXISTS (SELECT 1 FROM epoch_log e WHERE e.ticket_id = t.id AND e.epoch > o.mlflow_epoch
                          AND e.epoch <= sure.upto))"""

# To find the next one among some thousand costs more than to send it: so several are found at once.
DUE = text(f"SELECT o.ticket_id {WAITING} ORDER BY o.next_try, t.ord LIMIT 50 FOR UPDATE OF o SKIP LOCKED")


def due_tickets(engine: Engine, study_id: int) -> list[int]:
    """The tickets of which something waits to be sent, in turn; not all of them, where they are many."""
    with engine.begin() as connection:
        return list(connection.execute(DUE, {"study": study_id, "longest": AWAY_SECONDS}).scalars())


NEXT = text(
    """
    SELECT o.ticket_id, o.mlflow_epoch, o.superseded, o.error AS refused, t.trial_number, t.restarts,
           t.mlflow_run_id, t.state, t.outcome, t.phase, t.role, t.optimizer, t.seed, t.attempt, t.worker_id, t.params,
           t.error, t.epochs, t.trial_value,
           t.result - 'notes' AS result, coalesce(t.result -> 'notes', '{}'::jsonb) AS notes,
           (extract(epoch FROM t.started_at) * 1000)::bigint AS started_ms,
           (extract(epoch FROM t.finished_at) * 1000)::bigint AS finished_ms, sure.upto,
           coalesce((SELECT CASE WHEN (made ->> 'jit')::boolean THEN 'on' ELSE 'off' END
                       FROM jsonb_array_elements(study.decisions) AS made WHERE made ->> 'phase' = 'jit'),
                    study.spec ->> 'jit', 'off') AS jit
"""
    + WAITING
    + " AND o.ticket_id = :ticket FOR UPDATE OF o SKIP LOCKED"
)


def take_pending(connection: Connection, study_id: int, ticket_id: int) -> PendingRun | None:
    """Lock what waits of a ticket, until the transaction ends; None where nothing waits, or somebody else sends it.

    Only the outbox row is locked while MLflow answers: a locked ticket would stop the training thread.
    """
    asked = {"study": study_id, "ticket": ticket_id, "longest": AWAY_SECONDS}
    row = connection.execute(NEXT, asked).mappings().first()
    return None if row is None else PendingRun(**{**filled(row), "params": row["params"] or {}})


def filled(row: RowMapping) -> dict[str, Any]:
    """The columns of a RunRow; those that are empty until the trial has ended, as values of their type."""
    empty = {"outcome": "", "result": {}, "finished_ms": 0}
    return {**row, **{name: row[name] or other for name, other in empty.items()}}


ROWS = text("""
    SELECT epoch, ts_ms, metrics, system FROM epoch_log
     WHERE ticket_id = :ticket AND epoch > :sent AND epoch <= :upto ORDER BY epoch LIMIT :most""")
MOST_ROWS = 200


def unsent_epochs(connection: Connection, run: PendingRun) -> list[EpochRow]:
    """The next epochs of a run, in order; fewer than MOST_ROWS are all that may be sent."""
    wanted = {"ticket": run.ticket_id, "sent": run.mlflow_epoch, "upto": run.upto, "most": MOST_ROWS}
    rows = connection.execute(ROWS, wanted).all()
    return [EpochRow(row.epoch, row.ts_ms, numbers(row.metrics), row.system) for row in rows]


UNSENT = text("""
    SELECT count(*) FROM outbox o JOIN ticket t ON t.id = o.ticket_id
     WHERE t.study_id = :study AND NOT o.finished AND t.trial_number IS NOT NULL""")


def count_unsent(engine: Engine, study_id: int) -> int:
    """How many trials MLflow has not seen to their end."""
    with engine.begin() as connection:
        return int(connection.execute(UNSENT, {"study": study_id}).scalar_one())


# --- what was done ------------------------------------------------------------------------------------

CLOSED_OLD_RUNS = text("UPDATE outbox SET superseded = '[]' WHERE ticket_id = :ticket")


def note_closed(connection: Connection, run: PendingRun) -> None:
    """The runs of earlier attempts are closed."""
    connection.execute(CLOSED_OLD_RUNS, {"ticket": run.ticket_id})


SENT = text("""
    UPDATE outbox SET mlflow_epoch = :epoch, next_try = clock_timestamp(), error = :error
     WHERE ticket_id = :ticket""")
FINISHED = text("""
    UPDATE outbox SET finished = true, error = :error,
           mlflow_epoch = coalesce((SELECT max(epoch) FROM epoch_log e WHERE e.ticket_id = outbox.ticket_id), mlflow_epoch)
     WHERE ticket_id = :ticket""")
NOTED = text("UPDATE outbox SET error = :error WHERE ticket_id = :ticket")


def note_sent(
    connection: Connection, run: PendingRun, upto: int | None, refused: Sequence[str], *, ended: bool
) -> None:
    """A batch is in MLflow, but for what it refuses of it.

    Args:
        upto: the last epoch that the batch held; None: it held none.
        ended: whether the run has its end now.
    """
    values = {"ticket": run.ticket_id, "error": noted(run.refused, refused)}
    if ended:
        connection.execute(FINISHED, values)
    elif upto is not None:
        connection.execute(SENT, {**values, "epoch": upto})
    else:
        connection.execute(NOTED, values)


PUT_OFF = text("""
    UPDATE outbox SET next_try = clock_timestamp() + make_interval(secs => :seconds), error = :error
     WHERE ticket_id = :ticket""")


def put_off(connection: Connection, run: PendingRun, words: str) -> None:
    """MLflow takes nothing of a run for now: others come first for a while."""
    error = noted(run.refused, [], words)
    connection.execute(PUT_OFF, {"ticket": run.ticket_id, "seconds": AWAY_SECONDS, "error": error})


SET_RUN = text("""
    UPDATE ticket SET mlflow_run_id = :run WHERE id = :ticket AND restarts = :restarts AND mlflow_run_id IS NULL""")


def set_run(connection: Connection, run: PendingRun, run_id: str) -> None:
    """Keep MLflow's id of a run that was made; the last statement of a transaction, for it locks the ticket."""
    connection.execute(SET_RUN, {"ticket": run.ticket_id, "restarts": run.restarts, "run": run_id})


FORGET_SENT = text("""
    WITH old AS (
      UPDATE outbox SET mlflow_epoch = 0, finished = false, error = NULL, next_try = clock_timestamp()
        FROM ticket
       WHERE ticket.id = ticket_id AND study_id = :study RETURNING ticket_id)
    UPDATE ticket SET mlflow_run_id = NULL FROM old WHERE id = ticket_id""")


def forget_sent(engine: Engine, study_id: int) -> None:
    """Let everything of a study be sent again: to another server, or where runs were deleted.

    Runs that are there are found by their tag, and a point that is there is not doubled.
    """
    with engine.begin() as connection:
        connection.execute(FORGET_SENT, {"study": study_id})


# --- what MLflow refuses ------------------------------------------------------------------------------

REFUSALS = text("""
    SELECT t.trial_number, o.error, NOT o.finished AS waits FROM outbox o JOIN ticket t ON t.id = o.ticket_id
     WHERE t.study_id = :study AND o.error IS NOT NULL ORDER BY t.trial_number""")


@dataclass(frozen=True)
class Refusal:
    """What MLflow does not take of a trial."""

    trial: int
    words: str
    waits: bool  # it is tried again; else it was left out, and the rest of the trial is there

    def __str__(self) -> str:
        return f"trial {self.trial}: {self.words}"


def read_refusals(engine: Engine, study_id: int) -> list[Refusal]:
    """What MLflow does not take of a study, by trial."""
    with engine.begin() as connection:
        rows = connection.execute(REFUSALS, {"study": study_id}).all()
    return [Refusal(row.trial_number, in_one_line(row.error), row.waits) for row in rows]


MOST_SHOWN = 3


def in_words(refusals: Sequence[Refusal]) -> str:
    """What MLflow refuses, for a sentence; of many trials the first.

    >>> in_words([Refusal(number, "metric a: too long", waits=False) for number in range(5)])
    'trial 0: metric a: too long; trial 1: metric a: too long; trial 2: metric a: too long; and of 2 more trials'
    """
    shown = [str(refusal) for refusal in refusals[:MOST_SHOWN]]
    hidden = len(refusals) - len(shown)
    return "; ".join([*shown, *([f"and of {hidden} more trial{'s' * (hidden > 1)}"] if hidden else [])])


def in_one_line(error: str) -> str:
    """What the outbox has noted, for a sentence.

    >>> in_one_line("metric a: too long\\nmetric b: no number")
    'metric a: too long, and 1 more'
    """
    first, *others = error.splitlines()
    return f"{first}, and {len(others)} more" if others else first


FOR_NOW = "all of it, for now: "
MOST_NOTED = 10  # lines


def noted(known: str | None, refused: Sequence[str], for_now: str = "") -> str | None:
    """What the outbox keeps of refusals: what was left out, a line each, and last why all else waits.

    >>> noted("metric a: too long", ["metric b: no number"], "no such run")
    'metric a: too long\\nmetric b: no number\\nall of it, for now: no such run'
    >>> noted("all of it, for now: no such run", [])
    """
    kept = [line for line in (known or "").splitlines() if not line.startswith(FOR_NOW)]
    lines = [*dict.fromkeys([*kept, *refused])][:MOST_NOTED]
    return "\n".join([*lines, *([FOR_NOW + for_now] if for_now else [])]) or None
