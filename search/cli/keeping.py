"""What do the db commands do? They show, upgrade, stop, save and restore the database of studies."""

import os
import sys
from pathlib import Path

from rich.console import Console

from optselect.search.cli.terminal import print_document
from optselect.search.context import Context
from optselect.search.documents import SCHEMA, EmbeddedDatabase, ServerDatabase
from optselect.search.errors import InvalidInput
from optselect.storage.schema.backup import backup, restore
from optselect.storage.schema.initialise import ensure_mlflow, initialise, mlflow_url, read_state
from optselect.storage.schema.roles import grant_work
from optselect.storage.server import embedded
from optselect.storage.server.database import Database, make_engine, open_database


def upgrade(context: Context) -> None:
    """Bring all tables to the installed versions."""
    database = open_database(context.storage, context.home, os.environ)
    before = stored_versions(database)
    initialise(database)
    ensure_mlflow(database)
    after = stored_versions(database)
    for name, version in after.items():
        old = before.get(name)
        print(f"{name:<20} {version}" + ("" if old == version else f"   (was {old or 'not there'})"))


def grant(role: str, context: Context) -> None:
    """Let a role work on the tables without owning them."""
    grant_work(open_database(context.storage, context.home, os.environ), role)
    print(f"{role} may now launch, train and read; it cannot make, alter or drop a table")


def stored_versions(database: Database) -> dict[str, str]:
    """Which versions made the tables; empty where there are none."""
    state = read_state(make_engine(database, pooled=False))
    return {} if state is None else {"revision": state[0] or "none", **state[1]}


def print_database(context: Context) -> None:
    """Where the database is and whether it runs; starts nothing."""
    elsewhere = context.storage or os.environ.get("OPTSELECT_STORAGE")
    facts = server_json(context) if elsewhere else embedded_json(context)
    if context.as_json:
        print_document(facts)
        return
    for name, value in facts.items():
        shown = (
            ", ".join(f"{key} {text}" for key, text in value.items()) if isinstance(value, dict) else value
        )
        if name != "schema":
            print(f"{name:<16} {shown}")


def server_json(context: Context) -> ServerDatabase:
    database = open_database(context.storage, context.home, os.environ)
    return {
        "schema": SCHEMA,
        "embedded": False,
        "running": True,
        "url": database.masked,
        "versions": stored_versions(database),
    }


def embedded_json(context: Context) -> EmbeddedDatabase:
    server = embedded.server_state(context.home)
    folder = server.data_directory
    return {
        "schema": SCHEMA,
        "embedded": True,
        "home": str(context.home),
        "running": server.running,
        "address": server.address,
        "data_directory": None if folder is None else str(folder),
        "version": server.version,
        "size_bytes": server.size_bytes,
        "versions": stored_versions(open_database(None, context.home, os.environ)) if server.running else {},
    }


def stop_server(context: Context) -> None:
    """Stop the embedded server."""
    stopped = embedded.stop(context.home)
    print("stopped; the next command starts it again" if stopped else "no embedded server was running")


def print_url(context: Context, for_optuna: bool, for_mlflow: bool, show_password: bool) -> None:
    """The address for other programs."""
    if for_optuna and for_mlflow:
        raise InvalidInput("Only one of --optuna and --mlflow can be given. Received: both.")
    database = context.open()
    if for_mlflow:
        ensure_mlflow(database)
    url = (
        database.url.update_query_dict({"options": "-csearch_path=optuna"})
        if for_optuna
        else mlflow_url(database)
        if for_mlflow
        else database.url
    )
    Console(highlight=False, markup=False).print(
        url.render_as_string(hide_password=not show_password), soft_wrap=True
    )


def write_backup(context: Context, file: Path) -> None:
    """Save everything into one file."""
    odd = backup(context.open(), file)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    if odd:
        print(
            f"note: db restore will refuse this file, for {odd[0]} stands among the tables: drop it, or move it to a"
            " schema of your own, then save again.",
            file=sys.stderr,
        )


def read_backup(context: Context, file: Path) -> None:
    """Restore a backup into a database without studies."""
    restore(context.open(), file)
    print("restored. See: optselect studies")
