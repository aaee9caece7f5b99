"""How are the database and the curves in MLflow kept in order?"""

from pathlib import Path
from typing import Annotated

import typer

from optselect.search.cli.commands.options import (
    Json,
    Storage,
    Study,
    Tracking,
    context_of,
)


def sync(
    study: Study,
    check: Annotated[
        bool,
        typer.Option("--check", help="Send nothing: compare point by point; exit code 1 where they differ."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Send everything once more: to another server, or after runs were deleted."
        ),
    ] = False,
    storage: Storage = None,
    tracking: Tracking = None,
    as_json: Json = False,
) -> int:
    """Complete the curves in MLflow from Postgres, from any machine, or check that they are complete."""
    from optselect.search.cli.syncing import print_check, print_sync
    from optselect.search.errors import InvalidInput

    if check and again:
        raise InvalidInput("Only one of --check and --again can be given. Received: both.")
    context = context_of(storage, tracking, as_json)
    return print_check(study, context) if check else print_sync(study, again, context)


def delete(
    study: Study,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_curves: Annotated[
        bool,
        typer.Option(
            "--keep-curves",
            help="Leave the experiment in MLflow as it is; a later study of this name adds to it.",
        ),
    ] = False,
    storage: Storage = None,
    tracking: Tracking = None,
    as_json: Json = False,
) -> None:
    """Delete a study: trials, curves, checkpoints and its experiment in MLflow. Shows them first, and asks."""
    from optselect.search.cli.deleting import delete as delete_study

    delete_study(study, yes, not keep_curves, context_of(storage, tracking, as_json))


def status(storage: Storage = None, as_json: Json = False) -> None:
    """Where the database is, whether it runs, which versions its tables have."""
    from optselect.search.cli.keeping import print_database

    print_database(context_of(storage, None, as_json))


def upgrade(storage: Storage = None) -> None:
    """Create or upgrade all tables: ours, Optuna's and MLflow's."""
    from optselect.search.cli.keeping import upgrade

    upgrade(context_of(storage, None, False))


def grant(
    role: Annotated[str, typer.Argument(help="A role that the server knows.", show_default=False)],
    storage: Storage = None,
) -> None:
    """Give a role what workers need: rows, no tables; to be run by the tables' owner, once."""
    from optselect.search.cli.keeping import grant

    grant(role, context_of(storage, None, False))


def stop() -> None:
    """Stop the embedded server; the next command starts it again."""
    from optselect.search.cli.keeping import stop_server

    stop_server(context_of(None, None, False))


def url(
    for_optuna: Annotated[bool, typer.Option("--optuna", help="As Optuna's RDBStorage wants it.")] = False,
    for_mlflow: Annotated[bool, typer.Option("--mlflow", help="As an MLflow tracking URI.")] = False,
    show_password: Annotated[bool, typer.Option("--show-password", help="Print the password.")] = False,
    storage: Storage = None,
) -> None:
    """Print the address of the database."""
    from optselect.search.cli.keeping import print_url

    print_url(context_of(storage, None, False), for_optuna, for_mlflow, show_password)


def backup(file: Annotated[Path, typer.Argument(show_default=False)], storage: Storage = None) -> None:
    """Write studies, trials and curves into one file."""
    from optselect.search.cli.keeping import write_backup

    write_backup(context_of(storage, None, False), file)


def restore(file: Annotated[Path, typer.Argument(show_default=False)], storage: Storage = None) -> None:
    """Read a backup into a database that holds no study."""
    from optselect.search.cli.keeping import read_backup

    read_backup(context_of(storage, None, False), file)
