"""A backup may come from a stranger: its rows are taken, its words are not, and what fails leaves nothing behind."""

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from optselect.storage.errors import InvalidAddress, SchemaMismatch
from optselect.storage.schema.backup import backup, restore
from optselect.storage.schema.initialise import (
    REVISION,
    ensure_mlflow,
    initialise,
    mlflow_database,
    mlflow_url,
    upgrade_mlflow,
)
from optselect.storage.server.binaries import find_binaries
from optselect.storage.server.database import Database, create_database, make_engine
from tests.service.conftest import copy_database, execute, fresh_database
from tests.support.studies import store_study

OLD = Path(__file__).parent / "data" / "revision_0001.sql"
SCHEMAS = """
SELECT nspname, relname, relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2"""
EXPERIMENT = """
INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time, workspace)
VALUES ('optselect/kept', '/tmp', 'active', 0, 0, 'default')"""
OLDER_MLFLOW = "b7c8d9e0f1a2"
PROGRAM = "CREATE FUNCTION optselect.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN COPY (SELECT 1) TO PROGRAM 'touch {}'; RETURN 1; END $$"


@pytest.fixture
def source(initialised_database: Database) -> Database:
    """A database with one study."""
    store_study(make_engine(initialised_database, pooled=False), name="kept")
    return initialised_database


@pytest.fixture
def saved(source: Database, tmp_path: Path) -> Path:
    backup(source, tmp_path / "backup.tar")
    return tmp_path / "backup.tar"


@pytest.fixture
def target(server: URL, home: Path, template: str) -> Iterator[Database]:
    """A database with tables, in which a supervisor waits for a study."""
    with fresh_database(server, home, template) as database:
        execute(database.url, "INSERT INTO optselect.worker (id, host) VALUES (gen_random_uuid(), 'waiting')")
        yield database


def demand_refusal(target: Database, file: Path, match: str) -> None:
    """The backup is refused with one line, and the database is as it was."""
    before = execute(target.url, SCHEMAS)
    with pytest.raises(InvalidAddress, match=match) as refused:
        restore(target, file)
    assert str(refused.value).isprintable()
    assert execute(target.url, SCHEMAS) == before
    assert execute(target.url, "SELECT host FROM optselect.worker") == [("waiting",)]
    assert execute(target.url, "SELECT count(*) FROM optselect.study") == [(0,)]


def rewritten(file: Path, change: Callable[[bytes], bytes], member: str = "optselect.dump") -> Path:
    """The backup with another content of one member."""
    with tarfile.open(file) as tar:
        kept = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    kept[member] = change(kept[member])
    with tarfile.open(file, "w") as tar:
        for name, content in kept.items():
            member_of = tarfile.TarInfo(name)
            member_of.size = len(content)
            tar.addfile(member_of, io.BytesIO(content))
    return file


def with_words(said: str, instead: str) -> Callable[[bytes], bytes]:
    """The dump with other words of its own, of the same length: positions in it stay right."""
    assert len(instead) <= len(said)

    def change(dump: bytes) -> bytes:
        assert dump.count(said.encode()) == 1
        return dump.replace(said.encode(), instead.ljust(len(said)).encode())

    return change


# --- what stands in the list ---------------------------------------------------------------------------------------


def test_a_dump_that_runs_a_program_is_refused_and_who_saved_it_was_told(
    source: Database, target: Database, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    execute(source.url, PROGRAM.format(touched))
    execute(
        source.url, "CREATE MATERIALIZED VIEW optselect.mine AS SELECT optselect.evil() AS x WITH NO DATA"
    )
    odd = backup(source, tmp_path / "backup.tar")
    assert odd == [
        "FUNCTION optselect.evil()",
        "MATERIALIZED VIEW optselect.mine",
    ]
    demand_refusal(target, tmp_path / "backup.tar", r"Received: FUNCTION optselect\.evil\(\)")
    assert not touched.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE VIEW optselect.mine AS SELECT 1", "VIEW optselect.mine"),
        ("CREATE TABLE optuna.mine (a int)", "TABLE optuna.mine"),
        ('CREATE TABLE optuna."trials mine" (a int)', "TABLE|holds the rows of each table once"),
        ("CREATE TABLE optuna.mine (a int) PARTITION BY LIST (a)", "TABLE optuna.mine"),
        ("CREATE TYPE optuna.mine AS (a int)", "TYPE optuna.mine"),
        ("CREATE DOMAIN optuna.mine AS int CHECK (value > 1)", "DOMAIN optuna.mine"),
        ("CREATE SEQUENCE optuna.mine", "SEQUENCE optuna.mine"),
        ("CREATE RULE mine AS ON INSERT TO optselect.meta DO ALSO NOTHING", "RULE"),
        ("ALTER TABLE optselect.meta ENABLE ROW LEVEL SECURITY", "ROW SECURITY optselect.meta"),
        ("CREATE POLICY mine ON optselect.meta USING (true)", "POLICY optselect.meta"),
        ("CREATE STATISTICS optuna.mine ON trial_id, number FROM optuna.trials", "STATISTICS"),
        ("CREATE OPERATOR optuna.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)", "OPERATOR"),
        ('CREATE COLLATION optuna.mine FROM pg_catalog."C"', "COLLATION"),
        ("CREATE AGGREGATE optuna.mine (int) (SFUNC = int4pl, STYPE = int)", "AGGREGATE"),
        ("CREATE TEXT SEARCH DICTIONARY optuna.mine (TEMPLATE = simple)", "TEXT SEARCH DICTIONARY"),
        ("ALTER TABLE optselect.meta ADD mine int", r".*optselect\.meta \(key, value, mine\)"),
        (
            "CREATE TRIGGER mine BEFORE UPDATE ON optselect.meta FOR EACH ROW"
            + " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "TRIGGER optselect.meta mine",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER mine; CREATE SERVER mine FOREIGN DATA WRAPPER mine;"
            + " CREATE FOREIGN TABLE optuna.mine (a int) SERVER mine",
            "FOREIGN TABLE",
        ),
    ],
)
def test_a_dump_with_an_object_that_is_not_ours_is_refused_by_its_name(
    source: Database, target: Database, tmp_path: Path, made: str, named: str
) -> None:
    execute(source.url, made)
    backup(source, tmp_path / "backup.tar")
    demand_refusal(target, tmp_path / "backup.tar", f"Received: {named}|{named}")


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["--blobs", "--section=pre-data"])
def test_a_dump_of_a_whole_database_or_of_a_part_is_refused(
    source: Database, target: Database, saved: Path, whole: str, tmp_path: Path
) -> None:
    execute(source.url, "CREATE TABLE public.mine (a int)")
    execute(source.url, "SELECT lo_from_bytea(0, 'mine')")
    dump = tmp_path / "other.dump"
    place = source.url.set(drivername="postgresql").render_as_string(hide_password=False)
    program = find_binaries(os.environ) / "pg_dump"
    subprocess.run([program, "-Fc", whole, f"--file={dump}", place], check=True)
    rewritten(saved, lambda _: dump.read_bytes())
    demand_refusal(target, saved, r"Received: (TABLE public\.mine|BLOB|0 times)|of which revision")


def test_names_with_control_letters_are_not_printed(
    source: Database, target: Database, tmp_path: Path
) -> None:
    execute(source.url, 'CREATE VIEW optuna."mine\x1b]0;x\x07" AS SELECT 1')
    backup(source, tmp_path / "backup.tar")
    demand_refusal(target, tmp_path / "backup.tar", r"Received: VIEW optuna\.mine\?\]0;x\?")


def test_an_index_that_an_administrator_added_is_no_hindrance(
    source: Database, target: Database, tmp_path: Path
) -> None:
    execute(source.url, "CREATE INDEX mine ON optselect.study (created_at)")
    assert backup(source, tmp_path / "backup.tar") == []
    restore(target, tmp_path / "backup.tar")
    assert execute(target.url, "SELECT to_regclass('optselect.mine')") == [(None,)]


# --- what stands in the dump itself --------------------------------------------------------------------------------

META = "COPY optselect.meta (key, value) FROM stdin;\n"
SEQUENCE = "SELECT pg_catalog.setval('optuna.trials_trial_id_seq', 1, false);\n"


def test_a_command_for_psql_is_not_carried_out(saved: Path, target: Database, tmp_path: Path) -> None:
    touched = Path(f"/tmp/{tmp_path.parent.name[-9:]}")
    rewritten(saved, with_words(META, f"\\! touch {touched}\n"))
    demand_refusal(target, saved, "a statement that none of ours does")
    assert not touched.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (META, "DROP TABLE optselect.study CASCADE;\n"),
        (META, "COPY optselect.meta FROM PROGRAM 'id';\n"),
        (META, "COPY optselect.meta (key, value) FROM '/a';\n"),
        (META, "COPY optselect.m (key, value) FROM stdin;\n"),
        (META, "COPY optselect.meta (key, oops) FROM stdin;\n"),
        (META, "COPY optselect.meta (key, key) FROM stdin;\n"),
        (META, "COPY public.meta (key, value) FROM stdin;\n"),
        (META, "COPY optselect.meta (key,value) FROM stdin;\n"),
        (META, "COPY optselect.outbox (error) FROM stdin;\n"),
        (META, "INSERT INTO optselect.meta VALUES (1, 2);"),
        (SEQUENCE, "SELECT pg_read_file('/etc/passwd');\n"),
        (SEQUENCE, "\\! id\n"),
        ("SET client_encoding = 'UTF8';\n", "SET client_encoding = '';DROP"),
        ("SET standard_conforming_strings = 'on';\n", "SET role = evil;\n"),
        ("SELECT pg_catalog.set_config('search_path', '', false);\n", "SELECT 1;\n"),
    ],
)
def test_words_of_the_dump_reach_no_server(saved: Path, target: Database, said: str, instead: str) -> None:
    rewritten(saved, with_words(said, instead))
    demand_refusal(
        target, saved, "a statement that none of ours does|columns of our tables|tables refuse|cannot be read"
    )


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        (
            "ALTER TABLE optselect.ticket DISABLE TRIGGER ALL; UPDATE optselect.ticket SET study_id = 77",
            "violates foreign key",
        ),
        (
            "ALTER TABLE optselect.study DROP CONSTRAINT study_state_check; UPDATE optselect.study SET state = 'odd'",
            "violates check constraint",
        ),
    ],
)
def test_rows_that_the_tables_refuse_leave_the_database_as_it_was(
    source: Database, server: URL, target: Database, tmp_path: Path, statement: str, refused: str
) -> None:
    execute(source.url, statement)
    backup(source, tmp_path / "backup.tar")
    demand_refusal(target, tmp_path / "backup.tar", refused)
    with fresh_database(server, source.home) as empty:
        with pytest.raises(InvalidAddress, match=refused):
            restore(empty, tmp_path / "backup.tar")
        assert execute(empty.url, SCHEMAS) == []
        assert execute(empty.url, "SELECT to_regnamespace('optselect'), to_regnamespace('optuna')") == [
            (None, None)
        ]


def test_ids_go_on_behind_the_rows_whatever_the_dump_says_of_them(
    source: Database, saved: Path, target: Database
) -> None:
    ((newest,),) = execute(source.url, "SELECT max(id) FROM optselect.ticket")
    stands = "SELECT pg_catalog.setval('optselect.ticket_id_seq', {}, true);"
    rewritten(saved, with_words(stands.format(newest), stands.format(1)))
    restore(target, saved)
    assert execute(target.url, f"SELECT nextval('optselect.ticket_id_seq') = 1 + {newest}") == [(True,)]


@pytest.mark.parametrize("content", [b"", b"PGDMP", b"PGDMP" + bytes(range(256)) * 9, b"SELECT 1;"])
def test_a_dump_that_is_none_is_named(database: Database, saved: Path, content: bytes) -> None:
    rewritten(saved, lambda _: content)
    with pytest.raises(InvalidAddress, match=r"optselect\.dump of the backup cannot be read"):
        restore(database, saved)


def test_a_dump_that_ends_too_early_leaves_nothing_behind(target: Database, saved: Path) -> None:
    rewritten(saved, lambda dump: dump[:-600])
    demand_refusal(target, saved, "end too early|cannot be read|differ")


# --- versions ------------------------------------------------------------------------------------------------------


def test_a_backup_of_the_first_revision_gets_todays_tables(
    database: Database, target: Database, tmp_path: Path
) -> None:
    execute(database.url, OLD.read_text("utf-8"))
    backup(database, tmp_path / "backup.tar")
    restore(target, tmp_path / "backup.tar")
    assert execute(target.url, "SELECT version_num FROM optselect.alembic_version") == [(REVISION,)]
    tickets = (
        "SELECT s.name, t.role, t.outcome FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id"
    )
    assert len(execute(target.url, tickets)) == 12
    assert len(execute(target.url, "SELECT * FROM optuna.trials")) > 0
    assert execute(target.url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%restore%'") == []
    initialise(target)


@pytest.fixture
def killed(target: Database) -> Database:
    """A database whose restore was killed when its tables were put aside and half of the new ones were made."""
    for schema in ("optuna", "optselect"):
        execute(target.url, f"ALTER SCHEMA {schema} RENAME TO {schema}_before_restore")
    execute(target.url, "CREATE SCHEMA optuna")
    execute(target.url, "CREATE TABLE optuna.studies ()")
    return target


def test_a_restore_that_was_killed_can_be_repeated(killed: Database, saved: Path) -> None:
    restore(killed, saved)
    assert execute(killed.url, "SELECT name FROM optselect.study") == [("kept",)]
    assert execute(killed.url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%restore%'") == []


@pytest.mark.slow
def test_curves_of_an_older_mlflow_are_restored_and_their_tables_upgraded(
    source: Database, target: Database, server: URL, tmp_path: Path
) -> None:
    create_database(server, mlflow_database(source))
    upgrade_mlflow(mlflow_url(source), OLDER_MLFLOW)
    execute(source.url, "INSERT INTO optselect.meta VALUES ('mlflow_place', 'database')")
    execute(mlflow_url(source), EXPERIMENT.replace(", workspace", "").replace(", 'default'", ""))
    backup(source, tmp_path / "backup.tar")
    newest = ensure_mlflow(target)
    restore(target, tmp_path / "backup.tar")
    assert execute(newest, "SELECT version_num FROM alembic_version") == [(OLDER_MLFLOW,)]
    ensure_mlflow(target)
    assert execute(newest, "SELECT version_num FROM alembic_version") != [(OLDER_MLFLOW,)]
    assert execute(newest, "SELECT name FROM experiments") == [("optselect/kept",)]
    assert execute(newest, "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%restore%'") == []


@pytest.mark.slow
def test_an_mlflow_that_is_not_known_leaves_what_was_there(
    source: Database, target: Database, server: URL, tmp_path: Path
) -> None:
    copy_database(
        server,
        mlflow_database(Database(server.set(database="template_tracked"), source.home, False)),
        mlflow_database(source),
    )
    execute(source.url, "INSERT INTO optselect.meta VALUES ('mlflow_place', 'database')")
    execute(mlflow_url(source), "UPDATE alembic_version SET version_num = 'abcdef'")
    backup(source, tmp_path / "backup.tar")
    before = execute(target.url, SCHEMAS)
    with pytest.raises(SchemaMismatch, match=r"Received: abcdef\. Install a newer MLflow\."):
        restore(target, tmp_path / "backup.tar")
    assert execute(target.url, SCHEMAS) == before
    there = f"SELECT count(*) FROM pg_database WHERE datname = '{mlflow_database(target)}'"
    assert execute(server, there) == [(0,)], "its database was made for the restore"


@pytest.mark.slow
@pytest.mark.parametrize("rights", ["NOCREATEDB", "CREATEDB"])
def test_a_role_that_owns_its_database_alone_saves_and_restores(
    server: URL, home: Path, tmp_path: Path, rights: str
) -> None:
    role = f"owner_{uuid.uuid4().hex}"
    execute(server, f"CREATE ROLE {role} LOGIN PASSWORD 'word' {rights}")
    try:
        with fresh_database(server, home) as one, fresh_database(server, home) as two:
            for database in (one, two):
                execute(server, f"ALTER DATABASE {database.url.database} OWNER TO {role}")
            mine, other = (
                Database(place.url.set(username=role, password="word"), home, False) for place in (one, two)
            )
            execute(ensure_mlflow(mine), EXPERIMENT)
            store_study(make_engine(mine, pooled=False), name="kept")
            backup(mine, tmp_path / "backup.tar")
            ensure_mlflow(other)
            restore(other, tmp_path / "backup.tar")
            assert execute(mlflow_url(other), "SELECT name FROM experiments") == [("optselect/kept",)]
            assert execute(other.url, "SELECT name FROM optselect.study") == [("kept",)]
            backup(other, tmp_path / "again.tar")
    finally:
        execute(server, f"DROP ROLE {role}")


@pytest.mark.slow
def test_the_backup_of_a_restored_database_can_be_restored(
    saved: Path, target: Database, server: URL, home: Path
) -> None:
    restore(target, saved)
    with fresh_database(server, home) as third:
        backup(target, saved.with_name("second.tar"))
        restore(third, saved.with_name("second.tar"))
        assert execute(third.url, "SELECT name FROM optselect.study") == [("kept",)]
