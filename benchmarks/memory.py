"""How much memory do the processes of a launch own, and does a process that trains on and on grow?

    python -m benchmarks.memory                     both, some ten minutes on two cores
    python -m benchmarks.memory fashion --no-flat   the launch of one problem only

What a process owns is its unique memory (USS), what would be free again if it ended: pages that forks share with the
process that they are forks of are not counted. It is looked at five times a second, and the peak shown.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.engine import ONE_THREAD
from benchmarks.machine import machine_facts
from benchmarks.workloads import WORKLOADS, settings

PROBLEMS = ("diabetes", "digits", "fashion")
LOOK_SECONDS = 0.2
FLAT_TRIALS, FLAT_EVERY = 500, 100
TRAINING, SUPERVISOR, ZYGOTE = "a training process", "the supervisor", "the zygote"


@dataclass
class Peak:
    """The most that a process was seen to own."""

    role: str
    bytes: int = 0


def launch(problem: str, trials: int, epochs: int) -> list[Peak]:
    """Launch a study in a home of its own, and watch its processes until it is over."""
    with tempfile.TemporaryDirectory() as home, stopped_database(environment := environment_of(home)):
        command = [sys.executable, "-m", "optselect", "launch", problem]
        command += ["--trials", str(trials), "--epochs", str(epochs)]
        with (Path(home) / "launch.log").open("wb") as log:
            started = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
            peaks = watched(psutil.Process(started.pid), started)
        if started.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{(Path(home) / 'launch.log').read_text()[-3000:]}")
    return peaks


def environment_of(home: str) -> dict[str, str]:
    return {**os.environ, "OPTSELECT_HOME": home, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


@contextmanager
def stopped_database(environment: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    finally:
        stop = [sys.executable, "-m", "optselect", "db", "stop"]
        subprocess.run(stop, env=environment, capture_output=True, check=False)


def watched(supervisor: psutil.Process, started: subprocess.Popen[bytes]) -> list[Peak]:
    """Look at all processes of a launch until it ends."""
    peaks: dict[int, Peak] = {}
    while started.poll() is None:
        for process, role in roles(supervisor):
            try:
                owned = process.memory_full_info().uss
            except psutil.Error:  # it has just ended
                continue
            peak = peaks.setdefault(process.pid, Peak(role))
            peak.bytes = max(peak.bytes, owned)
        time.sleep(LOOK_SECONDS)
    return list(peaks.values())


def roles(supervisor: psutil.Process) -> Iterator[tuple[psutil.Process, str]]:
    """Yield the supervisor, its zygote and the zygote's training processes, which are named optselect-SLOT."""
    try:
        yield supervisor, SUPERVISOR
        for child in supervisor.children():
            if "optselect.search.cli.zygote" in child.cmdline():
                yield child, ZYGOTE
                for fork in child.children():
                    if fork.name().startswith("optselect-"):
                        yield fork, TRAINING
    except psutil.Error:  # one of them has just ended
        return


# --- one process, many trials --------------------------------------------------------------------------


def growth() -> list[tuple[int, int]]:
    """Train eight structures again and again in a fork of a process that has imported everything.

    Gives the numbers of trials and what the fork owned after them.
    """
    os.environ.update(ONE_THREAD, CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
    importlib.import_module("optselect.search.worker.loop")  # as a zygote does
    importlib.import_module("benchmarks.method")
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        with os.fdopen(write, "w") as answers:
            for trials, owned in trained():
                print(trials, owned, file=answers, flush=True)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        found = [(int(trials), int(owned)) for trials, owned in map(str.split, answers)]
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        sys.exit("the training process failed")
    return found


def trained() -> Iterator[tuple[int, int]]:
    """Yield what this process owns after each hundred trials."""
    from benchmarks.method import train_by_optselect  # TensorFlow, which the launches are watched without
    from optselect.trials.problem.loading import load_problem
    from optselect.trials.programs.cache import Programs
    from optselect.trials.programs.memory import memory_of_process
    from optselect.trials.terms.bundled import resolve_problem

    workload = WORKLOADS["A"]
    problem, programs = load_problem(resolve_problem(workload.problem), workload.epochs), Programs()
    for number, setting in enumerate(settings(FLAT_TRIALS), start=1):
        train_by_optselect(problem, setting, programs)
        if number % FLAT_EVERY == 0:
            yield number, memory_of_process()


# --- the command ---------------------------------------------------------------------------------------


def main(
    problems: Annotated[list[str] | None, typer.Argument(help="bundled names; default: three")] = None,
    trials: Annotated[int, typer.Option(help="search trials of each launch")] = 24,
    epochs: Annotated[int, typer.Option(help="of each trial")] = 10,
    flat: Annotated[bool, typer.Option(help="also train 500 trials in one process")] = True,
) -> None:
    """Measure, and print Markdown for docs/benchmarks.md."""
    rows = [(problem, launch(problem, trials, epochs)) for problem in problems or PROBLEMS]
    found = growth() if flat else []
    print(machine_facts())
    print(markdown(rows, found))


def markdown(launches: Sequence[tuple[str, Sequence[Peak]]], found: Sequence[tuple[int, int]]) -> str:
    """Write the largest of each kind of process in MB, and what one process owned after so many trials."""
    kinds = (TRAINING, SUPERVISOR, ZYGOTE)
    lines = [f"| MB at the peak | {' | '.join(kinds)} |", "| --- | ---: | ---: | ---: |"]
    for problem, peaks in launches:
        cells = [", ".join(megabytes(peaks, role)) for role in kinds]
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    owned = [f"{size / 1e6:.1f} MB after {trials}" for trials, size in found]
    return "\n".join([*lines, "", *([f"One process, trials of A: {', '.join(owned)}."] if owned else [])])


def megabytes(peaks: Sequence[Peak], role: str) -> list[str]:
    """What each process of a kind owned at its peak, the largest first."""
    owned = sorted((peak.bytes for peak in peaks if peak.role == role), reverse=True)
    return [f"{size / 1e6:.0f}" for size in owned]


if __name__ == "__main__":
    typer.run(main)
