"""A role that owns nothing does all the work of a study; its password is seen by nobody on the way."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from optselect.storage.errors import NotFound
from optselect.storage.schema.initialise import mlflow_url
from optselect.storage.schema.roles import grant_work
from optselect.storage.server.database import Database, connect
from tests.service.conftest import execute
from tests.support import steady
from tests.support.commands import Shell
from tests.support.forked import Forks
from tests.support.workplace import FLAGS, shell_of

PLANTED = "pl4nted:passw0rd\\%"


@pytest.fixture
def worker_database(tracked_database: Database) -> Iterator[Database]:
    """The same database for a role that was granted the work and nothing else."""
    role, owner = f"worker_{uuid.uuid4().hex}", tracked_database.url
    execute(owner, f"CREATE ROLE {role} LOGIN PASSWORD '{PLANTED}'")
    try:
        grant_work(tracked_database, role)
        grant_work(tracked_database, role)  # harmless to repeat
        own = owner.set(username=role, password=PLANTED)
        yield Database(own, tracked_database.home, embedded=False)
    finally:
        for place in (mlflow_url(tracked_database), owner):
            execute(place, f"DROP OWNED BY {role} CASCADE")
        execute(owner, f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE optselect.ticket ADD mine int",
        "CREATE TABLE optselect.mine ()",
        "CREATE TABLE optuna.mine ()",
        "DROP TABLE optuna.trials",
        "TRUNCATE optselect.ticket CASCADE",
        "CREATE SCHEMA mine",
        "UPDATE optselect.meta SET value = 'mine'",
        "UPDATE optselect.alembic_version SET version_num = 'mine'",
    ],
)
def test_a_workers_role_alters_nothing(worker_database: Database, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(worker_database.url, statement)


def test_tables_of_later_versions_are_covered_too(
    tracked_database: Database, worker_database: Database
) -> None:
    execute(
        tracked_database.url, "CREATE TABLE optselect.later (id int GENERATED ALWAYS AS IDENTITY, word text)"
    )
    execute(worker_database.url, "INSERT INTO optselect.later (word) VALUES ('written')")
    assert execute(worker_database.url, "SELECT word FROM optselect.later") == [("written",)]


def test_a_role_that_is_not_there_is_not_found(tracked_database: Database) -> None:
    with pytest.raises(NotFound, match=r'has no role "nobody"\. Make it first: CREATE ROLE "nobody" LOGIN'):
        grant_work(tracked_database, "nobody")


def test_a_workers_role_launches_and_trains_a_study_and_its_password_is_seen_nowhere(
    tracked_database: Database, worker_database: Database, forked: Forks, tmp_path: Path
) -> None:
    shell = shell_of(worker_database, tmp_path)
    shutil.copy(steady.__file__, tmp_path)
    size = ("--epochs", "8", "--workers", "2")
    launched = shell.start("launch", "steady.py", *FLAGS, *size, EPOCH_SECONDS="0.2")
    seen: dict[int, bytes] = {}
    while launched.poll() is None:
        seen |= {process.pid: everything_shown(process.pid) for process in children_of(shell)}
        time.sleep(0.1)
    out, err = launched.communicate()
    assert launched.returncode == 0, err
    assert len(seen) >= 4, "the launch, a zygote and two workers"
    shown = b" ".join(seen.values())
    assert b"OPTSELECT_HOME" in shown and b"launch" in shown and b"zygote" in shown

    unreachable = f"postgresql://ann:{PLANTED.replace('%', '%25')}@127.0.0.1:1/optselect"
    failed = forked.run(shell, "status", "study", "--storage", unreachable)
    assert failed.returncode == 5 and "ann" in failed.stderr
    listed = forked.run(shell, "db", "status").stdout
    files = [file.read_bytes() for file in shell.home.rglob("*") if file.is_file()]
    assert files, "logs at least"
    places = {
        "processes": shown,
        "output": (out + err + failed.stderr + listed).encode(),
        "files": b" ".join(files),
    }
    assert not [place for place, held in places.items() if is_in(held)]
    assert (
        stored_in(tracked_database)
        == stored_in(Database(mlflow_url(tracked_database), tmp_path, False))
        == []
    )


def children_of(shell: Shell) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if shell.owns(process)]


def everything_shown(pid: int) -> bytes:
    """What any account may read of a process, and what its own may."""
    held = b""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):  # gone meanwhile
            held += Path(f"/proc/{pid}/{name}").read_bytes()
    return held


def is_in(held: bytes) -> bool:
    """Whether the password's heart is there, however its special characters are written."""
    return b"passw0rd" in held or b"pl4nted" in held


def stored_in(database: Database) -> list[str]:
    """The tables that hold the password in any column."""
    named = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
    tables = [str(row[0]) for row in execute(database.url, named)]
    assert len(tables) > 10, "all are there"
    with closing(connect(database.url)) as connection, connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {table} AS one WHERE one::text ~ 'passw0rd|pl4nted'")
            found += [table] if cursor.fetchone() != (0,) else []
        return found
