"""The address of the database: how it is read, shown and handed on. No server is needed."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, OperationalError

from optselect.storage.errors import InvalidAddress, Unreachable
from optselect.storage.server import database as storage
from optselect.storage.server.database import (
    Database,
    again,
    child_environment,
    masked,
    normalise,
    open_database,
    transient,
    with_password,
    write_pgpass,
)

SERVER = "postgresql://ann:s3cret@db.example.org:5433/studies"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgres+psycopg2"])
def test_every_spelling_of_postgres_becomes_one(scheme: str) -> None:
    url = normalise(f"{scheme}://ann:p%40ss@db.example.org/studies?sslmode=require")
    assert url.drivername == "postgresql+psycopg2"
    assert (url.username, url.password, url.host, url.database) == (
        "ann",
        "p@ss",
        "db.example.org",
        "studies",
    )
    assert url.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("sqlite:///studies.db", "PostgreSQL only, received a sqlite://"),
        ("postgresql+psycopg://host/studies", "only driver is psycopg2"),
        ("postgresql+asyncpg://host/studies", "only driver is psycopg2"),
        ("studies", "has no '://'"),
        ("postgresql://host", "must name a database"),
        ("postgresql://ann:s3cret@host:port/studies", "cannot be read"),
        ("postgresql://host/studies?sslpassword=s3cret", "sslpassword"),
        ("postgresql://ann:s3cret%0A@host/studies", "line break"),
    ],
)
def test_an_address_that_cannot_serve_is_refused_with_the_reason(address: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason.replace("(", r"\(")) as caught:
        normalise(address)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [SERVER, "postgresql://db.example.org/studies?user=ann&password=s3cret", "postgres://:s3cret@/studies"],
)
def test_no_way_of_showing_an_address_shows_its_password(address: str) -> None:
    database = Database(normalise(address), Path("/home"), embedded=False)
    assert database.url.password == "s3cret"
    for shown in (database.masked, masked(database.url), repr(database), str(database.url)):
        assert "s3cret" not in shown


def test_the_password_comes_from_a_file_where_the_address_has_none(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    environment = {"OPTSELECT_STORAGE_PASSWORD_FILE": str(tmp_path / "password"), "PGPASSWORD": "other"}
    assert with_password(normalise("postgresql://ann@host/studies"), environment).password == "s3cret"
    assert with_password(normalise("postgresql://ann:own@host/studies"), environment).password == "own"


def test_the_password_of_libpqs_environment_is_taken_over() -> None:
    assert (
        with_password(normalise("postgresql://host/studies"), {"PGPASSWORD": "s3cret"}).password == "s3cret"
    )
    assert with_password(normalise("postgresql://host/studies"), {}).password is None


def test_an_unreadable_password_file_is_an_invalid_address(tmp_path: Path) -> None:
    with pytest.raises(InvalidAddress, match="No such file"):
        open_database(
            SERVER.replace(":s3cret", ""), tmp_path, {"OPTSELECT_STORAGE_PASSWORD_FILE": "/no/such"}
        )


def test_a_pgpass_file_is_private_and_escaped(tmp_path: Path) -> None:
    url = normalise("postgresql://ann@[::1]:5433/studies").set(password="a:b\\c")
    old = os.umask(0)
    try:
        write_pgpass(url, tmp_path / "new folder" / "pgpass")
    finally:
        os.umask(old)
    written = tmp_path / "new folder" / "pgpass"
    assert written.read_text() == "\\:\\:1:5433:*:ann:a\\:b\\\\c\n"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert list(written.parent.iterdir()) == [written]


def test_children_get_the_address_by_environment_and_the_password_by_a_file(tmp_path: Path) -> None:
    database = Database(normalise(SERVER), tmp_path / "home", embedded=False)
    inherited = {"PATH": "/bin", "OPTSELECT_STORAGE": SERVER, "PGPASSWORD": "s3cret"}
    child = child_environment(database, inherited, tmp_path / "run")
    assert child == {
        "PATH": "/bin",
        "OPTSELECT_HOME": str(tmp_path / "home"),
        "OPTSELECT_STORAGE": "postgresql://ann@db.example.org:5433/studies",
        "PGPASSFILE": str(tmp_path / "run" / "pgpass"),
    }
    assert (tmp_path / "run" / "pgpass").read_text() == "db.example.org:5433:*:ann:s3cret\n"


def test_children_of_an_embedded_study_find_it_by_the_home_alone(tmp_path: Path) -> None:
    database = Database(normalise(SERVER), tmp_path, embedded=True)
    child = child_environment(database, {"OPTSELECT_STORAGE": ""}, tmp_path / "run")
    assert child == {"OPTSELECT_HOME": str(tmp_path)}
    assert not (tmp_path / "run").exists()


def test_children_keep_the_users_own_pgpass_where_we_know_no_password(tmp_path: Path) -> None:
    database = Database(normalise("postgresql://host/studies"), tmp_path, embedded=False)
    child = child_environment(database, {"PGPASSFILE": "/home/ann/pgpass"}, tmp_path / "run")
    assert child["PGPASSFILE"] == "/home/ann/pgpass"


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("postgresql://ann:s3cret@127.0.0.1:1/studies", "nothing listens on 127.0.0.1:1"),
        ("postgresql://ann:s3cret@no-such-host.invalid/studies", "the host no-such-host.invalid is unknown"),
    ],
)
def test_a_dead_address_fails_at_once_and_by_name(address: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=cause) as caught:
        open_database(address, tmp_path, {})
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def lost() -> BaseException:
    return psycopg2.OperationalError("server closed the connection unexpectedly")


def wrapped(original: BaseException) -> BaseException:
    return OperationalError("SELECT 1", {}, original)


def by_optuna(original: BaseException) -> BaseException:
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = wrapped(original)
    return error


def of_code(code: str) -> Callable[[], BaseException]:
    class Coded(psycopg2.OperationalError):
        pgcode = code

    return lambda: wrapped(Coded("of the server"))


@pytest.mark.parametrize(
    "error",
    [
        lost(),
        wrapped(lost()),
        by_optuna(lost()),
        *(
            of_code(code)()
            for code in ("08006", "25006", "40001", "53100", "53300", "57014", "57P01", "57P02", "57P03")
        ),
        DBAPIError("SELECT 1", {}, psycopg2.InterfaceError("already closed"), connection_invalidated=True),
    ],
)
def test_a_lost_database_is_worth_waiting_for(error: BaseException) -> None:
    assert transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of the user"),
        StorageInternalError("without a cause"),
        of_code("23505")(),
        of_code("42501")(),
        wrapped(psycopg2.OperationalError('password authentication failed for user "ann"')),
        wrapped(psycopg2.OperationalError('database "studies" does not exist')),
        DBAPIError("SELECT 1", {}, psycopg2.ProgrammingError("syntax error")),
    ],
)
def test_what_waiting_cannot_cure_is_not_waited_for(error: BaseException) -> None:
    assert not transient(error)


def test_a_call_is_repeated_until_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "RETRY_SECONDS", 0.0)
    answers: list[object] = [wrapped(lost()), wrapped(lost()), "saved"]
    heard: list[BaseException] = []

    def call() -> object:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    assert again(call, on_wait=heard.append) == "saved"
    assert len(heard) == 1


def test_patience_ends_with_one_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "RETRY_SECONDS", 0.001)

    def call() -> None:
        raise wrapped(lost())

    with pytest.raises(Unreachable, match=r"did not come back within 0 s.*closed the connection") as caught:
        again(call, patience_seconds=0.01)
    assert "\n" not in str(caught.value)
    assert not transient(caught.value)  # or a caller's own patience would begin anew


def test_an_error_of_another_kind_passes_at_once() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        again(call)
    assert len(calls) == 1
