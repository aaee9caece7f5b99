"""How does a study of thousands of trials feel? Empty trainings a second, the supervisor's memory, the reading commands.

    make bench-size                              3,000 trials, two workers: some minutes
    python -m benchmarks.size --trials 300

The study is launched by the command on a model of three weights and one step a trial: all of its time is ours. CPU is
user and system time of each command; on a busy machine only that says something.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.machine import machine_facts
from benchmarks.memory import environment_of, stopped_database

PROBLEM = """
import keras
import numpy as np

fit = {"epochs": 1, "batch_size": 8}


def data():
    rows = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    return (rows, rows[:, :1]), (rows, rows[:, :1])


def model():
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model
"""
COMMANDS = (
    ("status", "size"),
    ("studies",),
    ("trials", "size", "--limit", "50"),
    ("trials", "size"),
    ("report", "size"),
)
RATE = "SELECT count(*) / extract(epoch FROM max(finished_at) - min(started_at)) FROM optselect.ticket"
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Taken:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    most_bytes: int = 0  # of its own process, where it was watched


def main(
    trials: Annotated[int, typer.Option(help="search trials of the study")] = 3000,
    workers: Annotated[int, typer.Option(help="training processes")] = 2,
) -> None:
    """Measure, and print Markdown for docs/scale.md."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # as root: the server's own account must get in
        (Path(folder) / "empty.py").write_text(PROBLEM)
        with stopped_database(environment := environment_of(folder)):
            size = ("--trials", str(trials), "--workers", str(workers))
            launched = taken(
                ["launch", "empty.py", "--name", "size", "--optimizers", "sgd,adam,rmsprop", *size],
                environment,
                folder,
            )
            print(machine_facts())
            print(f"\n| with {trials} trials, {workers} workers | s | CPU s |\n|---|---|---|")
            print(f"| launch, to its end | {launched.seconds:.0f} | {launched.cpu_seconds:.0f} |")
            for command in COMMANDS:
                found = taken(command, environment, folder)
                print(f"| {' '.join(command)} | {found.seconds:.2f} | {found.cpu_seconds:.2f} |", flush=True)
            print(f"\n{rate(environment, folder):.1f} trials a second, from the first one to the last")
            print(f"{launched.most_bytes / 1e6:.0f} MB of the supervisor (RSS) at its peak")


def taken(arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> Taken:
    """Run a command, with all that it starts and waits for."""
    began, before = time.monotonic(), cpu_seconds()
    with (Path(folder) / "said.txt").open("wb") as said:
        started = subprocess.Popen(
            [sys.executable, "-m", "optselect", *arguments],
            env=environment,
            cwd=folder,
            stdout=said,
            stderr=said,
        )
        most, watched = 0, psutil.Process(started.pid)
        while started.poll() is None:
            try:
                most = max(most, watched.memory_info().rss)
            except psutil.Error:  # it has just ended
                break
            time.sleep(LOOK_SECONDS if arguments[0] == "launch" else 0.01)
        started.wait()
    if started.returncode != 0:
        sys.exit((Path(folder) / "said.txt").read_text()[-3000:])
    return Taken(time.monotonic() - began, cpu_seconds() - before, most)


def cpu_seconds() -> float:
    """Of all processes that this one has started and waited for, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rate(environment: Mapping[str, str], folder: str) -> float:
    """Trainings a second, by the server's clock."""
    from optselect.storage.server.database import connect, open_database

    database = open_database(None, Path(folder), environment)
    connection = connect(database.url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(RATE)
            found = cursor.fetchone()
            assert found is not None
            return float(found[0])
    finally:
        connection.close()


if __name__ == "__main__":
    typer.run(main)
