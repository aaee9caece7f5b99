"""How do the measurements of one workload become rows of a table?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measured import Cost, Measured
from benchmarks.workloads import WORKLOADS

LEGEND = """CPU seconds (seconds on the clock); medians over the trials. ~: projected from fewer trials. fit: a fresh model,
compiled and fitted for each trial. A search counts from the start of the process to its last trial, imports and
self-checks included. The bare loop is forward, backward and update, compiled; the validating loop adds the validation
loss after each epoch. optselect and both loops run with one thread, as workers do."""

FIT, ONE_THREAD, TUNER = "fit", "fit, one thread", "KerasTuner"


@dataclass(frozen=True)
class Cell:
    """A cost; `projected` from fewer trials than the row says."""

    cost: Cost
    projected: bool = False

    def __str__(self) -> str:
        if math.isnan(self.cost.cpu):
            return ""
        return f"{'~' * self.projected}{_seconds(self.cost.cpu)} ({_seconds(self.cost.wall)})"


@dataclass(frozen=True)
class Row:
    """What one measure of one workload is in each column."""

    workload: str
    measure: str
    cells: Mapping[str, Cell]
    is_warm: bool = False  # the only rows that have a limit


def rows_of(letter: str, found: Mapping[str, Measured], searches: Sequence[int]) -> list[Row]:
    """Give the rows of one workload; `found` by column."""
    ours = {column: one for column, one in found.items() if column.startswith("optselect")}
    others = {column: Cell(found[column].median()) for column in (FIT, ONE_THREAD, TUNER)}
    loops = {column: Cell(one.warm()) for column, one in found.items() if "loop" in column}
    rows = [
        Row(letter, "a warm trial", {**others, **_cells(ours, Measured.warm), **loops}, is_warm=True),
        Row(letter, "the first trial of an optimizer", {**others, **_cells(ours, Measured.first)}),
        Row(letter, "its self-check, once", _cells(ours, Measured.check)),
    ]
    for trials in searches:
        cells = {column: Cell(*found[column].search(trials)) for column in (*others, *ours)}
        rows.append(Row(letter, f"a search of {trials}, everything", cells))
    return rows


def _cells(found: Mapping[str, Measured], of: Callable[[Measured], Cost]) -> dict[str, Cell]:
    return {column: Cell(of(one)) for column, one in found.items()}


def markdown(rows: Sequence[Row], modes: Sequence[str]) -> str:
    """Write CPU seconds, the clock's in brackets, and the ratios of CPU seconds."""
    ends = [", XLA" if mode == "on" else "" for mode in modes]
    ours = [f"optselect{end}" for end in ends]
    head = [
        "",
        "fit",
        ONE_THREAD,
        TUNER,
        *ours,
        *(f"{other} / {one}" for one in ours for other in (FIT, ONE_THREAD, TUNER)),
        *(f"{loop}{end}" for end in ends for loop in ("validating loop", "bare loop")),
        *(f"validating loop / optselect{end}" for end in ends),
    ]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    workload = ""
    for row in rows:
        if row.workload != workload:
            workload = row.workload
            lines.append(_line([f"**{workload}: {WORKLOADS[workload].words}**", *[""] * (len(head) - 1)]))
        lines.append(_line([row.measure, *(_cell(row, name) for name in head[1:])]))
    return "\n".join([*lines, "", LEGEND])


def _cell(row: Row, column: str) -> str:
    over, _, under = column.partition(" / ")
    if not under:
        return str(row.cells.get(column, ""))
    one, other = row.cells.get(over), row.cells.get(under)
    if one is None or other is None or (over.startswith("validating") and not row.is_warm):
        return ""
    ratio, mark = one.cost.cpu / other.cost.cpu, "~" * (one.projected or other.projected)
    return f"{mark}{ratio:.2f}" if ratio < 10 else f"{mark}{ratio:.0f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"
