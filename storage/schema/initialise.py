"""Who makes the tables: Optuna's, ours, MLflow's?

One process at a time, under an advisory lock; workers only check. (Of eight processes that let Optuna make its tables
in an empty database seven die.) The lock belongs to a session, so this file needs a direct connection, not a
transaction pooler.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ProgrammingError

from optselect.storage.errors import SchemaMismatch, StorageError, Unreachable
from optselect.storage.server.database import (
    EMBEDDED_DATABASE,
    Database,
    create_database,
    make_engine,
    masked,
    one_line,
    refuse,
    trouble_of_error,
)
from optselect.storage.server.sqlstates import Trouble

REVISION = "0006"  # the newest in migrations/versions; known here so that a check need not import Alembic
MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"

# One round trip tells all that a launch or a worker must know; it fails where our tables are missing.
STATE = text("""
SELECT (SELECT version_num FROM optselect.alembic_version) AS revision,
       (SELECT jsonb_object_agg(key, value) FROM optselect.meta) AS meta""")
SET_META = text("""
INSERT INTO optselect.meta (key, value) VALUES (:key, :value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value""")
DATABASE_EXISTS = text("SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name)")

# Read from standard input: the address holds the password, and anyone may see a command line.
UPGRADE_MLFLOW = "import sys; from mlflow.db import upgrade; upgrade.callback(sys.stdin.readline().strip())"
# MLflow's own command makes no older revision: these are the lines behind it.
MAKE_MLFLOW = """
import sys
from alembic import command
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base
address, revision = sys.stdin.read().split()
engine = utils.create_sqlalchemy_engine_with_retry(address)
Base.metadata.create_all(engine)
config = utils._get_alembic_config(address)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
"""


def initialise(database: Database) -> None:
    """Bring Optuna's tables and ours to this version, unless they are there; harmless to repeat.

    Raises SchemaMismatch where a newer version made them, Unreachable where the role may not make them.
    """
    engine = make_engine(database, pooled=False)
    with plain_errors(database):
        if is_current(read_state(engine)):
            return
        with locked(engine, "optselect-init") as connection:
            if is_current(read_state(engine)):  # somebody else was faster
                return
            make_schemas(connection)
            upgrade_optuna(database)
            upgrade_ours(connection)


def check_schema(engine: Engine) -> None:
    """Raise SchemaMismatch unless this version can work with the tables; makes nothing."""
    state = read_state(engine)
    if state is None:
        raise SchemaMismatch("The database has no optselect tables yet: run `optselect db upgrade`.")
    revision, meta = state
    if revision != REVISION:
        raise SchemaMismatch(
            f"The tables have revision {revision} (optselect {meta.get('optselect')}), this is optselect"
            f" {installed('optselect')} with revision {REVISION}: install one version everywhere, then run"
            " `optselect db upgrade`."
        )
    stored, present = meta.get("optuna", "none"), installed("optuna")
    if major(stored) != major(present):  # 4 and 5 store times differently
        raise SchemaMismatch(
            f"The tables were made by Optuna {stored}, installed is Optuna {present}: install one version everywhere,"
            " then run `optselect db upgrade`."
        )


def ensure_mlflow(database: Database) -> URL:
    """Return the address of MLflow's tables beside ours; makes or upgrades them where needed.

    They get a database of their own, else (where the role may not create one) the schema `mlflow` in ours.
    """
    initialise(database)
    engine = make_engine(database, pooled=False)
    with plain_errors(database):
        if mlflow_is_current(engine, database):
            return mlflow_url(database)
        with locked(engine, "optselect-mlflow") as connection:
            if not mlflow_is_current(engine, database):
                set_meta(connection, mlflow_place=make_mlflow_place(connection, database))
                upgrade_mlflow(mlflow_url(database))
                set_meta(connection, mlflow=installed("mlflow"))
            return mlflow_url(database)


def mlflow_url(database: Database) -> URL:
    """Return the address of MLflow's tables, whether or not they exist yet."""
    if not database.embedded:  # there the role may create databases
        state = read_state(make_engine(database, pooled=False))
        if state is not None and state[1].get("mlflow_place") == "schema":
            return mlflow_url_in(database, "schema")
    return mlflow_url_in(database, "database")


def mlflow_url_in(database: Database, place: str) -> URL:
    """Return the address that MLflow's tables have in a place: `database` or `schema`."""
    if place == "database":
        return database.url.set(database=mlflow_database(database))
    old = database.url.query.get("options", "")
    options = f"{old if isinstance(old, str) else ' '.join(old)} -csearch_path=mlflow".strip()
    return database.url.update_query_dict({"options": options})


def mlflow_database(database: Database) -> str:
    """Return the name of MLflow's own database."""
    ours = str(database.url.database)
    # Postgres cuts names at 63 bytes, which would make two databases one.
    return "mlflow" if database.embedded and ours == EMBEDDED_DATABASE else f"{ours[:56]}_mlflow"


# --- what is there -------------------------------------------------------------------------------------------------


def read_state(engine: Engine) -> tuple[str | None, dict[str, str]] | None:
    """Return the revision and meta of our tables, None where there are none."""
    try:
        with engine.connect() as connection:
            revision, meta = connection.execute(STATE).one()
            return revision, meta or {}
    except ProgrammingError as error:
        missing = (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName)
        if isinstance(error.orig, missing):
            return None
        refuse(error)  # the tables are there, and this role may not read them
        raise


def is_current(state: tuple[str | None, dict[str, str]] | None) -> bool:
    if state is None:
        return False
    revision, meta = state
    return revision == REVISION and all(meta.get(key) == installed(key) for key in ("optselect", "optuna"))


def mlflow_is_current(engine: Engine, database: Database) -> bool:
    state = read_state(engine)
    if state is None or state[1].get("mlflow") != installed("mlflow"):
        return False
    if state[1].get("mlflow_place") == "schema":
        return True
    with engine.connect() as connection:  # somebody may have dropped it
        return bool(connection.execute(DATABASE_EXISTS, {"name": mlflow_database(database)}).scalar())


def installed(package: str) -> str:
    return importlib.metadata.version(package)


def major(version: str) -> str:
    return version.partition(".")[0]


# --- making it -----------------------------------------------------------------------------------------------------


@contextmanager
def locked(engine: Engine, name: str) -> Iterator[Connection]:
    """Hold an advisory lock of the database; closing the connection frees it, however the process ends."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": name})
        connection.commit()
        yield connection
        connection.commit()


def make_schemas(connection: Connection) -> None:
    for schema in ("optuna", "optselect"):
        # Asked first: even with IF NOT EXISTS the statement needs the right to create.
        known = connection.execute(text("SELECT to_regnamespace(:name)"), {"name": schema}).scalar()
        if known is None:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    connection.commit()


def upgrade_optuna(database: Database) -> None:
    """Make or upgrade Optuna's tables: the only place that does."""
    # Imported here, as Alembic below: both are slow, and needed only when something is to be made.
    from optselect.storage.optuna_tables.storage import PatientStorage

    storage = PatientStorage(database, make_tables=True)
    try:
        if storage.get_current_version() == storage.get_head_version():
            return
        if storage.get_current_version() not in storage.get_all_versions():
            raise SchemaMismatch(
                f"Optuna's tables have revision {storage.get_current_version()}, which the installed Optuna"
                f" {installed('optuna')} does not know: install a newer Optuna."
            )
        storage.upgrade()
    finally:
        storage.engine.dispose()


def upgrade_ours(connection: Connection, revision: str = "head") -> None:
    """Run the missing revisions up to one and note the versions, in one transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))  # % is expanded there
    config.set_main_option("path_separator", "os")
    refuse_newer(
        connection, known={step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    )
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    set_meta(connection, optselect=installed("optselect"), optuna=installed("optuna"))


def refuse_newer(connection: Connection, known: set[str]) -> None:
    made = connection.execute(text("SELECT to_regclass('optselect.alembic_version')")).scalar()
    if made is None:
        return
    revision = connection.execute(text("SELECT version_num FROM optselect.alembic_version")).scalar()
    if revision is not None and revision not in known:
        raise SchemaMismatch(
            f"The tables have revision {revision}, made by a newer optselect than the installed"
            f" {installed('optselect')} with revision {REVISION}: install the newer optselect."
        )


def set_meta(connection: Connection, **values: str) -> None:
    connection.execute(SET_META, [{"key": key, "value": value} for key, value in values.items()])
    connection.commit()


def make_mlflow_place(connection: Connection, database: Database) -> str:
    """Make an empty place for MLflow's tables unless it exists; return which: `database` or `schema`."""
    name = mlflow_database(database)
    if connection.execute(DATABASE_EXISTS, {"name": name}).scalar():
        return "database"
    try:
        create_database(database.url, name)
        return "database"
    except psycopg2.errors.InsufficientPrivilege:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS mlflow"))
        return "schema"


def upgrade_mlflow(url: URL, revision: str | None = None) -> None:
    """Let MLflow make or upgrade its tables, in a process of its own; to its newest revision, or to an older one.

    There, since its migrations set up logging anew, and Alembic cannot run two migrations in one process at a time.
    """
    address = url.render_as_string(hide_password=False)
    program, told = (UPGRADE_MLFLOW, address) if revision is None else (MAKE_MLFLOW, f"{address}\n{revision}")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],  # -P: a mlflow.py in the user's folder is not MLflow
        input=told,
        env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1].replace(address, masked(url))
        if revision is not None and "Can't locate revision" in said:
            raise SchemaMismatch(
                f"MLflow's tables must be of a revision that the installed MLflow {installed('mlflow')} knows."
                f" Received: {revision}. Install a newer MLflow."
            )
        raise Unreachable(f"MLflow's tables cannot be made in {masked(url)}: {said}.")


@contextmanager
def plain_errors(database: Database) -> Iterator[None]:
    """Turn a database error of the initialisation into one line."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if trouble_of_error(error) is Trouble.RIGHTS:
            raise Unreachable(
                f"The role {database.url.username} may not make tables in {database.masked} ({one_line(error)}):"
                f" GRANT CREATE ON DATABASE {json.dumps(database.url.database)} to it, or let its owner run"
                " `optselect db upgrade` once."
            ) from error
        refuse(error)
        raise
