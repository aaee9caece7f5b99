"""What does the short process do that hands a study's best model to MLflow? Load, log, register it, print its address."""

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from optselect.search.processes.devices import Seat
from optselect.search.processes.local import training_environment
from optselect.storage.errors import Unreachable
from optselect.storage.server.interpreter import own_python
from optselect.storage.tracking.model_logging import Entry, log_model


@dataclass(frozen=True)
class LoggingTask:
    """What the process is to do with the model."""

    source: str  # the folder of the problem's files, whose layers the model may have
    uri: str
    run: str
    entry: Entry | None = None  # where it is to be registered

    def line(self) -> bytes:
        """As JSON, by stdin: the uri may hold a password."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "LoggingTask":
        said = json.loads(line)
        return cls(**said | {"entry": said["entry"] and Entry(**said["entry"])})


def log_in_a_process(task: LoggingTask, model: bytes, environment: dict[str, str]) -> str:
    """Start the process and wait for it; returns MLflow's address of the model. Raises Unreachable."""
    done = subprocess.run(
        own_python("optselect.search.studies.model_logging"),
        input=task.line() + model,
        env={**environment, **training_environment(Seat(), os.getpid())},
        capture_output=True,
        check=False,
        umask=0o077 if os.name != "nt" else -1,  # where MLflow writes into the home, its files are ours alone
    )
    lines = (done.stderr if done.returncode else done.stdout).decode(errors="replace").strip().splitlines()
    if done.returncode or not lines:
        raise Unreachable(f"MLflow must take the model. Received: {lines[-1] if lines else 'nothing'}")
    return lines[-1]


def main() -> None:
    """Read the task and the model from stdin."""
    from optselect.trials.training.saved_model import load_model  # TensorFlow

    task = LoggingTask.read(sys.stdin.buffer.readline())
    model = load_model(sys.stdin.buffer.read(), Path(task.source))
    print(log_model(model, task.uri, task.run, task.entry))


if __name__ == "__main__":
    main()
