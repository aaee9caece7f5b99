"""The command line: parses, calls one function, prints. Read cli/commands/run.py and cli/running.py next."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer

import optselect
from optselect.search.cli.commands import before, keep, look, run
from optselect.search.cli.commands.examples import example_of
from optselect.search.cli.failures import as_worker_code, explain
from optselect.search.exit_codes import UserExit
from optselect.search.processes.announced_exit import announce_exit
from optselect.search.voice import speak
from optselect.trials.terms.user_code import leave_a_trace_of_interrupts

COMMANDS: Mapping[str, Sequence[Callable[..., object]]] = {
    "Before": (before.init, before.check, before.plan),
    "Run": (run.launch, run.resume, run.worker, run.scale, run.pause, run.stop),
    "Look": (
        look.report,
        look.status,
        look.logs,
        look.trials,
        look.show,
        look.compare,
        look.export,
        look.studies,
        look.optimizers,
        look.ui,
    ),
    "Keep": (keep.sync, keep.delete),
}
DATABASE: Sequence[Callable[..., object]] = (
    keep.status,
    keep.upgrade,
    keep.grant,
    keep.stop,
    keep.url,
    keep.backup,
    keep.restore,
)
HELP = ("-h", "--help")

app = typer.Typer(
    name="optselect",
    help="Which optimizer should I use for my Keras model, with which settings?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP)},
)
db = typer.Typer(help="The database that keeps studies: state, address, backup.", no_args_is_help=True)
app.add_typer(db, name="db", rich_help_panel="Keep")
for panel, functions in COMMANDS.items():
    for function in functions:
        app.command(rich_help_panel=panel, epilog=example_of(function.__name__))(function)
for function in DATABASE:
    db.command(epilog=example_of(f"db {function.__name__}"))(function)


def main() -> NoReturn:
    """Run the command of sys.argv and exit; every failure is one line."""
    # Not by the process's own start: the system counts that from its boot, which it knows to a second only.
    os.environ.setdefault("OPTSELECT_BEGAN", f"{time.time():.3f}")
    leave_a_trace_of_interrupts()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if debug:
        os.environ["OPTSELECT_DEBUG"] = "1"
    speak(timed=arguments[:1] == ["worker"])  # what a worker says is a log file
    try:
        if (asked := help_asked(arguments)) is not None:
            typer.echo(asked.get_help())
            leave(0)
        from optselect.storage.server.environment import check_numbers  # no help waits for it

        check_numbers(os.environ)
        code = app(arguments, prog_name="optselect", standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk becomes a line
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001  the one place where anything becomes a line and an exit code
        code = explain(error)
        drop_output()
        # A worker's stderr is a log file.
        if debug or (code == UserExit.OUR_FAILURE and arguments[:1] == ["worker"]):
            traceback.print_exc()
        if arguments[:1] == ["worker"]:
            code = as_worker_code(error, code)
    leave(code or 0)


def drop_output() -> None:
    """Forget what could not be printed: Python would try it once more at its end, and complain in words of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def help_asked(arguments: Sequence[str]) -> typer.Context | None:
    """The command whose help is wanted and nothing else; None where Typer has to read the line.

    Typer reads the values of a line by Pydantic, whose import costs as much as all the rest of a help.
    """
    *names, last = arguments or [""]
    if last not in HELP:
        return None
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name="optselect", **command.context_settings)
    for name in names:
        if name not in getattr(command, "commands", ()):
            return None
        command = command.commands[name]
        context = typer.Context(command, info_name=name, parent=context, **command.context_settings)
    return context


def leave(code: int) -> NoReturn:
    """Exit; a process that holds TensorFlow goes at once, for taking it down costs two seconds and gains nothing."""
    announce_exit(code)
    if "tensorflow" not in sys.modules:
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"optselect {optselect.__version__}")
        raise typer.Exit
