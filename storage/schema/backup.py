"""How do studies and curves move to another machine? In one file.

Postgres's own tools write it. It is read as a stranger's: we make the tables ourselves, as they were at its revision,
fill them by statements of our own, and bring them to today's revision then. All of it happens, or nothing.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from optselect.storage.errors import InvalidAddress, SchemaMismatch, StorageError, Unreachable
from optselect.storage.schema.backup_file import FORMAT, MLFLOW, OURS, Saved, pack, unpack
from optselect.storage.schema.dumps import pg_dump
from optselect.storage.schema.filling import (
    USUAL_OF_MLFLOW,
    Dump,
    fill,
    layout_of,
    odd_objects,
    read_dump,
    refuse_others,
    revision_of,
)
from optselect.storage.schema.fresh_tables import (
    Place,
    exists,
    fresh_tables,
    put_back_unfinished,
    revision_in,
)
from optselect.storage.schema.initialise import (
    DATABASE_EXISTS,
    REVISION,
    installed,
    locked,
    make_mlflow_place,
    mlflow_database,
    mlflow_url,
    mlflow_url_in,
    plain_errors,
    read_state,
    set_meta,
    upgrade_mlflow,
    upgrade_optuna,
    upgrade_ours,
)
from optselect.storage.server.database import Database, connect, drop_database, make_engine

LIMITED = ("--no-comments", "--no-publications", "--no-subscriptions", "--no-security-labels")
"""What an administrator may have added stays with his server."""


def backup(database: Database, file: Path) -> list[str]:
    """Write all studies and MLflow's copy of their curves into `file`; it is seen whole or not at all.

    Returns what stands among the tables and would make a restore refuse the file: views and functions of others.
    """
    if not file.parent.is_dir():
        raise InvalidAddress(
            f"{file} must lie in a folder that can be written. Received: no folder {file.parent}."
        )
    with plain_errors(database), file_errors(file), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = describe(database)
        ours, mlflow = ["optuna", "optselect"], mlflow_schema(manifest["mlflow_place"])
        pg_dump(database.url, folder / OURS, *LIMITED, *(f"--schema={schema}" for schema in ours))
        odd = odd_objects(read_dump(folder / OURS, *ours))
        # After ours: what MLflow received meanwhile is sent again and changes nothing. The other way round its dump
        # would lack points that our outbox calls sent.
        if manifest["mlflow_place"] is not None:
            pg_dump(mlflow_url(database), folder / MLFLOW, *LIMITED, f"--schema={mlflow}")
            odd += odd_objects(read_dump(folder / MLFLOW, mlflow), USUAL_OF_MLFLOW)
        pack(folder, manifest, file)
        return odd


def restore(database: Database, file: Path) -> None:
    """Read a backup into a database that holds no study; raises InvalidAddress where it holds one.

    A failure leaves the database as it was.
    """
    with plain_errors(database), file_errors(file), tempfile.TemporaryDirectory() as name:
        saved = unpack(file, Path(name))
        with locked(make_engine(database, pooled=False), "optselect-init") as connection:
            refuse_studies(connection, database)
            with ExitStack() as tables:
                filled = [made_tables(connection, database, saved, tables)]
                if saved.mlflow is not None:
                    filled.append(made_mlflow_tables(connection, database, saved, tables))
                fill_all(filled)
                upgrade_ours(connection)
                note_mlflow(connection, saved.place)


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


def mlflow_schema(place: str | None) -> str:
    return "mlflow" if place == "schema" else "public"


# --- reading: the tables -------------------------------------------------------------------------------------------

Filled = tuple[Place, Dump]
"""A dump, and the place whose tables its rows go to."""


def made_tables(connection: Connection, database: Database, saved: Saved, tables: ExitStack) -> Filled:
    """Our tables and Optuna's, at the revisions of the backup, until `tables` ends."""
    dump = read_dump(saved.ours, "optuna", "optselect")
    if revision_of(dump, "optselect") != saved.revision:
        raise InvalidAddress("The manifest and the tables of the backup differ in revision: use another one.")
    optuna, ours = (Place(database.url, schema) for schema in dump.schemas)
    made_by = revision_of(dump, "optuna")

    def make_optuna() -> None:
        upgrade_optuna(database)
        if (here := revision_in(optuna)) != made_by:
            raise SchemaMismatch(
                f"Optuna's tables in the backup have revision {made_by}, the installed Optuna {installed('optuna')}"
                f" makes {here}: restore with Optuna {saved.versions.get('optuna')}, then upgrade it."
            )

    tables.enter_context(fresh_tables(optuna, made_by, make_optuna))
    tables.enter_context(
        fresh_tables(
            ours,
            saved.revision,
            lambda: upgrade_ours(connection, saved.revision),
            reuse=saved.revision == REVISION,  # else they change after they are filled
        )
    )
    return ours, dump


def made_mlflow_tables(connection: Connection, database: Database, saved: Saved, tables: ExitStack) -> Filled:
    """MLflow's tables at the revision of the backup, until `tables` ends."""
    assert saved.mlflow is not None and saved.place is not None
    schema = mlflow_schema(saved.place)
    dump = read_dump(saved.mlflow, schema)
    revision = revision_of(dump, schema)
    tables.enter_context(mlflow_place(connection, database, saved.place))
    url = mlflow_url_in(database, saved.place)
    place = Place(database.url if schema == "mlflow" else url, schema)
    put_back_unfinished(place)
    refuse_runs(place)
    tables.enter_context(fresh_tables(place, revision, lambda: upgrade_mlflow(url, revision)))
    return place, dump


@contextmanager
def mlflow_place(connection: Connection, database: Database, saved: str) -> Iterator[None]:
    """A place for MLflow's tables, of the kind that the backup has; where the block fails, it goes again."""
    name = mlflow_database(database)
    known = connection.execute(DATABASE_EXISTS, {"name": name}).scalar() or exists(connection, "mlflow")
    here = make_mlflow_place(connection, database)
    connection.commit()
    try:
        refuse_other_place(saved, here)
        yield
    except BaseException:
        if not known and here == "database":
            drop_database(database.url, name)
        elif not known:
            connection.rollback()
            connection.execute(text("DROP SCHEMA IF EXISTS mlflow CASCADE"))
            connection.commit()
        raise


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


def refuse_runs(place: Place) -> None:
    with make_engine(place.url, place.schema, pooled=False).connect() as connection:
        runs = count(connection, f"{place.schema}.runs")
    if runs:
        raise InvalidAddress(
            f"A backup is restored only where MLflow holds no run; {place.url.database} holds {runs}:"
            " choose an empty database (--storage) or another OPTSELECT_HOME."
        )


def count(connection: Connection, table: str) -> int:
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return 0
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


# --- reading: the rows ---------------------------------------------------------------------------------------------


def fill_all(filled: list[Filled]) -> None:
    """Fill the tables of every place; they are seen together, when all rows are in."""
    with ExitStack() as stack:
        open_transactions = []
        for place, dump in filled:
            layout = layout_of(place.url, dump.schemas)
            refuse_others(dump, layout)
            connection = stack.enter_context(closing(connect(place.url)))
            fill(connection, dump, layout)
            open_transactions.append(connection)
        for connection in reversed(open_transactions):  # ours last: without them the restore can be repeated
            connection.commit()


def note_mlflow(connection: Connection, place: str | None) -> None:
    """Note where MLflow's tables are here, and nothing of their version: the next use looks at them itself."""
    connection.execute(text("DELETE FROM optselect.meta WHERE key IN ('mlflow', 'mlflow_place')"))
    if place is not None:
        set_meta(connection, mlflow_place=place)
    connection.commit()


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
