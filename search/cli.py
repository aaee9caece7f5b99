"""The command line: parses, calls one function, prints. Read launching.py next.

Every command imports what it runs inside its function: --help, completion and a typing error load neither
TensorFlow, MLflow, SQLAlchemy nor Optuna.
"""

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

import optselect
from optselect.search.exit_codes import UserExit, WorkerExit

if TYPE_CHECKING:
    from optselect.search.launching import Surroundings

app = typer.Typer(
    name="optselect",
    help="Which optimizer should I use for my Keras model, with which settings?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
db = typer.Typer(help="The database that keeps studies: state, address, backup.", no_args_is_help=True)
app.add_typer(db, name="db", rich_help_panel="Keep")


def main() -> NoReturn:
    """Run the command of sys.argv and exit; every failure is one line."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if debug:
        os.environ["OPTSELECT_DEBUG"] = "1"
    try:
        code = app(arguments, prog_name="optselect", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001  the one place where anything becomes a line and an exit code
        code = explain(error)
        if debug or (
            code == UserExit.OUR_FAILURE and arguments[:1] == ["worker"]
        ):  # the latter is a log file
            traceback.print_exc()
        if arguments[:1] == ["worker"]:
            code = as_worker_code(error, code)
    leave(code or 0)


def leave(code: int) -> NoReturn:
    """Exit; a process that holds TensorFlow goes at once, for taking it down costs two seconds and gains nothing."""
    if "tensorflow" not in sys.modules:
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def explain(error: Exception) -> int:
    """Print one line about an error; returns the exit code of a user's command."""
    code, message = diagnosis(error)
    if message:
        print(f"optselect: {' '.join(message.split())}", file=sys.stderr)
    return code


def diagnosis(error: Exception) -> tuple[int, str]:
    """What went wrong and whose it is."""
    if isinstance(error, typer.TyperException):
        return usage_error(error)
    if isinstance(error, (typer.Abort, BrokenPipeError)):
        return UserExit.OUR_FAILURE, ""
    from optselect.search.errors import SearchError
    from optselect.storage.errors import InvalidAddress, NotFound, SchemaMismatch, Unreachable
    from optselect.trials.errors import TrialsError

    if isinstance(error, (SearchError, TrialsError, InvalidAddress)):
        return UserExit.INVALID, str(error)
    if isinstance(error, NotFound):
        return UserExit.NOT_FOUND, str(error)
    if isinstance(error, (Unreachable, SchemaMismatch)):
        return UserExit.UNREACHABLE, str(error)
    from optselect.storage.database import one_line, transient

    if transient(error):
        return (
            UserExit.UNREACHABLE,
            f"The database went away: {one_line(error)}. Start it again, then repeat.",
        )
    if isinstance(error, OSError) and error.filename:  # a full disk, a closed folder
        return (
            UserExit.UNREACHABLE,
            f"{error.filename}: {error.strerror}. Set OPTSELECT_HOME to a folder with room that can be written.",
        )
    return (
        UserExit.OUR_FAILURE,
        f"{type(error).__name__}: {error} (this is a bug of ours; --debug shows where)",
    )


def usage_error(error: typer.TyperException) -> tuple[int, str]:
    """Typer's own words for a mistyped command, and what was typed."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is printed already
        return error.exit_code, ""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    text = f"{error.format_message().rstrip('.')}."
    if parameter is not None and (value := typed_value(parameter.opts)) is not None:
        text += f" Received: {value}."
    return error.exit_code, text if context is None else f"{text} See: {context.command_path} --help"


def typed_value(options: list[str]) -> str | None:
    """What stands behind an option on the command line."""
    for place, argument in enumerate(sys.argv):
        name, equals, value = argument.partition("=")
        if name in options:
            return value if equals else " ".join(sys.argv[place + 1 : place + 2])
    return None


def as_worker_code(error: Exception, code: int) -> int:
    """The worker contract has codes of its own: engines can match only one "do not restart"."""
    if type(error).__name__ == "SchemaMismatch" or code in (UserExit.INVALID, UserExit.NOT_FOUND):
        return WorkerExit.MISCONFIGURED
    return WorkerExit.RETRY if code == UserExit.UNREACHABLE else code


# --- options ------------------------------------------------------------------------------------------

Study = Annotated[str, typer.Argument(help="Name of a study.", show_default=False)]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Address of a PostgreSQL server, postgresql://user@host/database; else OPTSELECT_STORAGE, else the "
        "embedded server of OPTSELECT_HOME. Password: OPTSELECT_STORAGE_PASSWORD_FILE or PGPASSFILE.",
        show_default=False,
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option(
        help="Address of an MLflow server; else MLFLOW_TRACKING_URI, else MLflow's tables beside ours.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Training processes on this machine; 0 only stores. Default: one per GPU, else per core.",
        show_default=False,
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option(
        help="One training process for each: all, numbers or UUIDs, comma-separated. Default: all there are.",
        show_default=False,
    ),
]
PerGpu = Annotated[
    int, typer.Option(min=1, max=32, help="Processes that share a GPU, each with its part of the memory.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background.")]
UseLocal = Annotated[
    bool,
    typer.Option("--use-local", help="Train the local problem file even if it differs from the study's."),
]


# --- launch and resume --------------------------------------------------------------------------------


@app.command(rich_help_panel="Run")
def launch(
    problem: Annotated[
        str | None,
        typer.Argument(help="A problem file, or diabetes, fashion, digits, momentum.", show_default=False),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with these settings and ranges; flags win over it.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the study; default: the problem's.", show_default=False)
    ] = None,
    optimizers: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated, such as sgd,rmsprop,adam, or all; a class of your own: my_optimizers.py:MyMomentum. "
            "Default: eight and the class you use now.",
            show_default=False,
        ),
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(help="What to search of each: auto (by the budget), 1 or all.", show_default="auto"),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Search trials in all.", show_default="24")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Instead of --trials: small, medium or large, 3, 12 or 36 trials for each optimizer.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        int | None,
        typer.Option(
            help="Instead of --trials: as much as fits, at the pace of the first runs.", show_default=False
        ),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            help="verdict compares optimizers fairly; best-config only looks for a good configuration.",
            show_default="verdict",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Fresh seeds on which the finalists are compared first; 0: no comparison.", show_default="5"
        ),
    ] = None,
    switch: Annotated[
        str | None,
        typer.Option(
            help="Also try changing the optimizer in mid-training: FIRST:SECOND, such as sgd:adam.",
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Let learning rates change: constant, cosine, linear, exponential; of several each trial gets one.",
            show_default=False,
        ),
    ] = None,
    jit: Annotated[
        str | None,
        typer.Option(
            help="off, on or auto (where it pays, by measurement): let XLA compile the trainings. Faster for small "
            "dense and recurrent models on CPU, but it rounds otherwise than fit.",
            show_default="off",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, mixed_float16 or mixed_bfloat16: Keras's dtype policy of all trainings, the baseline's too; "
            "default: what the problem file sets. Mixed ones are for GPUs; a CPU gets slower by them.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of a trial; default: those of the problem's fit.", show_default=False),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    seed: Annotated[int | None, typer.Option(help="Seed of the study.", show_default="0")] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="A validation metric, with :min or :max where its name does not tell.",
            show_default="val_loss",
        ),
    ] = None,
    storage: Storage = None,
    tracking: Tracking = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="Where checkpoints above 4 MB go: a folder that all machines share, or an address of fsspec such as "
            "s3://bucket/folder; default: OPTSELECT_HOME of each machine. Smaller ones are in the database.",
            show_default=False,
        ),
    ] = None,
    detach: Detach = False,
    in_process: Annotated[
        bool,
        typer.Option("--in-process", help="Train in this very process, to step through with a debugger."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Search the optimizer for a Keras model: create a study, or attach to it, and train."""
    from optselect.search.executors.devices import Wish
    from optselect.search.launching import Staff
    from optselect.search.launching import launch as launch_study
    from optselect.search.requesting import Flags, merged

    flags = Flags(
        problem=problem,
        name=name,
        optimizers=optimizers,
        tune=tune,
        trials=trials,
        epochs=epochs,
        seed=seed,
        objective=objective,
        goal=goal,
        budget=budget,
        minutes=minutes,
        seeds=seeds,
        jit=jit,
        precision=precision,
        workers=workers,
        storage=storage,
        tracking=tracking,
        checkpoints=checkpoints,
        switch=switch,
        schedule=schedule,
        detach=detach,
    )
    asked = merged(flags, spec)
    place = surroundings(asked.flags.storage, asked.flags.tracking, as_json, asked.flags.checkpoints)
    staff = Staff(asked.flags.workers, asked.flags.detach, in_process, Wish(gpus, per_gpu))
    return launch_study(asked.request, asked.flags.name, place, staff)


@app.command(rich_help_panel="Run")
def resume(
    study: Study,
    trials: Annotated[
        str | None, typer.Option(help="+N: search N further trials.", metavar="+N", show_default=False)
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="+N: compare the finalists on N more seeds.", metavar="+N", show_default=False),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    storage: Storage = None,
    tracking: Tracking = None,
    use_local: UseLocal = False,
    detach: Detach = False,
    as_json: Json = False,
) -> int:
    """Go on with a study, by name alone, on any machine."""
    from optselect.search.executors.devices import Wish
    from optselect.search.launching import More, Staff
    from optselect.search.launching import resume as resume_study

    place = surroundings(storage, tracking, as_json)
    more = More(further("--trials", trials, 1_000_000, 24), further("--seeds", seeds, 200, 5))
    return resume_study(study, more, place, Staff(workers, detach, wish=Wish(gpus, per_gpu)), use_local)


def further(flag: str, text: str | None, most: int, example: int) -> int:
    """What stands behind a plus."""
    from optselect.search.errors import InvalidInput

    if text is None:
        return 0
    digits = text[1:]
    if not (text.startswith("+") and digits.isascii() and digits.isdigit() and 0 < int(digits) <= most):
        raise InvalidInput(
            f'{flag} must say how many more, from +1 to +{most}. Received: "{text}". Write {flag} +{example}.'
        )
    return int(digits)


@app.command(rich_help_panel="Run")
def worker(
    study: Annotated[
        str | None,
        typer.Argument(help="Name of a study; default: all that run and will run.", show_default=False),
    ] = None,
    slots: Annotated[
        str | None,
        typer.Option(
            help="Supervise so many training processes instead of training here; without STUDY 1.",
            show_default=False,
        ),
    ] = None,
    max_trials: Annotated[
        int | None, typer.Option(min=1, help="Leave after so many trials of STUDY.", show_default=False)
    ] = None,
    max_idle: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Without STUDY: leave after so many seconds without work; default: stay until SIGTERM.",
            metavar="SECONDS",
            show_default=False,
        ),
    ] = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    storage: Storage = None,
    tracking: Tracking = None,
    use_local: UseLocal = False,
    slot: Annotated[int | None, typer.Option(hidden=True)] = None,
    gives_way: Annotated[bool, typer.Option("--gives-way", hidden=True)] = False,
) -> int:
    """Join a study, or without STUDY every running one and those to come, from any machine that reaches the database."""
    from optselect.search.executors.devices import Wish
    from optselect.search.joining import Joining, join

    asked = Joining(slots, max_trials, max_idle, slot, use_local, gives_way, Wish(gpus, per_gpu))
    return join(study, asked, surroundings(storage, tracking, False))


@app.command(rich_help_panel="Run")
def pause(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """Start no trial any more, on any machine; those that run end as usual. Go on: resume."""
    from optselect.search.control import order

    order(study, "paused", surroundings(storage, None, as_json))


@app.command(rich_help_panel="Run")
def stop(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """Start no trial and end those that run, on every machine, each with a checkpoint. Go on: resume."""
    from optselect.search.control import order

    order(study, "stopped", surroundings(storage, None, as_json))


# --- look ---------------------------------------------------------------------------------------------


@app.command(rich_help_panel="Look")
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


@app.command(rich_help_panel="Look")
def status(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """How far a study is: counts by state and by optimizer, workers, the best so far."""
    from optselect.search.looking import print_status

    print_status(study, surroundings(storage, None, as_json))


@app.command(rich_help_panel="Look")
def trials(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """Every trial of a study as a row."""
    from optselect.search.looking import print_trials

    print_trials(study, surroundings(storage, None, as_json))


@app.command(rich_help_panel="Look")
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


@app.command(rich_help_panel="Look")
def studies(storage: Storage = None, as_json: Json = False) -> None:
    """All studies of the database."""
    from optselect.search.looking import print_studies

    print_studies(surroundings(storage, None, as_json))


@app.command(rich_help_panel="Look")
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


@app.command(rich_help_panel="Look")
def ui(
    study: Annotated[str | None, typer.Argument(help="Open this study's curves.", show_default=False)] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port, if it is free.")] = 5000,
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Start the MLflow server on this machine and print the link to the curves."""
    from optselect.search.looking import serve_ui

    serve_ui(study, port, surroundings(storage, tracking, False))


@app.command(rich_help_panel="Keep")
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
    from optselect.search.errors import InvalidInput
    from optselect.search.syncing import sync as sync_study

    if check and again:
        raise InvalidInput("Only one of --check and --again can be given. Received: both.")
    return sync_study(study, check, again, surroundings(storage, tracking, as_json))


# --- keep ---------------------------------------------------------------------------------------------


@db.command("status")
def db_status(storage: Storage = None, as_json: Json = False) -> None:
    """Where the database is, whether it runs, which versions its tables have."""
    from optselect.search.keeping import print_database

    print_database(surroundings(storage, None, as_json))


@db.command("upgrade")
def db_upgrade(storage: Storage = None) -> None:
    """Create or upgrade all tables: ours, Optuna's and MLflow's."""
    from optselect.search.keeping import upgrade

    upgrade(surroundings(storage, None, False))


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded server; the next command starts it again."""
    from optselect.search.keeping import stop_server

    stop_server(surroundings(None, None, False))


@db.command("url")
def db_url(
    for_optuna: Annotated[bool, typer.Option("--optuna", help="As Optuna's RDBStorage wants it.")] = False,
    for_mlflow: Annotated[bool, typer.Option("--mlflow", help="As an MLflow tracking URI.")] = False,
    show_password: Annotated[bool, typer.Option("--show-password", help="Print the password.")] = False,
    storage: Storage = None,
) -> None:
    """Print the address of the database."""
    from optselect.search.keeping import print_url

    print_url(surroundings(storage, None, False), for_optuna, for_mlflow, show_password)


@db.command("backup")
def db_backup(file: Annotated[Path, typer.Argument(show_default=False)], storage: Storage = None) -> None:
    """Write studies, trials and curves into one file."""
    from optselect.search.keeping import write_backup

    write_backup(surroundings(storage, None, False), file)


@db.command("restore")
def db_restore(file: Annotated[Path, typer.Argument(show_default=False)], storage: Storage = None) -> None:
    """Read a backup into a database that holds no study."""
    from optselect.search.keeping import read_backup

    read_backup(surroundings(storage, None, False), file)


# --- shared -------------------------------------------------------------------------------------------


def surroundings(
    storage: str | None, tracking: str | None, as_json: bool, checkpoints: str | None = None
) -> "Surroundings":
    from optselect.search.launching import Surroundings
    from optselect.storage.database import default_home

    own_tracking = tracking or os.environ.get("MLFLOW_TRACKING_URI") or None
    return Surroundings(storage, default_home(os.environ), own_tracking, as_json, checkpoints)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"optselect {optselect.__version__}")
        raise typer.Exit
