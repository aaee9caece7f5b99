"""A process that has imported everything and runs nothing: each command is a fork of it, without TensorFlow's import.

For commands that read, fail early, or train in their own process (launch --in-process, worker): what starts children
gains nothing. A fork is a process like any other, with its own arguments, folder, environment, streams and exit code;
TensorFlow allows it as long as the parent has run no operation.
"""

import ctypes
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from optselect.search.cli.app import leave, main
from tests.support.commands import Shell, answer
from tests.support.documents import check_document


class Ended(subprocess.CompletedProcess[str]):
    """A command that ran, and which process it was."""

    def __init__(self, arguments: list[str], code: int, output: str, words: str, pid: int) -> None:
        super().__init__(arguments, code, output, words)
        self.pid = pid


@dataclass(frozen=True)
class Forks:
    """The parent, which answers each line of JSON with the child's process id and exit code."""

    parent: subprocess.Popen[str]

    def run(self, shell: Shell, *arguments: str, **environment: str) -> Ended:
        """Like Shell.run."""
        with tempfile.TemporaryDirectory() as name:
            streams = [str(Path(name) / stream) for stream in ("out", "err")]
            pid, code = self._ask({**request(shell, arguments, environment), "streams": streams})
            output, words = (Path(stream).read_text() for stream in streams)
        check_document(arguments, output)
        return Ended(list(arguments), code, output, words, pid)

    def run_script(self, shell: Shell, file: str) -> Ended:
        """Like `python FILE`, without TensorFlow's import."""
        return self.run(shell, "script", file)

    @contextmanager
    def start(self, shell: Shell, *arguments: str, **environment: str) -> Iterator["Started"]:
        """Like Shell.start; killed at the end of the block if it still lives."""
        with tempfile.TemporaryDirectory() as name:
            streams = [str(Path(name) / stream) for stream in ("out", "err")]
            asked = {**request(shell, arguments, environment), "streams": streams, "background": True}
            started = Started(self, self._ask(asked)[0], Path(streams[1]))
            try:
                yield started
            finally:
                if started.code is None:
                    os.kill(started.pid, signal.SIGKILL)
                    started.end()
                started.last_words = started.words()

    def json(self, shell: Shell, *arguments: str) -> Any:
        """Like Shell.json."""
        return answer(self.run(shell, *arguments, "--json"))

    def _ask(self, request: dict[str, Any]) -> tuple[int, int]:
        assert self.parent.stdin is not None and self.parent.stdout is not None
        print(json.dumps(request), file=self.parent.stdin, flush=True)
        pid, code = map(int, self.parent.stdout.readline().split())
        return pid, code


def request(shell: Shell, arguments: tuple[str, ...], environment: dict[str, str]) -> dict[str, Any]:
    """What the parent has to know of a command besides its streams."""
    return {
        "arguments": arguments,
        "folder": str(shell.folder),
        "environment": {**shell.environment, **environment},
    }


@dataclass
class Started:
    """A command that runs while the test acts."""

    forks: Forks
    pid: int
    stderr: Path
    code: int | None = None
    last_words: str = ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, whatever its process is doing."""
        os.kill(self.pid, number)

    def words(self) -> str:
        """What it has said so far."""
        return self.last_words or self.stderr.read_text()

    def end(self) -> int:
        """Wait for its end; returns the exit code."""
        if self.code is None:
            self.code = self.forks._ask({"wait": self.pid})[1]
        return self.code


@contextmanager
def forks() -> Iterator[Forks]:
    """The parent process while the block runs."""
    command = [sys.executable, "-m", "tests.support.forked"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        stderr=subprocess.DEVNULL,
    ) as parent:
        yield Forks(parent)
        assert parent.stdin is not None
        parent.stdin.close()


IMPORTED = (
    "optselect.search.studies.launching",
    "optselect.search.worker.loop",  # TensorFlow, Optuna
    "optselect.trials.describing.describe",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
)


def answer_requests() -> None:
    """Fork for each line of stdin and print the child's exit code."""
    for module in IMPORTED:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = request.get("wait") or os.fork()
        if child == 0:
            become(request)
            run_script(sys.argv[2]) if sys.argv[1:2] == ["script"] else main()
            # Never here: a process that holds TensorFlow exits at once.
        code = 0 if "background" in request else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(child, code, file=answers, flush=True)


def run_script(file: str) -> NoReturn:
    """As Python itself would run it."""
    sys.path.insert(0, os.getcwd())
    sys.argv = [file]
    try:
        runpy.run_path(file, run_name="__main__")
    except Exception:  # noqa: BLE001  whatever the script raises ends it, as Python ends it
        traceback.print_exc()
        leave(1)
    leave(0)


def become(request: dict[str, Any]) -> None:
    """Take over arguments, folder, environment and streams."""
    for number, stream in enumerate(request["streams"], 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    if machine := os.environ.get("ON_MACHINE"):
        move_to(machine)
    os.chdir(request["folder"])
    sys.argv[1:] = request["arguments"]


def move_to(machine: str) -> None:
    """Into a network namespace of that name, as a host of that name: the process is then on another machine."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{machine}") as namespace:
        entered = libc.setns(namespace.fileno(), CLONE_NEWNET) == 0 and libc.unshare(CLONE_NEWUTS) == 0
    if not entered:
        raise OSError(ctypes.get_errno(), f"machine {machine} cannot be entered")
    socket.sethostname(machine)


CLONE_NEWNET, CLONE_NEWUTS = 0x40000000, 0x04000000


if __name__ == "__main__":
    answer_requests()
