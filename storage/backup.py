"""How do studies and curves move to another machine? In one file, written and read by Postgres's own tools.

The file is a tar of a manifest and one dump for each place: our two schemas, and MLflow's tables where they live
beside ours.
"""

import json
import os
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg2.extensions import make_dsn
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from optselect.storage.database import Database, libpq_parameters, make_engine, write_pgpass
from optselect.storage.embedded import cause_of_failure, find_binaries
from optselect.storage.errors import InvalidAddress, SchemaMismatch, StorageError, Unreachable
from optselect.storage.initialise import (
    DATABASE_EXISTS,
    REVISION,
    initialise,
    installed,
    locked,
    make_mlflow_place,
    mlflow_database,
    mlflow_url,
    plain_errors,
    read_state,
)

FORMAT = 1
OURS = "optselect.dump"
MLFLOW = "mlflow.dump"
MANIFEST = "manifest.json"


def backup(database: Database, file: Path) -> None:
    """Write all studies and MLflow's copy of their curves into `file`; it is seen whole or not at all."""
    if not file.parent.is_dir():
        raise InvalidAddress(
            f"{file} must lie in a folder that can be written. Received: no folder {file.parent}."
        )
    with plain_errors(database), file_errors(file), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = describe(database)
        dump(database.url, folder / OURS, ["optuna", "optselect"])
        # After ours: what MLflow received meanwhile is sent again and changes nothing. The other way round its dump
        # would lack points that our outbox calls sent.
        if manifest["mlflow_place"] is not None:
            in_schema = manifest["mlflow_place"] == "schema"
            dump(mlflow_url(database), folder / MLFLOW, ["mlflow"] if in_schema else [])
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
        pack(folder, file)


def restore(database: Database, file: Path) -> None:
    """Read a backup into a database that holds no study; raises InvalidAddress where it holds one."""
    with plain_errors(database), file_errors(file), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = unpack(file, folder)
        with locked(make_engine(database, pooled=False), "optselect-init") as connection:
            refuse_studies(connection, database)
            place = make_mlflow_place(connection, database) if manifest["mlflow_place"] else None
            connection.commit()
            refuse_other_place(manifest["mlflow_place"], place)
            if place is not None:
                restore_mlflow(database, folder / MLFLOW, place)
            replace_schemas(database.url, ["optuna", "optselect"], folder / OURS)
            # The dump's note is about the other machine; without one the next use checks MLflow's tables itself.
            connection.execute(text("DELETE FROM optselect.meta WHERE key = 'mlflow'"))
            connection.commit()
        initialise(database)  # a backup of an older version gets today's tables


# --- writing -------------------------------------------------------------------------------------------------------


def describe(database: Database) -> dict[str, Any]:
    engine = make_engine(database, pooled=False)
    state = read_state(engine)
    if state is None:
        raise InvalidAddress(f"There is nothing to save: {database.masked} holds no optselect tables.")
    revision, meta = state
    place = meta.get("mlflow_place")
    if place == "database":
        with engine.connect() as connection:
            known = connection.execute(DATABASE_EXISTS, {"name": mlflow_database(database)}).scalar()
        place = place if known else None
    return {"format": FORMAT, "revision": revision, "mlflow_place": place, "versions": meta}


def dump(url: URL, file: Path, schemas: Sequence[str]) -> None:
    wanted = [f"--schema={schema}" for schema in schemas]
    run_client(
        "pg_dump", url, ["--format=custom", "--no-owner", "--no-privileges", f"--file={file}", *wanted]
    )


def pack(folder: Path, file: Path) -> None:
    aside = file.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            with tarfile.open(fileobj=target, mode="w") as tar:
                for name in (MANIFEST, OURS, MLFLOW):  # the manifest first: a reader sees at once what comes
                    if (folder / name).exists():
                        tar.add(folder / name, arcname=name)
            target.flush()
            os.fsync(target.fileno())
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)


# --- reading -------------------------------------------------------------------------------------------------------


def unpack(file: Path, folder: Path) -> dict[str, Any]:
    try:
        with tarfile.open(file) as tar:
            for name in (
                MANIFEST,
                OURS,
                MLFLOW,
            ):  # by name: nothing else of a stranger's file touches the disk
                if name in tar.getnames():
                    tar.extract(name, folder, filter="data")
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        revision, kind = str(manifest["revision"]), manifest["format"]
        complete = (folder / OURS).exists() and (folder / MLFLOW).exists() == bool(manifest["mlflow_place"])
    except (tarfile.TarError, ValueError, KeyError, TypeError, FileNotFoundError) as error:
        if not file.exists():
            raise
        raise InvalidAddress(f"{file} is not a backup made by `optselect db backup`.") from error
    if not complete:
        raise InvalidAddress(f"The backup {file} is incomplete: use another one.")
    if kind != FORMAT or revision > REVISION:
        raise SchemaMismatch(
            f"The backup {file} was made by a newer optselect ({manifest['versions'].get('optselect')}, revision"
            f" {revision}) than the installed {installed('optselect')}: install the newer one."
        )
    return manifest


def refuse_studies(connection: Connection, database: Database) -> None:
    held = count(connection, "optselect.study")
    connection.rollback()
    if held:
        raise InvalidAddress(
            f"A backup is restored only where no study is stored; {database.masked} holds {held}:"
            " choose an empty database (--storage) or another OPTSELECT_HOME."
        )


def refuse_other_place(saved: str | None, here: str | None) -> None:
    if saved != here:
        raise InvalidAddress(
            f"The backup keeps MLflow's tables in a {saved}, here they belong in a {here}: restore it with a role that"
            f" may {'create databases' if saved == 'database' else 'not create databases'}."
        )


def restore_mlflow(database: Database, file: Path, place: str) -> None:
    # mlflow_url() would ask our tables, which are not restored yet.
    url = database.url if place == "schema" else database.url.set(database=mlflow_database(database))
    schema = "mlflow" if place == "schema" else "public"
    with make_engine(url, schema, pooled=False).connect() as connection:
        runs = count(connection, f"{schema}.runs")
    if runs:
        raise InvalidAddress(
            f"A backup is restored only where MLflow holds no run; {url.database} holds {runs}:"
            " choose an empty database (--storage) or another OPTSELECT_HOME."
        )
    replace_schemas(url, [schema], file)


def count(connection: Connection, table: str) -> int:
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return 0
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def replace_schemas(url: URL, schemas: Sequence[str], file: Path) -> None:
    """Empty the schemas, then restore all or nothing; the caller knows that nothing of value is in them."""
    with make_engine(url, "public", pooled=False).begin() as connection:
        for schema in schemas:
            connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            if schema == "public":  # a dump takes this one for granted, the others it creates
                connection.execute(text("CREATE SCHEMA public"))
    script = file.with_suffix(".sql")
    run_client("pg_restore", None, ["--no-owner", "--no-privileges", f"--file={script}", str(file)])
    forget_new_settings(script)
    run_client(
        "psql",
        url,
        ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={script}"],
    )


def forget_new_settings(script: Path) -> None:
    """Blank out a setting that the pg_restore of today writes and servers before 17 refuse."""
    with open(script, "r+b") as file:
        head = file.read(4096).partition(b"\nCREATE ")[0]  # the settings stand before the first command
        begin = head.find(b"SET transaction_timeout = 0;")
        if begin >= 0:
            file.seek(begin)
            file.write(b"--")  # the rest of the line becomes a comment


# --- Postgres's own tools ------------------------------------------------------------------------------------------


def run_client(program: str, url: URL | None, arguments: Sequence[str]) -> None:
    """Run pg_dump, pg_restore or psql; without `url` on no server at all.

    The password goes by a 0600 file, since anyone may read a command line.
    """
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "LC_ALL": "C"}
        command: list[str | Path] = [find_binaries(os.environ) / program]
        if url is not None:
            place = make_dsn(
                **{key: value for key, value in libpq_parameters(url).items() if key != "password"}
            )
            command += [f"--dbname={place}", "--no-password"]
            if url.password is not None:
                write_pgpass(url, Path(name) / "pgpass")
                environment = {key: value for key, value in environment.items() if key != "PGPASSWORD"}
                environment["PGPASSFILE"] = str(Path(name) / "pgpass")
        done = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        where = f" on database {url.database}" if url is not None else ""
        raise Unreachable(f"{program} failed{where}: {cause_of_failure(done.stderr)}.")


@contextmanager
def file_errors(file: Path) -> Iterator[None]:
    """Turn what the system refuses about the file into one line."""
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise InvalidAddress(
            f"There is no {error.filename or file}: give the path of a backup file."
        ) from error
    except OSError as error:
        raise Unreachable(
            f"The backup {file} cannot be read or written: {error.strerror or error}."
        ) from error
