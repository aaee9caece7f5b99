"""How does a training process start without TensorFlow's import? As a fork of this process, which did nothing else.

    python -m optselect.search.cli.zygote STUDY

imports all that a training process needs and then answers lines of JSON (processes/forking.py writes them). It runs
no TensorFlow operation, opens no connection, starts no thread and loads no code of a user's: a fork after any of
these may hang. When its stdin ends, its children are told to leave, and it is gone.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from optselect.search.cli.app import main as run_command

LOOK_SECONDS = 0.1
"""How often it looks whether a child has ended."""

IMPORTED = (
    "optselect.search.studies.joining",
    "optselect.search.strategy.phases",
    "optselect.search.worker.loop",  # TensorFlow, Keras, Optuna
    "optselect.trials.describing.describe",
    "psutil",
    "sqlalchemy.dialects.postgresql.psycopg2",
)


def main() -> None:
    """Fork for each line of stdin; tell each child's process id and, later, its exit code."""
    answers = keep_stdout_clean()
    for module in IMPORTED:
        importlib.import_module(module)
    # The watchdog's case.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    gc.collect()
    gc.freeze()  # no collection writes into pages that are shared with the children
    serve(sys.stdin.buffer, answers)


def keep_stdout_clean() -> IO[str]:
    """What an import prints goes to the log; answers alone go to the pipe, which no child keeps open."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(requests: IO[bytes], answers: IO[str]) -> None:
    """Fork and wait until the requests end."""
    children: dict[int, int] = {}  # the request's number by process id
    own = os.getpid()
    unread = b""
    while True:
        if select.select([requests], [], [], LOOK_SECONDS)[0]:
            read = os.read(requests.fileno(), 1 << 16)
            if not read:
                break
            *lines, unread = (unread + read).split(b"\n")
            for request in map(json.loads, lines):
                child = os.fork()
                if child == 0:
                    answers.close()  # without a write: nothing waits in its buffer
                    become_child(request, own)
                children[child] = request["number"]
                print(json.dumps({"number": request["number"], "pid": child}), file=answers, flush=True)
        for number, code in ended(children):
            print(json.dumps({"number": number, "code": code}), file=answers, flush=True)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)


def ended(children: dict[int, int]) -> list[tuple[int, int]]:
    """Take the children that ended off the list, with their exit codes."""
    found = []
    for child in list(children):
        known, status = os.waitpid(child, os.WNOHANG)
        if known:
            found.append((children.pop(child), os.waitstatus_to_exitcode(status)))
    return found


# --- in the child -------------------------------------------------------------------------------------


def become_child(request: Mapping[str, Any], parent: int) -> NoReturn:
    """Do what was asked for, as a process of its own would, and exit."""
    from optselect.trials.describing.first_operation import keep_watch

    code = 1
    try:
        become(request, parent)
        keep_watch()  # TensorFlow may hang after a fork
        code = CALLS[request["call"]](request["arguments"])
    except BaseException:  # noqa: BLE001  a forked child must not return into the loop that forked it
        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def become(request: Mapping[str, Any], parent: int) -> None:
    """Take over session, streams, environment and name."""
    import numpy

    from optselect.trials.describing.first_operation import WATCHDOG

    os.setsid()  # Ctrl-C is the supervisor's to answer
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    # It follows its parent: a number asked for here might be that of whoever adopts an orphan.
    own = {"OPTSELECT_SUPERVISOR": str(parent), WATCHDOG: str(request["seconds"])}
    for name, value in {**request["environment"], **own}.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(request["name"])
    numpy.random.seed()  # as a fresh process has it; Python's own random does so by itself


def train(arguments: list[str]) -> int:
    """The command `optselect worker ...`."""
    sys.argv[1:] = arguments
    run_command()


def describe(arguments: list[str]) -> int:
    """The description of a problem."""
    from optselect.trials.describing.describe import main as describe_problem

    return describe_problem(arguments)


def rehearse(arguments: list[str]) -> int:
    """A few steps with each optimizer."""
    from optselect.trials.describing.rehearse import main as rehearse_problem

    return rehearse_problem(arguments)


CALLS = {"worker": train, "describe": describe, "rehearse": rehearse}


if __name__ == "__main__":
    main()
