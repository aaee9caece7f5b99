"""What does a person read of a study, and of what could be searched?"""

from pathlib import Path
from typing import Annotated

import typer

from optselect.search.commands.options import (
    Json,
    Storage,
    Study,
    Tracking,
    surroundings,
)


def report(
    study: Study,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with all figures into this file.", metavar="FILE", show_default=False
        ),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Print only the optimizer to use, as code.")] = False,
    script: Annotated[
        bool,
        typer.Option(
            "--script", help="With --code: a whole script that trains with it, to the study's own numbers."
        ),
    ] = False,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="With --code: of this one of the ranking, in place of the one to use.", show_default=False
        ),
    ] = None,
    with_model: Annotated[
        bool,
        typer.Option("--log-model", help="Log the best trained model of it to MLflow, beside the verdict."),
    ] = False,
    storage: Storage = None,
    tracking: Tracking = None,
    as_json: Json = False,
) -> None:
    """The verdict: which optimizer to use, how sure that is, and what would settle what is open."""
    from optselect.search.errors import InvalidInput
    from optselect.search.looking import console
    from optselect.search.report import log_model, print_code, print_report, write_page

    if not code and (script or optimizer):
        alone = "--script" if script else f"--optimizer {optimizer}"
        raise InvalidInput(f"{alone} goes with --code. Received: {alone} alone. Write --code {alone}.")
    place = surroundings(storage, tracking, as_json)
    if with_model:
        log_model(study, place)
    elif html is not None:
        write_page(study, place, html)
    elif code:
        print_code(study, place, script, optimizer)
    else:
        print_report(study, place, console())


def status(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """How far a study is: counts by state and by optimizer, workers, the best so far."""
    from optselect.search.looking import print_status

    print_status(study, surroundings(storage, None, as_json))


def trials(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """Every trial of a study as a row."""
    from optselect.search.looking import print_trials

    print_trials(study, surroundings(storage, None, as_json))


def show(
    study: Study,
    number: Annotated[int | None, typer.Argument(help="A trial's number.", show_default=False)] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """The spec of a study as TOML that launches it; with NUMBER one trial: settings, curve, why it ended."""
    from optselect.search.looking import show_study, show_trial

    place = surroundings(storage, None, as_json)
    if number is None:
        show_study(study, place)
    else:
        show_trial(study, number, place)


def studies(storage: Storage = None, as_json: Json = False) -> None:
    """All studies of the database."""
    from optselect.search.looking import print_studies

    print_studies(surroundings(storage, None, as_json))


def optimizers(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One optimizer, or a class of your own: my_optimizers.py:MyMomentum or package.module:Class.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The catalogue: which arguments of which optimizer are searched, in which ranges."""
    from optselect.search.looking import print_optimizers

    print_optimizers(name, as_json)


def ui(
    study: Annotated[str | None, typer.Argument(help="Open this study's curves.", show_default=False)] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port, if it is free.")] = 5000,
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Start the MLflow server on this machine and print the link to the curves."""
    from optselect.search.looking import serve_ui

    serve_ui(study, port, surroundings(storage, tracking, False))
