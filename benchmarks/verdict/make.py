"""How are the tables made? By processes side by side: python -m benchmarks.verdict.make --processes 2 [PROBLEM[/OPTIMIZER] ...]

A problem takes three to eight minutes of one core for all optimizers of the catalogue. A branch that is there is left
alone and one that another process makes is passed by, so the same command goes on where a run was ended.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from benchmarks.engine import ONE_THREAD
from benchmarks.verdict.laboratory import CONFIGURATIONS, Laboratory
from benchmarks.verdict.table import PROBLEMS, path_of, problem_names
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.space import find_optimizer, study_space
from optselect.trials.problem.loading import load_problem

BranchName = tuple[str, str]
"""A problem and an optimizer."""


def main(
    wanted: Annotated[
        list[str] | None, typer.Argument(help="PROBLEM or PROBLEM/OPTIMIZER; all that there are by default.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Side by side, of one thread each.")] = 1,
) -> None:
    """Train the branches that are not there yet; a line is printed for each."""
    branches = named_branches(wanted or problem_names())
    os.environ.update(ONE_THREAD)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the children end too
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=make, args=(branches,), daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(int(any(worker.exitcode for worker in workers)))


def named_branches(wanted: Sequence[str]) -> list[BranchName]:
    """Each problem's branches in the order of the catalogue.

    >>> named_branches(["digits/adam", "digits/sgd"])
    [('digits', 'Adam'), ('digits', 'SGD')]
    """
    parts = [name.partition("/") for name in wanted]
    return [
        (problem, name)
        for problem, _, optimizer in parts
        for name in ([find_optimizer(optimizer)] if optimizer else CATALOGUE)
    ]


def make(branches: Sequence[BranchName]) -> None:
    """Make whatever nobody has made or makes."""
    space = study_space(tuple(CATALOGUE), tune="1", trials_per_optimizer=CONFIGURATIONS)
    laboratory = None
    for problem, optimizer in branches:
        with taken(path_of(problem, optimizer)) as is_ours:
            if not is_ours:
                continue
            if laboratory is None or laboratory.problem.name != problem:
                laboratory = Laboratory(load_problem(PROBLEMS / f"{problem}.py"), space)
            branch = laboratory.make(optimizer)
            runs, seconds = branch.seeds.sum(), branch.cpu_seconds
            print(f"{problem}/{optimizer}: {runs} runs, {seconds:.0f} s of CPU", flush=True)


@contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Whether the branch is ours to make; a lock of the system's, so that it ends with its process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield not path.exists()
    finally:
        lock.release()


if __name__ == "__main__":
    typer.run(main)
