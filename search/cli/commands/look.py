"""What does a person read of a study, and of what could be searched?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optselect.search.cli.commands.options import (
    Json,
    LaunchNumber,
    Storage,
    Study,
    Tracking,
    context_of,
    study_names,
)
from optselect.search.errors import InvalidInput

if TYPE_CHECKING:
    from optselect.search.context import Context
    from optselect.search.report.reading import Evidence


StudyOrNone = Annotated[
    str | None, typer.Argument(help="Name of a study.", show_default=False, autocompletion=study_names)
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        help="In place of STUDY: a file that export wrote. No database is needed.",
        metavar="FILE",
        show_default=False,
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(help="Write a page with all figures into this file.", metavar="FILE", show_default=False),
]
Script = Annotated[
    bool,
    typer.Option(
        "--script", help="With --code: a whole script that trains with it, to the study's own numbers."
    ),
]
RankedOptimizer = Annotated[
    str | None,
    typer.Option(
        help="With --code: of this one of the ranking, in place of the one to use.", show_default=False
    ),
]
LogModel = Annotated[
    bool,
    typer.Option("--log-model", help="Log the best trained model of it to MLflow, beside the verdict."),
]
Register = Annotated[
    str | None,
    typer.Option(
        help="The same, and a new version under this name in MLflow's model registry.",
        metavar="NAME",
        show_default=False,
    ),
]


def report(
    study: StudyOrNone = None,
    bundle: Bundle = None,
    html: Page = None,
    code: Annotated[bool, typer.Option("--code", help="Print only the optimizer to use, as code.")] = False,
    script: Script = False,
    optimizer: RankedOptimizer = None,
    with_model: LogModel = False,
    register: Register = None,
    storage: Storage = None,
    tracking: Tracking = None,
    as_json: Json = False,
) -> None:
    """The verdict: which optimizer to use, how sure that is, and what would settle what is open."""
    from optselect.search.cli.reporting import print_code, print_report, write_page
    from optselect.search.cli.terminal import stdout_console
    from optselect.search.report.bundle_reading import judging
    from optselect.search.studies.best_model import log_best_model

    with_model = with_model or register is not None
    demand_possible(study, bundle, code, script, optimizer, with_model)
    demand_one_output(as_json, html, code, with_model)
    demand_name(register)
    context = context_of(storage, tracking, as_json)
    if with_model and study is not None:
        print(log_best_model(study, register, context))
        return
    evidence = evidence_of_either(study, bundle, context)
    with judging(bundle):
        if html is not None:
            write_page(evidence, html)
        elif code:
            print_code(evidence, script, optimizer)
        else:
            print_report(evidence, as_json, stdout_console())


def demand_possible(
    study: str | None,
    bundle: Path | None,
    code: bool,
    script: bool,
    optimizer: str | None,
    with_model: bool,
) -> None:
    """Refuse a report of nothing or of two, and what would be ignored; raises InvalidInput."""
    if not code and (script or optimizer):
        alone = "--script" if script else f"--optimizer {optimizer}"
        raise InvalidInput(f"{alone} goes with --code. Received: {alone} alone. Write --code {alone}.")
    if (study is None) == (bundle is None) or (with_model and study is None):
        raise InvalidInput(
            "Either STUDY or --bundle FILE must be given, with --log-model or --register STUDY. Received: "
            f"{'neither' if study is None and bundle is None else '--bundle' if study is None else 'both'}."
        )


def demand_one_output(as_json: bool, html: Path | None, code: bool, with_model: bool) -> None:
    """Refuse --json with what prints something else; raises InvalidInput."""
    others = {"--html": html is not None, "--code": code, "--log-model or --register": with_model}
    if as_json and (given := [name for name, is_given in others.items() if is_given]):
        raise InvalidInput(
            f"--json prints the verdict and nothing else. Received: --json with {' and '.join(given)}. Type the command "
            "once for each."
        )


def demand_name(register: str | None) -> None:
    """Refuse what MLflow's registry does not take, before a model is loaded; raises InvalidInput."""
    if register is not None and (not register.strip() or set("/:") & set(register)):
        raise InvalidInput(
            f"--register must be a name without / and :, such as digits-classifier. Received: {register!r}."
        )


def evidence_of_either(study: str | None, bundle: Path | None, context: "Context") -> "Evidence":
    """Of the study that the database has, or of the bundle."""
    if bundle is not None:
        from optselect.search.report.bundle_reading import bundled_evidence

        return bundled_evidence(bundle)
    from optselect.search.report.reading import stored_evidence

    assert study is not None
    return stored_evidence(study, context)


def status(
    study: Study,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on showing it, anew each second, until the study ends.")
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """How far a study is: counts by state and by optimizer, workers, the best so far."""
    from optselect.search.cli.looking import print_status, watch_status

    if watch and as_json:
        raise InvalidInput(
            "Only one of --watch and --json may be given: one is for people, one for scripts. Received: both. "
            "A script calls status --json as often as it likes."
        )
    (watch_status if watch else print_status)(study, context_of(storage, None, as_json))


def logs(
    study: Study,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(min=0, help="Last lines of each worker.")] = 20,
    launch: LaunchNumber = None,
    storage: Storage = None,
) -> None:
    """What the workers of the last launch say, wherever an engine has put them."""
    from optselect.search.cli.looking import show_logs

    show_logs(study, launch, lines, follow, context_of(storage, None, False))


def trials(
    study: Study,
    optimizer: Annotated[
        str | None, typer.Option(help="Only of these, such as adam,sgd.", show_default=False)
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only in these: waiting, running, complete, pruned, diverged, failed.", show_default=False
        ),
    ] = None,
    phase: Annotated[
        str | None,
        typer.Option(
            help="Only of these: baseline, quota, elimination, survivors, final.", show_default=False
        ),
    ] = None,
    sort: Annotated[
        str, typer.Option(help="trial, value (best first), optimizer, epochs or seconds (most first).")
    ] = "trial",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.", show_default=False)] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Every trial of a study as a row, or those that are wanted."""
    from optselect.search.cli.looking import print_trials
    from optselect.search.status.selecting import Selection

    wanted = Selection(optimizer, state, phase, sort, limit)
    print_trials(study, wanted, context_of(storage, None, as_json))


def export(
    study: Study,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Its ending says what: .csv or .parquet (one row for each trial), or .zip: a bundle with report, trials, "
            "curves, source, seeds and versions. Default: STUDY.zip; - prints CSV.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[bool, typer.Option("--epochs", help="In a table: one row for each epoch.")] = False,
    storage: Storage = None,
) -> None:
    """Write a study as a table for other programs, or as a bundle that `report --bundle` reads on any machine."""
    from optselect.search.cli.reporting import export as export_study

    export_study(study, file, epochs, context_of(storage, None, False))


def show(
    study: Study,
    number: Annotated[int | None, typer.Argument(help="A trial's number.", show_default=False)] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """The spec of a study as TOML that launches it; with NUMBER one trial: settings, curve, why it ended."""
    from optselect.search.cli.looking import show_study, show_trial

    context = context_of(storage, None, as_json)
    if number is None:
        show_study(study, context)
    else:
        show_trial(study, number, context)


def compare(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="Name of a study.", show_default=False, autocompletion=study_names),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Name of another study.", show_default=False, autocompletion=study_names
        ),
    ],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Two studies side by side: what differs, what each says, and what may be said of both together."""
    from optselect.search.cli.looking import print_pair

    print_pair(first, second, context_of(storage, None, as_json))


def studies(storage: Storage = None, as_json: Json = False) -> None:
    """All studies of the database."""
    from optselect.search.cli.looking import print_studies

    print_studies(context_of(storage, None, as_json))


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
    from optselect.search.cli.optimizers import print_optimizers

    print_optimizers(name, as_json)


def ui(
    study: Annotated[
        str | None,
        typer.Argument(help="Open this study's curves.", show_default=False, autocompletion=study_names),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port, if it is free.")] = 5000,
    token: Annotated[
        bool | None,
        typer.Option(
            "--token/--no-token",
            help="Answer only who has the printed link; by default where other people may log in here.",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Start the MLflow server on this machine and print the link to the curves."""
    from optselect.search.cli.looking import serve_ui

    serve_ui(study, port, token, context_of(storage, tracking, False))
