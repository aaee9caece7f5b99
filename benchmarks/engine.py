"""What does a trial cost with optselect, beside a fresh fit, KerasTuner, and a bare compiled loop?

    python -m benchmarks.engine                 the table, in under 15 minutes on two quiet cores
    python -m benchmarks.engine --full          each process three times, more trials of the others: the medians
    python -m benchmarks.engine -w A --trials 24 --jit off --jit on

Each method trains each workload in a process of its own. Those with one thread run two at a time, as workers do; the
others, and all under --full, one at a time. Compare CPU seconds: they hold on a machine that does other things too.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import machine_facts
from benchmarks.measured import Measured, from_json
from benchmarks.tables import Row, markdown, rows_of
from benchmarks.workloads import WORKLOADS
from optselect.search.processes.local import SPARING

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1", **SPARING}
"""As executors/local.py starts workers."""


@dataclass(frozen=True)
class Process:
    """One measuring process: what it trains, how often, with how many threads."""

    column: str
    method: str
    trials: int
    jit: str = "off"
    one_thread: bool = True


def processes(trials: int, modes: Sequence[str], full: bool) -> list[Process]:
    """Everything that is measured on one workload, what takes longest of one kind first.

    Fewer trials of what has no memory from trial to trial: fit and KerasTuner; the bare loops show 2 of each optimizer.
    """
    ours = [Process(f"optselect{_mode(mode)}", "optselect", trials, mode) for mode in modes]
    loops = [
        Process(f"{name}{_mode(mode)}", method, 24 if full else 16, mode)
        for mode in modes
        for name, method in (("validating loop", "validating-loop"), ("bare loop", "bare-loop"))
    ]
    return [
        Process("fit", "fit", 48 if full else 24, one_thread=False),
        Process("KerasTuner", "keras-tuner", 24 if full else 8, one_thread=False),
        *ours,
        Process("fit, one thread", "fit", 24 if full else 8),
        *loops,
    ]


def _mode(mode: str) -> str:
    return ", XLA" if mode == "on" else ""


def measure(process: Process, letter: str) -> Measured:
    """Run one process to its end."""
    arguments = [process.method, letter, str(process.trials), process.jit]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    environment |= ONE_THREAD if process.one_thread else {}
    command = [sys.executable, "-m", "benchmarks.method", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return from_json(done.stdout.strip().splitlines()[-1])


def measure_all(
    todo: Sequence[Process], letter: str, full: bool, at_once: int, started: float
) -> dict[str, Measured]:
    """Measure each process, by its column; `at_once` of those with one thread."""

    def middle(process: Process) -> Measured:
        _say(f"{letter}: {process.column}, {process.trials} trials", started)
        return middle_run([measure(process, letter) for _ in range(3 if full else 1)])

    found: dict[str, Measured] = {}
    for one_thread, most in ((False, 1), (True, at_once)):
        alike = [process for process in todo if process.one_thread is one_thread]
        with ThreadPoolExecutor(most) as pool:
            found |= zip((process.column for process in alike), pool.map(middle, alike), strict=True)
    return found


def middle_run(runs: Sequence[Measured]) -> Measured:
    """The run of the median total CPU time, so that its figures belong together."""
    return sorted(runs, key=lambda run: run.whole.cpu)[len(runs) // 2]


def main(
    workloads: Annotated[list[str] | None, typer.Option("--workload", "-w", help="A, B, C, D")] = None,
    trials: Annotated[int, typer.Option(help="of optselect's search; 24 are shown beside them")] = 200,
    jit: Annotated[list[str] | None, typer.Option(help="off, on; each is a column")] = None,
    full: Annotated[bool, typer.Option(help="three runs of everything, more trials of the others")] = False,
    at_once: Annotated[int, typer.Option(help="one-threaded processes; 1 under --full")] = 2,
    save: Annotated[Path | None, typer.Option(help="write every trial's cost here, as JSON")] = None,
) -> None:
    """Measure, and print a Markdown table for docs/benchmarks.md."""
    modes, started = jit or ["off"], time.monotonic()
    rows: list[Row] = []
    kept: dict[str, dict[str, object]] = {}
    for letter in workloads or list(WORKLOADS):
        found = measure_all(processes(trials, modes, full), letter, full, 1 if full else at_once, started)
        kept[letter] = {column: dataclasses.asdict(one) for column, one in found.items()}
        rows += rows_of(letter, found, sorted({24, trials}))
    _say("done", started)
    if save is not None:
        save.write_text(json.dumps(kept))
    print(machine_facts())
    print(markdown(rows, modes))


def _say(words: str, started: float) -> None:
    print(f"{time.monotonic() - started:5.0f} s  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
