"""Which constants does the model stand on? python -m benchmarks.verdict.constants tries others, one at a time.

They are chosen on two thirds of the tasks, each of which is searched with what the others of these teach. The last
third had no say: it is searched with what all other tasks teach, and only judges.
"""

import math
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table as Shown

from benchmarks.engine import ONE_THREAD
from benchmarks.verdict.learn import learned
from benchmarks.verdict.search_alone import (
    FLOOR,
    LEFT_BEHIND,
    MODEL,
    Found,
    Setting,
    arena_of,
    found_by,
    whole_tables,
)
from optselect.search.knowledge.constants import LENGTHS, MEASURED, Constants
from optselect.search.knowledge.known_tasks import KnownTasks
from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS

AT = (4, 8)
"""Trials of each optimizer after which it is judged."""
WORST = 4.0
"""What is more times behind counts as so much: one lost optimizer must not decide."""


def with_rate(length: float) -> Constants:
    return replace(MEASURED, lengths={**LENGTHS, "learning_rate": length})


VARIANTS: Mapping[str, Constants] = {
    "as they are": MEASURED,
    "shared 0.5": replace(MEASURED, shared=0.5),
    "shared 1": replace(MEASURED, shared=1.0),
    "moved 0": replace(MEASURED, moves=()),
    "moved 1": replace(MEASURED, moved=1.0),
    "moves of 0.25": replace(MEASURED, moves=(-0.25, 0.25)),
    "moves of 0.4": replace(MEASURED, moves=(-0.4, 0.4)),
    "moves of 0.2 and 0.4": replace(MEASURED, moves=(-0.4, -0.2, 0.2, 0.4)),
    "moved 1 by 0.2 and 0.4": replace(MEASURED, moved=1.0, moves=(-0.4, -0.2, 0.2, 0.4)),
    "moved 1, rest 0.8": replace(MEASURED, moved=1.0, rest=0.8),
    "rest 0.4": replace(MEASURED, rest=0.4),
    "rest 0.8": replace(MEASURED, rest=0.8),
    "rate's length 0.1": with_rate(0.1),
    "rate's length 0.2": with_rate(0.2),
    "stranger 0.9": replace(MEASURED, stranger=0.9),
    "floor 0.001": replace(MEASURED, floor=1e-3),
    "cap 1": replace(MEASURED, cap=1.0),
    "noise 0.15": replace(MEASURED, noise=0.15),
    "margin 0": replace(MEASURED, margin=0.0),
}


def main(
    repeats: Annotated[int, typer.Option(min=1, help="Studies of each task.")] = 6,
    variants: Annotated[str, typer.Option(help="By commas; all by default.")] = "",
    processes: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Print for each variant how far its searches are from the best, on the tasks that choose and on those that judge."""
    os.environ.update(ONE_THREAD)
    wanted = variants.split(",") if variants else [*VARIANTS]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = dict(zip(wanted, pool.imap(partial(tried, repeats=repeats), wanted), strict=True))
    first = next(iter(found.values()))
    console = Console(width=150)
    console.print(f"choose: {', '.join(one.task for one in first.choosing)}")
    console.print(f"judge: {', '.join(one.task for one in first.judging)}")
    half = "mean of ln ratio, left behind in % after " + " and ".join(map(str, AT))
    shown = Shown("variant", f"choosing: {half}", f"judging: {half}")
    for name, one in found.items():
        shown.add_row(name, in_words(one.choosing), in_words(one.judging))
    console.print(shown)
    console.print(
        f"{repeats} studies of each; differences of less than {FLOOR:.0%} of the untrained loss are none."
    )


@dataclass(frozen=True)
class Tried:
    """One variant on both parts."""

    choosing: Sequence[Found]
    judging: Sequence[Found]


def tried(variant: str, repeats: int) -> Tried:
    constants = VARIANTS[variant]
    known = learned([*whole_tables(DEFAULT_OPTIMIZERS).values()], constants)
    judging = known.names[2::3]
    choosing = [name for name in known.names if name not in judging]
    setting = Setting(constants=constants)
    return Tried(
        [found_of(name, known.only(choosing), setting, repeats) for name in choosing],
        [found_of(name, known, setting, repeats) for name in judging],
    )


def found_of(task: str, known: KnownTasks, setting: Setting, repeats: int) -> Found:
    return found_by(MODEL, arena_of(task, known, setting), repeats, max(AT))


def in_words(found: Sequence[Found]) -> str:
    at = np.array([[one.floored[:, count - 1] for count in AT] for one in found])
    mean = np.minimum(np.log(at), math.log(WORST)).mean()
    behind = " and ".join(f"{100 * (at[:, place] > LEFT_BEHIND).mean():.1f}" for place in range(len(AT)))
    return f"{mean:.4f}, {behind}"


if __name__ == "__main__":
    typer.run(main)
