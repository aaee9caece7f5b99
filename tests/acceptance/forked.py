"""A process that has imported everything and runs nothing: each command is a fork of it, without TensorFlow's import.

For commands that fail early or train with --in-process: what starts children gains nothing. A fork is a process like
any other, with its own arguments, folder, environment, streams and exit code; TensorFlow allows it as long
as the parent has run no operation.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optselect.search.cli import main
from tests.acceptance.commands import Shell


@dataclass(frozen=True)
class Forks:
    """The parent, which answers each line of JSON with an exit code."""

    parent: subprocess.Popen[str]

    def run(self, shell: Shell, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Like Shell.run."""
        assert self.parent.stdin is not None and self.parent.stdout is not None
        with tempfile.TemporaryDirectory() as name:
            streams = [str(Path(name) / stream) for stream in ("out", "err")]
            request = {
                "arguments": arguments,
                "folder": str(shell.folder),
                "environment": dict(shell.environment),
            }
            print(json.dumps({**request, "streams": streams}), file=self.parent.stdin, flush=True)
            code = int(self.parent.stdout.readline())
            output, words = (Path(stream).read_text() for stream in streams)
        return subprocess.CompletedProcess(list(arguments), code, output, words)


@contextmanager
def forks() -> Iterator[Forks]:
    """The parent process while the block runs."""
    command = [sys.executable, "-m", "tests.acceptance.forked"]
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
    "optselect.search.launching",
    "optselect.search.worker",  # TensorFlow, Optuna
    "optselect.trials.describe",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
)


def answer_requests() -> None:
    """Fork for each line of stdin and print the child's exit code."""
    for module in IMPORTED:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            main()  # never returns: a process that holds TensorFlow exits at once
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def become(request: dict[str, Any]) -> None:
    """Take over arguments, folder, environment and streams."""
    for number, stream in enumerate(request["streams"], 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv[1:] = request["arguments"]


if __name__ == "__main__":
    answer_requests()
