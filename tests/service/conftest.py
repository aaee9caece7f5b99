"""One throw-away Postgres server for the whole run, and a database of its own for each test.

`database` is empty, `initialised_database` holds our tables and Optuna's, `tracked_database` MLflow's too (copied
from templates, so they cost little).
`restartable_home` is another server, which a test may stop, kill and start as it likes.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from optselect.storage import embedded
from optselect.storage.database import Database, connect, create_database
from optselect.storage.initialise import ensure_mlflow, initialise, mlflow_database
from tests.homes import throw_away_home

TEMPLATE = "template_optselect"
TRACKED_TEMPLATE = "template_tracked"


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    with throw_away_home() as home:
        yield home


@pytest.fixture(scope="session")
def server(home: Path) -> URL:
    return embedded.ensure_running(home, {**os.environ, "OPTSELECT_PG_FSYNC": "off"})


@pytest.fixture
def database(server: URL, home: Path) -> Iterator[Database]:
    with fresh_database(server, home) as database:
        yield database


@pytest.fixture
def initialised_database(server: URL, home: Path, template: str) -> Iterator[Database]:
    with fresh_database(server, home, template) as database:
        yield database


@pytest.fixture
def tracked_database(server: URL, home: Path, tracked_template: Database) -> Iterator[Database]:
    """An initialised database with MLflow's tables beside it."""
    with fresh_database(server, home, str(tracked_template.url.database)) as database:
        execute(
            server,
            f"CREATE DATABASE {mlflow_database(database)} TEMPLATE {mlflow_database(tracked_template)}",
        )
        yield database


@pytest.fixture(scope="session")
def tracked_template(server: URL, home: Path, template: str) -> Database:
    execute(server, f"CREATE DATABASE {TRACKED_TEMPLATE} TEMPLATE {template}")
    database = Database(server.set(database=TRACKED_TEMPLATE), home, embedded=False)
    ensure_mlflow(database)
    return database


@pytest.fixture(scope="session")
def template(server: URL, home: Path) -> str:
    create_database(server, TEMPLATE)
    initialise(Database(server.set(database=TEMPLATE), home, embedded=False))
    return TEMPLATE


@pytest.fixture(scope="module")
def restartable_home() -> Iterator[Path]:
    with throw_away_home() as home:
        embedded.ensure_running(home, {**os.environ, "OPTSELECT_PG_FSYNC": "off"})
        yield home


@contextmanager
def fresh_database(server: URL, home: Path, template: str = "template0") -> Iterator[Database]:
    database = Database(server.set(database=f"test_{uuid.uuid4().hex}"), home, embedded=False)
    execute(server, f"CREATE DATABASE {database.url.database} TEMPLATE {template}")
    try:
        yield database
    finally:
        for name in (database.url.database, mlflow_database(database)):
            execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def execute(url: URL, statement: str) -> list[tuple[object, ...]]:
    """Run one statement outside a transaction, as CREATE DATABASE demands."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
