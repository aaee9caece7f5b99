"""How do curves get into MLflow? By an outbox that anybody may empty, any number of times.

epoch_log is the truth; MLflow is a copy that may be late. One row of outbox per ticket says how far the
copy is. Points are sent with the timestamps of epoch_log, which are part of MLflow's key: sending them
again changes nothing. One experiment per study, one flat run per trial.

MLflow is imported inside functions only: the import costs 1.7 s of CPU, and most commands need none of it.
"""

import logging
import math
import os
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from optselect.storage.errors import InvalidAddress
from optselect.storage.records.studies import StoredStudy
from optselect.storage.schema.initialise import ensure_mlflow
from optselect.storage.server.database import Database
from optselect.storage.server.jsonb import numbers
from optselect.storage.tracking.access import offer_token
from optselect.storage.tracking.batches import refuses_a_run, send, words_of
from optselect.storage.tracking.chart_views import (
    BEST,
    CURVES,
    FINALS,
    RATE_EXPONENT,
    Window,
    view_query,
    view_tags,
    window_of,
)
from optselect.storage.tracking.colours import colour_of
from optselect.storage.tracking.shown_names import ShownNames

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
AWAY_SECONDS = 10.0
"""How long the flusher leaves a tracking server in peace that did not answer."""

REQUEST_SECONDS = 30.0
"""How long what is under way at the end may still take."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the flusher itself tries again; MLflow's default hangs for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout holds our answer
}


@dataclass(frozen=True)
class Tracking:
    """Where the curves of a study go."""

    uri: str = field(repr=False)  # http://..., or MLflow's own database, with its password
    artifacts: str | None = None  # location of a new experiment's artifacts; None: the server chooses


SCHEMES = ("http", "https", "sqlite", "postgresql", "postgresql+psycopg2", "mysql", "mysql+pymysql", "mssql")


def check_tracking(address: str) -> None:
    """Refuse what MLflow cannot reach, and passwords: a study keeps its address; raises InvalidAddress."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.path):
        raise InvalidAddress(
            f"--tracking must be the address of an MLflow server, such as http://127.0.0.1:5000. "
            f"Received: {parts.scheme or address}."
        )
    if parts.password is not None:
        raise InvalidAddress(
            "--tracking must hold no password, for it is stored with the study. Received: one. "
            "Give it by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or PGPASSFILE for a database."
        )


def find_tracking(database: Database, study: StoredStudy, own: str | None) -> Tracking:
    """Where this process sends a study's curves: its own setting, else the study's, else MLflow's tables beside ours."""
    address = own or study.tracking_uri
    if address:
        check_tracking(address)  # a row may hold what no launch writes, such as a folder of this machine
        return Tracking(address)
    url = ensure_mlflow(database)
    return Tracking(url.render_as_string(hide_password=False), artifact_root(database))


def artifact_root(database: Database) -> str:
    return (database.home / "artifacts").as_uri()


# --- the flusher --------------------------------------------------------------------------------------


class Flusher:
    """A thread that carries one study's epochs to MLflow while trials run.

    It never raises: a tracking server that is away costs nothing but lateness, and `behind` says so.
    """

    def __init__(
        self,
        engine: Engine,
        study: StoredStudy,
        tracking: Callable[[], Tracking],
        at_end: Callable[["Connected"], object] | None = None,
    ) -> None:
        self._engine, self._study, self._tracking, self._at_end = engine, study, tracking, at_end
        self._closing = threading.Event()
        self._deadline = math.inf
        self.behind = ""  # why the copy is late, in one line; empty while all is well
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def begin_close(self, patience_seconds: float) -> None:
        """Send what is left and end, without waiting for it."""
        self._deadline = time.monotonic() + patience_seconds
        self._closing.set()

    @property
    def is_running(self) -> bool:
        """Whether something may still be sent."""
        return self._thread.is_alive()

    def close(self, patience_seconds: float = 60.0) -> bool:
        """Send what is left and end; tell whether everything arrived."""
        self.begin_close(patience_seconds)
        self._thread.join(patience_seconds + REQUEST_SECONDS)
        if self._thread.is_alive():
            self.behind = self.behind or "the server takes very long"
        return not self._thread.is_alive() and not self.behind

    def _run(self) -> None:
        connection: Connected | None = None
        while True:
            closing, away = self._closing.is_set(), False
            try:
                connection = connection or connect(self._engine, self._study, self._tracking())
                sent = connection.flush()
                if not sent and closing and self._at_end is not None:
                    self._at_end(connection)
                    self._at_end = None
                refusals = [] if sent else connection.refusals(closing)
                waits = any(refusal.waits for refusal in refusals)
                if not sent:
                    self._note(in_words(refusals))
            except Exception as error:  # MLflow raises everything from requests' errors to its own
                log.debug("flush failed", exc_info=error)
                self._note(cause_in_short(error))
                sent, away, waits = False, True, True
            if not sent and closing and (not waits or time.monotonic() > self._deadline):
                return
            if not sent:
                self._closing.wait(AWAY_SECONDS if away and not closing else IDLE_SECONDS)
                if closing and self.behind:
                    time.sleep(IDLE_SECONDS)

    def _note(self, line: str) -> None:
        if line and not self.behind:
            log.warning("MLflow does not take all curves now; they stay in Postgres. %s", line)
        self.behind = line


def cause_in_short(error: Exception) -> str:
    """Why MLflow took nothing, without addresses (they may hold passwords) and the layers of urllib3.

    >>> cause_in_short(RuntimeError("Max retries exceeded (Caused by X: Failed to establish a new connection)"))
    'the server does not answer'
    """
    words = " ".join(str(error).split())
    if isinstance(error, SQLAlchemyError):
        return "its database does not answer"
    if "UNAUTHENTICATED" in words:
        return "it asks for a token (MLFLOW_TRACKING_TOKEN)"
    if "Max retries exceeded" in words or "timed out" in words:
        return "the server does not answer"
    return f"{type(error).__name__}: {words[:120]}"


def is_refusal(error: Exception) -> bool:
    """Tell MLflow's own errors, and those of its way to a server or database, from mistakes of ours."""
    return type(error).__module__.partition(".")[0] in (
        "mlflow",
        "requests",
        "urllib3",
        "sqlalchemy",
        "psycopg2",
    )


UNSENT = text("""
    SELECT count(*) FROM outbox o JOIN ticket t ON t.id = o.ticket_id
     WHERE t.study_id = :study AND NOT o.finished AND t.trial_number IS NOT NULL""")


def count_unsent(engine: Engine, study_id: int) -> int:
    """How many trials MLflow has not seen to their end."""
    with engine.begin() as connection:
        return int(connection.execute(UNSENT, {"study": study_id}).scalar_one())


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


MOST_SHOWN = 3


def in_words(refusals: Sequence[Refusal]) -> str:
    """What MLflow refuses, for a sentence; of many trials the first.

    >>> in_words([Refusal(number, "metric a: too long", waits=False) for number in range(5)])
    'trial 0: metric a: too long; trial 1: metric a: too long; trial 2: metric a: too long; and of 2 more trials'
    """
    shown = [str(refusal) for refusal in refusals[:MOST_SHOWN]]
    hidden = len(refusals) - len(shown)
    return "; ".join([*shown, *([f"and of {hidden} more trial{'s' * (hidden > 1)}"] if hidden else [])])


@dataclass
class Connected:
    """A flusher's connection: the study's experiment exists and runs can be written."""

    engine: Engine
    client: "MlflowClient"
    study: StoredStudy
    experiment_id: str
    told: dict[str, str] = field(default_factory=dict)  # tags of the experiment, as MLflow has them
    tell_due: float = 0.0  # by time.monotonic()
    has_news: bool = True  # whether anything was sent since it told last
    runs: int = 0  # ended so far, by this connection
    points: int = 0  # sent so far
    has_refusals: bool = False  # whether MLflow has refused anything that this connection sent
    in_vain: int = 0  # how many batches, one after the other, were put off
    due: list[int] = field(default_factory=list)  # tickets of which something waits, the next one last

    def flush(self) -> bool:
        """Send one batch, or refresh what the experiment tells; tell whether there may be more."""
        self.due = self.due or due_tickets(self.engine, self.study.id)[::-1]
        sent = None
        if self.due:
            sent = flush_one(self.engine, self.client, self.study, self.experiment_id, self.due.pop())
        if sent is not None:
            self.runs, self.points, self.has_news = self.runs + sent.runs, self.points + sent.points, True
            self.has_refusals = self.has_refusals or sent.refused
            self.in_vain = self.in_vain + 1 if sent.put_off else 0
        if self.has_news and (sent is None or time.monotonic() >= self.tell_due):
            self.tell()
        return sent is not None

    def tell(self, answer: str = "") -> None:
        """Refresh the experiment's note, the answer above it, and the range of its charts."""
        self.tell_due = time.monotonic() + 5.0
        note = experiment_note(self.engine, self.study, self.experiment_id)
        window, names = shown_window(self.engine, self.study), metric_names(self.study)
        tags = {
            NOTE: f"{answer}\n\n{note}" if answer else note,
            **view_tags(
                self.study.objective, self.study.direction, window, names.shown(self.study.objective)
            ),
            **names.originals(self.study.problem.get("metrics", ())),
        }
        for key, value in tags.items():
            if self.told.get(key) != value:
                self.client.set_experiment_tag(self.experiment_id, key, value)
        self.told, self.has_news = tags, False

    def refusals(self, ask: bool = True) -> list[Refusal]:
        """What MLflow lacks because it refuses it; without asking, only if this connection knows that there is any."""
        if not ask and not self.has_refusals:
            return []
        with self.engine.begin() as connection:
            rows = connection.execute(REFUSALS, {"study": self.study.id}).all()
        return [Refusal(row.trial_number, in_one_line(row.error), row.waits) for row in rows]


def connect(engine: Engine, study: StoredStudy, tracking: Tracking) -> Connected:
    """Reach MLflow and make the study's experiment where it is missing."""
    client = open_client(tracking.uri)
    return Connected(engine, client, study, ensure_experiment(engine, client, study, tracking.artifacts))


def open_client(uri: str) -> "MlflowClient":
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # before the import, which reads them
    offer_token(uri)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


# --- the experiment -----------------------------------------------------------------------------------

LOCK_EXPERIMENT = text("SELECT pg_advisory_xact_lock(hashtext('optselect-experiment'), :study)")
GET_EXPERIMENT = text("SELECT mlflow_experiment_id FROM study WHERE id = :study")
SET_EXPERIMENT = text("UPDATE study SET mlflow_experiment_id = :experiment WHERE id = :study")


def ensure_experiment(
    engine: Engine, client: "MlflowClient", study: StoredStudy, artifacts: str | None
) -> str:
    """The study's experiment, made once however many flushers start at the same moment."""
    name = f"optselect/{study.name}"
    with engine.begin() as connection:
        connection.execute(LOCK_EXPERIMENT, {"study": study.id})
        known = connection.execute(GET_EXPERIMENT, {"study": study.id}).scalar_one()
        found = client.get_experiment_by_name(name)
        if found is not None:
            experiment_id = str(found.experiment_id)
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(experiment_id)
        else:
            location = None if artifacts is None else f"{artifacts}/{study.id}"
            experiment_id = client.create_experiment(name, location, experiment_tags(study))
        if known != experiment_id:
            connection.execute(SET_EXPERIMENT, {"study": study.id, "experiment": experiment_id})
    return experiment_id


def experiment_tags(study: StoredStudy) -> dict[str, str]:
    return {
        "optselect.study": study.name,
        "optselect.objective": study.objective,
        "optselect.direction": study.direction,
        "optselect.problem": str(study.problem.get("path", "")),
        "optselect.optimizers": ", ".join(study.spec.get("optimizers", [])),
    }


def experiment_link(address: str, experiment_id: str, view: str = CURVES) -> str:
    """The page that shows every trial's curves, or another view of the experiment.

    >>> experiment_link("http://127.0.0.1:5000/", "3")
    'http://127.0.0.1:5000/#/experiments/3/runs?compareRunsMode=CHART&viewStateShareKey=optselect'
    """
    return f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs?{view_query(view)}"


def run_link(address: str, experiment_id: str, run_id: str) -> str:
    """The page of one run."""
    return f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run or an experiment, in Markdown."""

COLOUR = "mlflow.runColor"
"""The tag from which MLflow's page takes the colour of a run's curves."""

BY_OPTIMIZER = text("""
    SELECT t.optimizer, count(*) FILTER (WHERE t.state = 'done') AS done, count(*) AS tickets,
           count(*) FILTER (WHERE t.outcome = 'diverged') AS diverged,
           CASE WHEN s.direction = 'minimize' THEN min(t.trial_value) FILTER (WHERE t.outcome = 'complete')
                ELSE max(t.trial_value) FILTER (WHERE t.outcome = 'complete') END AS best
      FROM ticket t JOIN study s ON s.id = t.study_id WHERE t.study_id = :study
     GROUP BY t.optimizer, s.direction ORDER BY t.optimizer""")


def experiment_note(engine: Engine, study: StoredStudy, experiment_id: str) -> str:
    """The summary that MLflow prints above the runs, in Markdown, with the ways to our views."""
    with engine.begin() as connection:
        rows = connection.execute(BY_OPTIMIZER, {"study": study.id}).mappings().all()
    done, tickets = sum(row["done"] for row in rows), sum(row["tickets"] for row in rows)
    lines = [
        f"**optselect study {study.name}**: {done} of {tickets} runs done. "
        + f"Objective `{study.objective}` ({study.direction}), value at the last epoch.",
        "",
        "| optimizer | done | diverged | best |",
        "|---|---|---|---|",
        *(
            f"| {row['optimizer']} | {row['done']} of {row['tickets']} | {row['diverged']} "
            f"| {'-' if row['best'] is None else format(row['best'], '.4g')} |"
            for row in rows
        ),
        "",
        "A best single run is no verdict: it was picked as the luckiest of many.",
        "",
        " · ".join(f"[{words}]({experiment_link('.', experiment_id, key)})" for key, words in WAYS.items()),
    ]
    return "\n".join(lines)


WAYS = {
    CURVES: "All curves",
    FINALS: "Finals, a mean curve for each optimizer",
    BEST: "Table, best first",
}

# Where each curve begins and ends, and its best: enough to see what is far off.
SPREAD = text("""
    SELECT t.outcome = 'diverged' AS ran_away, t.trial_value AS ended, (t.result ->> :best)::float8 AS best,
           (e.metrics ->> :objective)::float8 AS began
      FROM ticket t LEFT JOIN epoch_log e ON e.ticket_id = t.id AND e.epoch = 1
     WHERE t.study_id = :study AND t.outcome IN ('complete', 'pruned', 'diverged')""")


def shown_window(engine: Engine, study: StoredStudy) -> Window | None:
    """The part of the objective's axis in which the curves can be told apart."""
    wanted = {"study": study.id, "objective": study.objective, "best": f"best_{study.objective}"}
    with engine.begin() as connection:
        rows = connection.execute(SPREAD, wanted).all()
    kept = [value for row in rows if not row.ran_away for value in row[1:] if value is not None]
    return window_of(kept, study.direction, any(row.ran_away for row in rows))


# --- one batch of one run -----------------------------------------------------------------------------

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

ROWS = text("""
    SELECT epoch, ts_ms, metrics, coalesce(system, '{}'::jsonb) AS system FROM epoch_log
     WHERE ticket_id = :ticket_id AND epoch > :mlflow_epoch AND epoch <= :upto ORDER BY epoch LIMIT :most""")
MOST_ROWS = 200

SENT = text("""
    UPDATE outbox SET mlflow_epoch = :epoch, next_try = clock_timestamp(), error = :error
     WHERE ticket_id = :ticket_id""")
FINISHED = text("""
    UPDATE outbox SET finished = true, error = :error,
           mlflow_epoch = coalesce((SELECT max(epoch) FROM epoch_log e WHERE e.ticket_id = outbox.ticket_id), mlflow_epoch)
     WHERE ticket_id = :ticket_id""")
NOTED = text("UPDATE outbox SET error = :error WHERE ticket_id = :ticket_id")
PUT_OFF = text("""
    UPDATE outbox SET next_try = clock_timestamp() + make_interval(secs => :seconds), error = :error
     WHERE ticket_id = :ticket_id""")
CLOSED_OLD_RUNS = text("UPDATE outbox SET superseded = '[]' WHERE ticket_id = :ticket_id")
SET_RUN = text("""
    UPDATE ticket SET mlflow_run_id = :run WHERE id = :ticket_id AND restarts = :restarts AND mlflow_run_id IS NULL""")

METRICS_PER_REQUEST = 900
"""MLflow takes a thousand entities; tags with true names go with the metrics."""
SYSTEM = "system/"
STATUS = {"complete": "FINISHED", "diverged": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
STATE = {"complete": "COMPLETE", "diverged": "DIVERGED", "pruned": "PRUNED", "failed": "FAIL"}


@dataclass(frozen=True)
class Sent:
    """What one batch carried."""

    points: int = 0
    runs: int = 0  # that ended with it
    refused: bool = False  # whether MLflow did not take all of it
    put_off: bool = False  # or nothing


def due_tickets(engine: Engine, study_id: int) -> list[int]:
    """The tickets of which something waits to be sent, in turn; not all of them, where they are many."""
    with engine.begin() as connection:
        return list(connection.execute(DUE, {"study": study_id, "longest": AWAY_SECONDS}).scalars())


def flush_one(
    engine: Engine, client: "MlflowClient", study: StoredStudy, experiment_id: str, ticket_id: int
) -> Sent:
    """Send one batch of one run, unless somebody else does. A run that MLflow refuses is put off and holds up no other.

    Only the outbox row is locked while MLflow answers: a locked ticket would stop the training thread.
    """
    with engine.begin() as connection:
        asked = {"study": study.id, "ticket": ticket_id, "longest": AWAY_SECONDS}
        row = connection.execute(NEXT, asked).mappings().first()
        if row is None:
            return Sent()
        job = dict(row)
        try:
            return carry(connection, client, study, experiment_id, job)
        except Exception as error:
            if not refuses_a_run(error):
                raise
            log.debug("a batch was refused", exc_info=error)
            put_off = {"seconds": AWAY_SECONDS, "error": noted(job["refused"], [], words_of(error))}
            connection.execute(PUT_OFF, {**job, **put_off})
            return Sent(refused=True, put_off=True)


def carry(
    connection: Connection,
    client: "MlflowClient",
    study: StoredStudy,
    experiment_id: str,
    job: Mapping[str, Any],
) -> Sent:
    """Send the next batch of what a run lacks; a short run that has ended goes as one, which costs a third as much."""
    if job["superseded"]:
        for run_id in job["superseded"]:
            close_superseded(client, run_id)
        connection.execute(CLOSED_OLD_RUNS, job)
        return Sent()
    run_id, settings = job["mlflow_run_id"], []
    if run_id is None:
        run_id, settings = find_or_create_run(client, study, experiment_id, job), settings_of(job)
    found = connection.execute(ROWS, {**job, "most": MOST_ROWS}).all()
    rows = whole_batch(found)
    sent, names = points(study, rows), name_tags(study, rows)
    ends = job["state"] == "done" and len(rows) == len(found) < MOST_ROWS  # with this batch
    last = end_of(study, job) if ends else []
    refused = send(client, run_id, [*settings, *sent, *names, *last]) if settings or sent or last else []
    if ends:
        ended = max(job["started_ms"], job["finished_ms"])  # the server's clock may have been set back
        client.set_terminated(run_id, STATUS[job["outcome"]], end_time=ended)
        connection.execute(FINISHED, note_for(job, refused))
    elif rows:
        connection.execute(SENT, {**note_for(job, refused), "epoch": rows[-1].epoch})
    else:
        connection.execute(NOTED, note_for(job, refused))
    if job["mlflow_run_id"] is None:  # only now, for it locks the ticket
        connection.execute(SET_RUN, {**job, "run": run_id})
    return Sent(points=len(sent) - refused_of(sent, refused), runs=int(ends), refused=bool(refused))


def refused_of(metrics: Sequence[Any], refused: Sequence[str]) -> int:
    """How many of these were refused."""
    known = {f"metric {metric.key}" for metric in metrics}
    return sum(any(line.startswith(f"{name}: ") for name in known) for line in refused)


FOR_NOW = "all of it, for now: "
MOST_NOTED = 10  # lines


def note_for(job: Mapping[str, Any], refused: Sequence[str]) -> dict[str, Any]:
    return {"ticket_id": job["ticket_id"], "error": noted(job["refused"], refused)}


def noted(known: str | None, refused: Sequence[str], for_now: str = "") -> str | None:
    """What the outbox keeps of refusals: what was left out, a line each, and last why all else waits.

    >>> noted("metric a: too long", ["metric b: no number"], "no such run")
    'metric a: too long\\nmetric b: no number\\nall of it, for now: no such run'
    >>> noted("all of it, for now: no such run", [])
    """
    kept = [line for line in (known or "").splitlines() if not line.startswith(FOR_NOW)]
    lines = [*dict.fromkeys([*kept, *refused])][:MOST_NOTED]
    return "\n".join([*lines, *([FOR_NOW + for_now] if for_now else [])]) or None


def in_one_line(error: str) -> str:
    """What the outbox has noted, for a sentence.

    >>> in_one_line("metric a: too long\\nmetric b: no number")
    'metric a: too long, and 1 more'
    """
    first, *others = error.splitlines()
    return f"{first}, and {len(others)} more" if others else first


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


def whole_batch(rows: Sequence[Any]) -> Sequence[Any]:
    widest = max((len(row.metrics) + len(row.system) for row in rows), default=1)
    return rows[: max(1, METRICS_PER_REQUEST // max(1, widest))]


def points(study: StoredStudy, rows: Sequence[Any]) -> list[Any]:
    from mlflow.entities import Metric

    names = metric_names(study)
    return [
        Metric(name, finite_or_nan(value), row.ts_ms, row.epoch)
        for row in rows
        for name, value in [*names.shown_all(numbers(row.metrics)).items(), *system_metrics(row.system)]
    ]


def name_tags(study: StoredStudy, rows: Sequence[Any]) -> list[Any]:
    """The true names of what the rows hold, where MLflow has others."""
    return tags_of(metric_names(study).originals(dict.fromkeys(name for row in rows for name in row.metrics)))


def tags_of(facts: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in facts.items()]


OF_THE_RUN = ("objective", "epochs", "diverged", "seconds")
"""Numbers that each run ends with, whatever the user's metrics are called."""
OF_THE_TRIAL = ("optimizer", RATE_EXPONENT, "seed")
"""Parameters that each run has, whatever the arguments of its optimizer are called."""


def metric_names(study: StoredStudy) -> ShownNames:
    """Under which names MLflow shows the numbers of a study's trials."""
    described = {study.objective, *study.problem.get("metrics", ())}
    tests = (f"test_{name.removeprefix('val_')}" for name in described)
    return ShownNames.among([*described, *tests, f"best_{study.objective}"], OF_THE_RUN)


def param_names() -> ShownNames:
    """Under which names MLflow shows settings: arguments of Python, which it takes nearly all."""
    return ShownNames.among([], OF_THE_TRIAL)


def system_metrics(system: Mapping[str, float]) -> list[tuple[str, float]]:
    """Under the names that MLflow shows on a page of their own."""
    return [(f"{SYSTEM}{name}", value) for name, value in system.items()]


def finite_or_nan(value: float) -> float:
    """MLflow stores inf as 1.8e308, which ruins the chart's axis; NaN is kept as NaN."""
    return value if math.isfinite(value) else math.nan


def find_or_create_run(
    client: "MlflowClient", study: StoredStudy, experiment_id: str, job: Mapping[str, Any]
) -> str:
    """The run of this ticket and restart. Creating is not repeatable, so look for an earlier try first."""
    wanted = (
        f"tags.`optselect.ticket` = '{job['ticket_id']}' AND tags.`optselect.restart` = '{job['restarts']}'"
    )
    found = client.search_runs([experiment_id], wanted, max_results=1)
    if found:
        return str(found[0].info.run_id)
    name, tags = run_name(job), run_tags(study, job)
    return str(client.create_run(experiment_id, job["started_ms"], tags, name).info.run_id)


def settings_of(job: Mapping[str, Any]) -> list[Any]:
    """What a run was trained with."""
    from mlflow.entities import Param

    settings = [Param(key, value[:LONGEST_VALUE]) for key, value in run_params(job).items()]
    return [*settings, *tags_of(param_names().originals(job["params"] or {}))]


LONGEST_VALUE = 6000
"""Characters of a parameter that MLflow takes; some servers cut it themselves, others refuse."""


def run_name(job: Mapping[str, Any]) -> str:
    """Number first, so that names sort; short, for they are the legend of the charts: a number is the learning_rate."""
    name = f"{job['trial_number']:03d} {job['optimizer']}"
    rate = (job["params"] or {}).get("learning_rate")
    return f"{name} {rate:.1e}" if is_positive(rate) else name


def run_tags(study: StoredStudy, job: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "study": study.name,
        "trial": job["trial_number"],
        "ticket": job["ticket_id"],
        "restart": job["restarts"],
        "attempt": job["attempt"],
        "worker": job["worker_id"],
        "optimizer": job["optimizer"],
        "phase": job["phase"],
        "role": job["role"],
        "jit": job["jit"],
    }
    if "switch_epoch" in (job["params"] or {}):
        facts["switch_epoch"] = job["params"]["switch_epoch"]
    colour = colour_of(job["optimizer"], study.spec.get("optimizers", []))
    return {**{f"optselect.{name}": str(value) for name, value in facts.items()}, COLOUR: colour}


def run_params(job: Mapping[str, Any]) -> dict[str, str]:
    """The same keys for every optimizer, without prefix: MLflow groups curves by them."""
    arguments = {name: value for name, value in (job["params"] or {}).items() if value is not None}
    shown = {
        name: format(value, ".4g") if isinstance(value, float) else str(value)
        for name, value in param_names().shown_all(arguments).items()
    }
    rate = arguments.get("learning_rate")
    exponent = {RATE_EXPONENT: f"{math.log10(rate):.3f}"} if is_positive(rate) else {}
    return {"optimizer": job["optimizer"], **shown, **exponent, "seed": str(job["seed"])}


def is_positive(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and value > 0


def end_of(study: StoredStudy, job: Mapping[str, Any]) -> list[Any]:
    """A run's single numbers and its end, all with the fixed time at which the ticket was finished."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name, finite_or_nan(value), job["finished_ms"], 0)
        for name, value in shown_numbers(study, job).items()
    ]
    facts = {
        "optselect.state": STATE[job["outcome"]],
        "optselect.attempt": str(job["attempt"]),
        **{f"optselect.{name}": str(note) for name, note in job["notes"].items()},
        **metric_names(study).originals(name for name in final_numbers(job) if name not in OF_THE_RUN),
    }
    if job["error"]:
        facts[NOTE] = job["error"]
    return [*metrics, *tags_of(facts)]


def final_numbers(job: Mapping[str, Any]) -> dict[str, float]:
    """The single numbers of a run; those of the untrained model would only make more charts."""
    stored = numbers(job["result"] or {})
    result = {name: value for name, value in stored.items() if not name.startswith("initial_")}
    if job["trial_value"] is not None:
        result["objective"] = job["trial_value"]
    return result | {"epochs": float(job["epochs"]), "diverged": float(job["outcome"] == "diverged")}


def shown_numbers(study: StoredStudy, job: Mapping[str, Any]) -> dict[str, float]:
    """The same under the names that MLflow shows."""
    names = metric_names(study)
    return {
        name if name in OF_THE_RUN else names.shown(name): value for name, value in final_numbers(job).items()
    }


def close_superseded(client: "MlflowClient", run_id: str) -> None:
    """Mark a run that an earlier attempt left; one that was deleted needs no mark."""
    try:
        client.set_tag(run_id, "optselect.state", "SUPERSEDED")
        client.set_tag(
            run_id, "optselect.phase", "superseded"
        )  # so that counting runs by phase counts trials
        client.set_terminated(run_id, "KILLED")
    except Exception as error:
        if not refuses_a_run(error):
            raise
