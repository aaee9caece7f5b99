"""What is a study, as the database keeps it? Enough to resume it by name alone, from any machine."""

import contextlib
import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.errors import InvalidRow, NotFound
from optselect.storage.records.checkpoint_files import demand_root
from optselect.storage.records.tickets import SEARCH_PHASES, NewTicket, insert_tickets, plan_nothing


@dataclass(frozen=True)
class NewStudy:
    """All that is known of a study when it is created."""

    name: str
    spec: Mapping[str, Any]
    spec_version: int
    problem: Mapping[str, Any]  # the description of the problem, as JSON
    bundle: Mapping[str, str]  # source files by their path below the problem's folder
    bundle_sha256: str
    data_hash: str
    versions: Mapping[str, str]
    objective: str
    direction: str  # minimize or maximize
    tracking_uri: str | None  # None: MLflow's tables beside ours
    checkpoints: str | None = None  # where large ones go; None: the home folder of each machine


@dataclass(frozen=True)
class StoredStudy:
    """A study read back."""

    id: int
    name: str
    spec: Mapping[str, Any]
    spec_version: int
    problem: Mapping[str, Any]
    bundle: Mapping[str, str]
    bundle_sha256: str
    data_hash: str
    versions: Mapping[str, str]
    objective: str
    direction: str
    tracking_uri: str | None
    checkpoints: str | None
    budget: int
    state: str
    decisions: Sequence[Mapping[str, Any]]  # made between phases, in order
    mlflow_experiment_id: str | None
    created_at: datetime
    finished_at: datetime | None

    def __post_init__(self) -> None:
        """Paths are made of the name, and commands: it must be one word, as every launch writes it."""
        if not NAME.fullmatch(self.name):
            raise InvalidRow(
                "The name of a stored study must begin with a letter or digit and hold letters, digits, dots, hyphens "
                f"and underscores only, for folders are named so. Received: {self.name!r}. No launch wrote that row; "
                "look who may write the database."
            )
        if self.checkpoints is not None:
            demand_root(self.checkpoints)


NAME = re.compile(r"\w[\w.-]*")


CREATION_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('optselect-create-study'))")


@contextlib.contextmanager
def creating(engine: Engine) -> Iterator[Connection]:
    """A transaction in which no other process creates a study."""
    with engine.begin() as connection:
        connection.execute(CREATION_LOCK)
        yield connection


COLUMNS = """id, name, spec, spec_version, problem, bundle, bundle_sha256, data_hash, versions, objective,
    direction, tracking_uri, checkpoints, budget, state, decisions, mlflow_experiment_id, created_at, finished_at"""

INSERT_STUDY = text(f"""
    INSERT INTO study(name, optuna_study_name, spec, spec_version, problem, bundle, bundle_sha256, data_hash,
                      versions, objective, direction, tracking_uri, checkpoints, budget,
                      decisions)
    VALUES (:name, :name, CAST(:spec AS jsonb), :spec_version, CAST(:problem AS jsonb), CAST(:bundle AS jsonb),
            :bundle_sha256, :data_hash, CAST(:versions AS jsonb), :objective, :direction, :tracking_uri, :checkpoints,
            :budget, CAST(:decisions AS jsonb))
    RETURNING {COLUMNS}""")


def insert_study(
    connection: Connection,
    study: NewStudy,
    tickets: Sequence[NewTicket],
    budget: int | None = None,
    decisions: Sequence[Mapping[str, Any]] = (),
) -> StoredStudy:
    """Store a new study with its first tickets, inside `creating`.

    Args:
        budget: search trials in all, of which a later phase or slice gets the rest; default: those of `tickets`.
        decisions: what is decided already.
    """
    searched = sum(ticket.phase in SEARCH_PHASES for ticket in tickets)
    values = dict(vars(study)) | {"budget": searched if budget is None else budget}
    values["decisions"] = json.dumps(list(decisions))
    for name in ("spec", "problem", "bundle", "versions"):
        values[name] = json.dumps(values[name])
    row = connection.execute(INSERT_STUDY, values).mappings().one()
    insert_tickets(connection, row["id"], tickets)
    return StoredStudy(**row)


FIND_STUDY = text(f"SELECT {COLUMNS} FROM study WHERE name = :name")


def find_study(source: Engine | Connection, name: str) -> StoredStudy | None:
    """The study of that name, or None."""
    if isinstance(source, Engine):
        with source.begin() as connection:
            return find_study(connection, name)
    row = source.execute(FIND_STUDY, {"name": name}).mappings().first()
    return None if row is None else StoredStudy(**row)


def load_study(engine: Engine, name: str) -> StoredStudy:
    """The study of that name; raises NotFound with the nearest name."""
    # Names are stored with letters put together, as most keyboards give them; macOS gives those of files taken apart.
    study = find_study(engine, name) or find_study(engine, unicodedata.normalize("NFC", name))
    if study is None:
        raise NotFound(unknown_study(name, study_names(engine)))
    return study


def unknown_study(name: str, known: Sequence[str]) -> str:
    """One line on a study that is not there.

    >>> unknown_study("digit", ["diabetes", "digits"])
    'There is no study "digit"; did you mean "digits"? See: optselect studies'
    """
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else "."
    return f'There is no study "{name}"{hint} See: optselect studies'


NAMES = text("SELECT name FROM study ORDER BY name")


def study_names(engine: Engine) -> list[str]:
    """The names of all studies, sorted."""
    with engine.begin() as connection:
        return list(connection.execute(NAMES).scalars())


@dataclass(frozen=True)
class Share:
    """How much work a running study has, and how much of it is done at this moment."""

    name: str
    claimable: int  # tickets that a worker could take now
    running: int  # tickets that workers hold


SHARES = text("""
    SELECT s.name,
           count(*) FILTER (WHERE t.state = 'free' OR t.lease_until = '-infinity') AS claimable,
           count(*) FILTER (WHERE t.state = 'leased' AND t.lease_until > '-infinity') AS running
      FROM study s JOIN ticket t ON t.study_id = s.id AND t.state <> 'done'
     WHERE s.state = 'running' GROUP BY s.id ORDER BY s.created_at""")


def read_shares(engine: Engine) -> list[Share]:
    """The studies that want work done, oldest first."""
    with engine.begin() as connection:
        return [Share(**row) for row in connection.execute(SHARES).mappings()]


STATE = text("SELECT state FROM study WHERE id = :study")


def study_state(engine: Engine, study_id: int) -> str:
    """running, paused, stopped or finished."""
    with engine.begin() as connection:
        return str(connection.execute(STATE, {"study": study_id}).scalar_one())


NOW = text("SELECT state, budget, decisions, finished_at FROM study WHERE id = :study")


def refreshed(engine: Engine, study: StoredStudy) -> StoredStudy:
    """The study as it is now: others may pause or stop it, or give it more trials."""
    with engine.begin() as connection:
        return replace(study, **connection.execute(NOW, {"study": study.id}).mappings().one())


ENDS_FROM = {"paused": ("running",), "stopped": ("running", "paused")}
"""From which states an order changes a study: a stopped one is not paused, for nothing of it runs any more."""

ORDER = text("""
    WITH old AS (SELECT id, state FROM study WHERE id = :study FOR UPDATE),
    new AS (UPDATE study SET state = :state FROM old
             WHERE study.id = old.id AND old.state = ANY(:from_states) RETURNING study.state)
    SELECT old.state, coalesce((SELECT state FROM new), old.state) FROM old""")


def order_state(engine: Engine, study_id: int, state: str) -> tuple[str, str]:
    """Pause or stop a study; returns its state before and after. Its workers read it with what they write."""
    values = {"study": study_id, "state": state, "from_states": list(ENDS_FROM[state])}
    with engine.begin() as connection:
        before, after = connection.execute(ORDER, values).one()
    return before, after


LOCK_STUDY = text("SELECT id FROM study WHERE id = :study FOR UPDATE")
RAISE_BUDGET = text("UPDATE study SET budget = budget + :more WHERE id = :study")
REOPEN = text("""
    UPDATE study SET
           state = CASE WHEN EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND state <> 'done')
                        THEN 'running' ELSE 'finished' END,
           finished_at = CASE WHEN EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND state <> 'done')
                              THEN NULL ELSE finished_at END
     WHERE id = :study""")


def reopen_study(
    engine: Engine, study_id: int, more: int, plan: Callable[[Connection, int], None] = plan_nothing
) -> None:
    """Let a study run again, with a budget of `more` search trials beyond its own; `plan` makes their tickets."""
    with engine.begin() as connection:
        connection.execute(LOCK_STUDY, {"study": study_id})
        connection.execute(RAISE_BUDGET, {"study": study_id, "more": more})
        plan(connection, study_id)
        connection.execute(REOPEN, {"study": study_id})
