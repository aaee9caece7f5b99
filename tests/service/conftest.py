"""One throw-away Postgres server for the whole run, and a database of its own for each test.

`database` is empty, `initialised_database` holds our tables and Optuna's, `tracked_database` MLflow's too (copied
from templates, so they cost little); `engine` reaches an initialised one, `study` is a study in it.
`restartable_home` is another server, which a test may stop, kill and start as it likes.
"""

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from optselect.storage.records.studies import StoredStudy
from optselect.storage.schema.initialise import mlflow_database
from optselect.storage.server import embedded
from optselect.storage.server.database import EMBEDDED_DATABASE, Database, connect, make_engine
from tests.support.homes import THROW_AWAY, throw_away_home
from tests.support.studies import store_study

TEMPLATE = "template_optselect"
TRACKED_TEMPLATE = "template_tracked"


@pytest.fixture(scope="session")
def home(prepared_cluster: Path) -> Iterator[Path]:
    with throw_away_home(prepared=prepared_cluster) as home:
        yield home


@pytest.fixture(scope="session")
def server(home: Path) -> URL:
    """Its database `optselect` and MLflow's are as the first launch leaves them; copies of them are the templates."""
    return embedded.ensure_running(home, THROW_AWAY)


@pytest.fixture
def database(server: URL, home: Path) -> Iterator[Database]:
    with fresh_database(server, home) as database:
        yield database


@pytest.fixture
def initialised_database(server: URL, home: Path, template: str) -> Iterator[Database]:
    with fresh_database(server, home, template) as database:
        yield database


@pytest.fixture
def engine(initialised_database: Database) -> Iterator[Engine]:
    engine = make_engine(initialised_database)
    yield engine
    engine.dispose()


@pytest.fixture
def study(engine: Engine) -> StoredStudy:
    return store_study(engine)


@pytest.fixture
def tracked_database(server: URL, home: Path, tracked_template: Database) -> Iterator[Database]:
    """An initialised database with MLflow's tables beside it."""
    with fresh_database(server, home, str(tracked_template.url.database)) as database:
        copy_database(server, mlflow_database(tracked_template), mlflow_database(database))
        yield database


@pytest.fixture(scope="session")
def tracked_template(server: URL, home: Path) -> Database:
    original = Database(server.set(database=EMBEDDED_DATABASE), home, embedded=True)
    template = Database(server.set(database=TRACKED_TEMPLATE), home, embedded=False)
    copy_database(server, EMBEDDED_DATABASE, TRACKED_TEMPLATE)
    copy_database(server, mlflow_database(original), mlflow_database(template))
    return template


@pytest.fixture(scope="session")
def template(server: URL, tracked_template: Database) -> str:
    copy_database(server, TRACKED_TEMPLATE, TEMPLATE)
    execute(server.set(database=TEMPLATE), "DELETE FROM optselect.meta WHERE key LIKE 'mlflow%'")
    return TEMPLATE


@pytest.fixture(scope="module")
def restartable_home(prepared_cluster: Path) -> Iterator[Path]:
    with throw_away_home(prepared=prepared_cluster) as home:
        embedded.ensure_running(home, THROW_AWAY)
        yield home


@contextmanager
def fresh_database(server: URL, home: Path, template: str = "template0") -> Iterator[Database]:
    database = Database(server.set(database=f"test_{uuid.uuid4().hex}"), home, embedded=False)
    copy_database(server, template, str(database.url.database))
    try:
        yield database
    finally:
        for name in (database.url.database, mlflow_database(database)):
            execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def copy_database(server: URL, source: str, target: str) -> None:
    execute(server, f"CREATE DATABASE {target} TEMPLATE {source}")


def execute(url: URL, statement: str) -> list[tuple[object, ...]]:
    """Run one statement outside a transaction, as CREATE DATABASE demands."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
