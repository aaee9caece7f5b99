"""Whatever the server answers to a statement in the middle of a study costs no epoch, or is said in one sentence."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from sqlalchemy import text
from sqlalchemy.engine import URL

from optselect.storage.errors import NotGranted, SchemaMismatch, Unreachable
from optselect.storage.schema.initialise import mlflow_url
from optselect.storage.schema.roles import grant_work
from optselect.storage.server.database import Database, again, as_refusal, make_engine, transient
from optselect.storage.tracking.batches import send
from optselect.trials.terms.errors import ProblemError
from tests.service.conftest import execute
from tests.support import steady
from tests.support.commands import await_that
from tests.support.forked import Forks
from tests.support.proxy import CUT, Chance, spoiling
from tests.support.workplace import FLAGS, shell_of, store_steady, workplace

WAITED_FOR = ("25006", "53100", "53200", "53300", "53400", "58030", "57P01", "57P03", "08006")
REPEATED = ("40001", "40P01", "55P03", "57014")


@pytest.fixture
def stored(forked: Forks, initialised_database: Database, tmp_path: Path) -> Database:
    store_steady(forked, initialised_database, tmp_path)
    return initialised_database


def test_a_study_whose_statements_the_server_spoils_at_random_is_whole(
    forked: Forks, stored: Database, tmp_path: Path
) -> None:
    chance = Chance(seed=7, codes=(*WAITED_FOR, *REPEATED, CUT), times=1)
    with spoiling(stored.url, chance) as address:
        behind = Database(address, stored.home, embedded=False)
        with workplace(forked, stored, tmp_path) as here, workplace(forked, behind, tmp_path) as there:
            with there.worker() as worker:
                chance.is_on = True
                assert worker.end() == 0, worker.words()
            here.demand_whole()
            assert here.ask("SELECT max(attempt) FROM ticket") == [(1,)], "no attempt was lost"
    assert len(chance.spoilt) >= 8
    assert "bug of ours" not in worker.words() and "Traceback" not in worker.words()


def test_a_server_that_takes_no_writes_for_a_while_costs_no_epoch(
    forked: Forks, stored: Database, tmp_path: Path
) -> None:
    with workplace(forked, stored, tmp_path) as here, here.worker() as worker:
        with read_only(stored.url):  # an embedded server of this process's tests alone
            await_that(lambda: "read-only transaction" in worker.words(), "it says what it waits for")
            time.sleep(4)  # longer than a lease: nobody may take the silent holder for dead
        assert worker.end() == 0, worker.words()
        here.demand_whole()
        assert here.ask("SELECT max(attempt) FROM ticket") == [(1,)]
        assert "bug of ours" not in worker.words() and "it goes on" not in worker.words()


@contextlib.contextmanager
def read_only(url: URL) -> Iterator[None]:
    """As long as the block runs the server takes no writes, on connections that are open, too."""
    for statement in ("ALTER SYSTEM SET default_transaction_read_only = on", RELOAD):
        execute(url, statement)
    try:
        yield
    finally:
        for statement in ("ALTER SYSTEM RESET default_transaction_read_only", RELOAD):
            execute(url, statement)


RELOAD = "SELECT pg_reload_conf()"


def failing(engine: object, code: str, times: int) -> object:
    left = [code] * times

    def call() -> str:
        with engine.begin() as connection:  # type: ignore[attr-defined]
            if left:
                raised = f"DO $$ BEGIN RAISE EXCEPTION 'spoilt' USING ERRCODE = '{left.pop()}'; END $$"
                connection.execute(text(raised))
        return "done"

    return call


@pytest.mark.parametrize("code", [*REPEATED, *WAITED_FOR])
def test_a_transaction_that_the_server_gave_up_is_begun_anew(database: Database, code: str) -> None:
    began = time.monotonic()
    assert again(failing(make_engine(database), code, 1), patience_seconds=5.0) == "done"  # type: ignore[arg-type]
    assert (time.monotonic() - began < 0.4) == (code in REPEATED), "at once, or when it may have passed"


def test_a_connection_to_a_server_that_has_become_a_standby_is_left(database: Database) -> None:
    engine = make_engine(database)
    with engine.begin() as connection:
        connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        before = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

    def write() -> int:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE public.written ()"))
            return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    assert again(write, patience_seconds=5.0) != before


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("42501", NotGranted, "optselect db grant ROLE"),
        ("42P01", SchemaMismatch, "optselect db upgrade"),
        ("28P01", Unreachable, "Correct the address or the password"),
        ("57P04", Unreachable, "CREATE DATABASE"),
        ("0A000", Unreachable, "PostgreSQL 13 or newer"),
        ("XX001", Unreachable, "reports damage"),
    ],
)
def test_what_no_waiting_cures_is_refused_at_once(
    database: Database, code: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        again(failing(make_engine(database), code, 10**6), patience_seconds=60.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["22012", "23505", "42601", "ZZ999"])
def test_a_mistake_of_ours_stays_one(database: Database, code: str) -> None:
    with pytest.raises(Exception, match="spoilt") as raised:
        again(failing(make_engine(database), code, 10**6), patience_seconds=60.0)  # type: ignore[arg-type]
    assert not isinstance(raised.value, Unreachable)


@pytest.mark.parametrize(("code", "words"), [("25006", "took no writes"), ("57014", "statement_timeout")])
def test_what_outlasts_the_patience_says_what_is_wrong(database: Database, code: str, words: str) -> None:
    with pytest.raises(Unreachable, match=words):
        again(failing(make_engine(database), code, 10**6), patience_seconds=0.3)  # type: ignore[arg-type]


@pytest.fixture
def poor_role(tracked_database: Database) -> Iterator[URL]:
    """A role that may connect and do nothing."""
    role, owner = f"poor_{uuid.uuid4().hex}", tracked_database.url
    execute(owner, f"CREATE ROLE {role} LOGIN PASSWORD 'poor'")
    yield owner.set(username=role, password="poor")
    for place in (mlflow_url(tracked_database), owner):
        execute(place, f"DROP OWNED BY {role} CASCADE")
    execute(owner, f"DROP ROLE {role}")


@pytest.mark.parametrize("rights", ["none", "reading", "read-only"])
def test_a_role_that_may_not_write_is_told_of_db_grant_in_one_line(
    forked: Forks, tracked_database: Database, poor_role: URL, tmp_path: Path, rights: str
) -> None:
    role = str(poor_role.username)
    if rights != "none":
        grant_work(tracked_database, role)
    if rights == "reading":
        for schema in ("optselect", "optuna"):
            execute(
                tracked_database.url,
                f"REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} FROM {role}",
            )
    if rights == "read-only":
        execute(tracked_database.url, f"ALTER ROLE {role} SET default_transaction_read_only = on")
    shell = shell_of(Database(poor_role, tracked_database.home, embedded=False), tmp_path)
    (tmp_path / "steady.py").write_text(Path(steady.__file__).read_text())
    size = ("--epochs", "2", "--workers", "0", "--in-process")
    refused = [forked.run(shell, "launch", "steady.py", *FLAGS, *size)]
    if rights == "none":
        refused += [forked.run(shell, "studies"), forked.run(shell, "status", "study")]
        worker = forked.run(shell, "worker", "study")
        assert worker.returncode == 64 and "optselect db grant" in worker.stderr
    else:
        assert forked.run(shell, "studies").returncode == 0, "what only reads goes on"
    for done in refused:
        assert done.returncode == 5, done.stderr
        (line,) = done.stderr.strip().splitlines()[-1:]
        assert "optselect db grant" in line and "bug" not in line


OF_THE_USER = """
import keras, psycopg2
def model():
    return keras.Sequential([keras.Input((10,)), keras.layers.Dense(1)])
def data():
    raise psycopg2.OperationalError("server closed the connection unexpectedly")
"""


def test_an_error_of_psycopg2_in_the_users_own_code_is_not_taken_for_ours(
    forked: Forks, initialised_database: Database, tmp_path: Path
) -> None:
    shell = shell_of(initialised_database, tmp_path)
    (tmp_path / "theirs.py").write_text(OF_THE_USER)
    refused = forked.run(shell, "launch", "theirs.py", *FLAGS, "--workers", "0", "--in-process")
    assert refused.returncode == 2, refused.stderr
    assert "theirs.py, line 6" in refused.stderr and "The database" not in refused.stderr


def test_what_somebody_has_made_of_an_error_of_psycopg2_is_no_outage() -> None:
    theirs = ProblemError("data() must give rows")
    theirs.__cause__ = psycopg2.OperationalError("server closed the connection unexpectedly")
    assert not transient(theirs) and as_refusal(theirs) is None


class Bare:
    """A client of MLflow whose server answers so."""

    def __init__(self, words: str) -> None:
        self.words = words

    def log_batch(self, *_: object) -> None:
        raise MlflowException(self.words, BAD_REQUEST)

    def get_run(self, _run: str) -> object:
        return SimpleNamespace(info=SimpleNamespace(lifecycle_stage="active"))


@pytest.mark.parametrize("name", ["ReadOnlySqlTransaction", "SerializationFailure", "IoError"])
def test_what_mlflows_own_database_does_not_take_for_a_while_is_not_left_out_of_the_curves(name: str) -> None:
    client = Bare(f"(psycopg2.errors.{name}) spoilt")  # as MLflow's store words it, over HTTP, too
    with pytest.raises(MlflowException):
        send(client, "run", [RunTag("a", "b")])  # type: ignore[arg-type]
    refused = Bare("(psycopg2.errors.NumericValueOutOfRange) bigint out of range")
    assert len(send(refused, "run", [RunTag("a", "b")])) == 1  # type: ignore[arg-type]
