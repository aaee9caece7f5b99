"""All tables come up once, whoever asks first, and a strange version is named before any work begins."""

import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from optselect.storage.errors import SchemaMismatch, Unreachable
from optselect.storage.schema.initialise import (
    MIGRATIONS,
    REVISION,
    check_schema,
    ensure_mlflow,
    initialise,
    installed,
    mlflow_url,
    read_state,
)
from optselect.storage.server.database import Database, make_engine
from tests.service.conftest import execute

TABLES = {
    "meta",
    "study",
    "worker",
    "ticket",
    "checkpoint",
    "epoch_log",
    "launch",
    "outbox",
    "alembic_version",
}
INITIALISE = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from optselect.storage.server.database import Database, normalise
    from optselect.storage.schema.initialise import initialise
    address = sys.stdin.readline()
    initialise(Database(normalise(address), Path("/nowhere"), embedded=False))
    heavy = {"optuna", "alembic", "mlflow", "tensorflow"} & set(sys.modules)
    print(",".join(sorted(heavy)))
    """
)


def start_initialising(database: Database) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", INITIALISE]
    process = subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    process.stdin.write(database.url.render_as_string(hide_password=False) + "\n")
    process.stdin.flush()
    return process


def tables(database: Database, schema: str) -> set[object]:
    return {
        row[0]
        for row in execute(database.url, f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
    }


def set_meta(database: Database, key: str, value: str) -> None:
    execute(database.url, f"UPDATE optselect.meta SET value = '{value}' WHERE key = '{key}'")


@contextmanager
def role_of(database: Database, statement: str) -> Iterator[Database]:
    """The same database for a role with few rights."""
    role = f"role_{uuid.uuid4().hex}"
    execute(database.url, f"CREATE ROLE {role} LOGIN PASSWORD 'few%rights'")
    if tables(database, "optselect"):
        execute(database.url, f"GRANT USAGE ON SCHEMA optselect TO {role}")
        execute(database.url, f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA optselect TO {role}")
    execute(database.url, statement.format(database=database.url.database, role=role))
    try:
        yield Database(database.url.set(username=role, password="few%rights"), database.home, embedded=False)
    finally:
        execute(database.url, f"DROP OWNED BY {role} CASCADE")
        execute(database.url, f"DROP ROLE {role}")


def test_eight_processes_on_an_empty_database_all_come_up(database: Database) -> None:
    processes = [start_initialising(database) for _ in range(8)]
    outcomes = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outcomes
    assert tables(database, "optselect") == TABLES
    assert len(tables(database, "optuna")) == 13
    check_schema(make_engine(database, pooled=False))


def test_a_second_initialisation_is_one_quick_query(initialised_database: Database) -> None:
    process = start_initialising(initialised_database)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.strip() == ""  # neither Optuna nor Alembic was imported
    began = time.monotonic()
    initialise(initialised_database)
    assert time.monotonic() - began < 1.0


def test_the_revision_known_to_the_code_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_every_row_of_a_study_goes_with_it(initialised_database: Database) -> None:
    with make_engine(initialised_database, pooled=False).begin() as connection:
        connection.execute(
            text(
                """
            WITH s AS (INSERT INTO study (name, optuna_study_name, spec, spec_version, problem, bundle, bundle_sha256,
                                          data_hash, versions, objective, direction, budget)
                       VALUES ('a', 'a', '{}', 1, '{}', '{}', '', '', '{}', 'val_loss', 'minimize', 1) RETURNING id),
                 w AS (INSERT INTO worker (id, study_id) SELECT gen_random_uuid(), id FROM s),
                 t AS (INSERT INTO ticket (study_id, ord, phase, seed) SELECT id, 0, 'quota', 0 FROM s RETURNING id),
                 c AS (INSERT INTO checkpoint (ticket_id, epoch) SELECT id, 1 FROM t),
                 e AS (INSERT INTO epoch_log (ticket_id, epoch, ts_ms, metrics) SELECT id, 1, 0, '{}' FROM t)
            INSERT INTO outbox (ticket_id) SELECT id FROM t"""
            )
        )
        connection.execute(text("DELETE FROM study"))
        for table in ("worker", "ticket", "checkpoint", "epoch_log", "launch", "outbox"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0


def test_a_database_without_tables_tells_a_worker_what_to_run(database: Database) -> None:
    with pytest.raises(SchemaMismatch, match="no optselect tables yet: run `optselect db upgrade`"):
        check_schema(make_engine(database, pooled=False))


def test_tables_of_another_revision_are_refused_with_both_versions(initialised_database: Database) -> None:
    execute(initialised_database.url, "UPDATE optselect.alembic_version SET version_num = '9999'")
    set_meta(initialised_database, "optselect", "7.0")
    engine = make_engine(initialised_database, pooled=False)
    message = rf"revision 9999 \(optselect 7\.0\), this is optselect {installed('optselect')} with revision {REVISION}"
    with pytest.raises(SchemaMismatch, match=message):
        check_schema(engine)
    with pytest.raises(SchemaMismatch, match="made by a newer optselect"):
        initialise(initialised_database)


def test_tables_of_another_optuna_are_refused_with_both_versions(initialised_database: Database) -> None:
    set_meta(initialised_database, "optuna", "4.9.0")
    engine = make_engine(initialised_database, pooled=False)
    with pytest.raises(SchemaMismatch, match=rf"Optuna 4\.9\.0, installed is Optuna {installed('optuna')}"):
        check_schema(engine)
    initialise(initialised_database)
    check_schema(engine)


def test_mlflow_gets_a_database_of_its_own_once(initialised_database: Database) -> None:
    url = ensure_mlflow(initialised_database)
    assert url.database == f"{initialised_database.url.database}_mlflow"
    assert execute(url, "SELECT count(*) FROM experiments") == [(0,)]
    began = time.monotonic()
    assert ensure_mlflow(initialised_database) == mlflow_url(initialised_database) == url
    assert time.monotonic() - began < 1.0


def test_a_role_that_may_create_no_database_keeps_mlflow_in_a_schema(initialised_database: Database) -> None:
    with role_of(initialised_database, "GRANT CREATE ON DATABASE {database} TO {role}") as restricted:
        url = ensure_mlflow(restricted)
        assert url.database == initialised_database.url.database
        assert execute(url, "SELECT count(*) FROM experiments") == [(0,)]
        assert "experiments" in tables(initialised_database, "mlflow")
        assert mlflow_url(restricted) == url


def test_a_role_that_may_make_no_tables_is_told_what_to_grant(database: Database) -> None:
    with (
        role_of(database, "REVOKE CREATE ON DATABASE {database} FROM PUBLIC") as restricted,
        pytest.raises(Unreachable, match="GRANT CREATE ON DATABASE"),
    ):
        initialise(restricted)


def test_optunas_tables_and_ours_do_not_meet_in_public(initialised_database: Database) -> None:
    assert tables(initialised_database, "public") == set()
    state = read_state(make_engine(initialised_database, pooled=False))
    assert state is not None
    assert state[1]["optuna"] == installed("optuna")


def test_the_migrations_travel_with_the_package() -> None:
    assert (MIGRATIONS / "script.py.mako").exists()
    assert Path(MIGRATIONS / "env.py").exists()
