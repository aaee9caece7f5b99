"""Which tasks are there, and what did their tables cost? python -m benchmarks.verdict.listing writes it into the page.

What a problem file says of itself is read, not run: its docstring begins with its kind, and `fit` is a plain dict.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.verdict.table import PROBLEMS, head_of, path_of, problem_names
from optselect.search.spec.catalogue import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "verdict-measured.md"
HEADER = "| task | kind | epochs | batch | optimizers | CPU seconds |\n|---|---|---|---|---|---|\n"


def main() -> None:
    PAGE.write_text(with_tasks(PAGE.read_text()))


@dataclass(frozen=True)
class Task:
    """One problem and what is there of its table."""

    name: str
    kind: str
    fit: Mapping[str, int]
    cpu_seconds: Mapping[str, float | None]
    """By optimizer; the first tables do not say it."""

    @property
    def row(self) -> str:
        known = [seconds for seconds in self.cpu_seconds.values() if seconds is not None]
        cost = f"{sum(known):.0f}" if known else ""
        if known and len(known) < len(self.cpu_seconds):
            cost += f" for {len(known)}"
        cells = (
            self.name,
            self.kind,
            self.fit["epochs"],
            self.fit["batch_size"],
            len(self.cpu_seconds),
            cost,
        )
        return f"| {' | '.join(map(str, cells))} |\n"


def with_tasks(page: str) -> str:
    """The page with the table of tasks as it is now."""
    before, found, rest = page.partition(HEADER)
    if not found:
        raise ValueError(f"{PAGE.name} must hold the header of the tasks: {HEADER}")
    lines = rest.splitlines(keepends=True)
    after = next((place for place, line in enumerate(lines) if not line.startswith("|")), len(lines))
    rows = [task(name).row for name in problem_names()]
    return "".join([before, HEADER, *rows, *lines[after:]])


def task(problem: str) -> Task:
    source = ast.parse((PROBLEMS / f"{problem}.py").read_text())
    kind, _, _ = (ast.get_docstring(source) or "").partition(":")
    fits = (line.value for line in source.body if isinstance(line, ast.Assign) and names(line) == "fit")
    made = [name for name in CATALOGUE if path_of(problem, name).exists()]
    return Task(
        problem,
        kind,
        ast.literal_eval(next(fits)),
        {name: cpu_seconds(path_of(problem, name)) for name in made},
    )


def names(line: ast.Assign) -> str:
    return ast.unparse(line.targets[0])


def cpu_seconds(branch: Path) -> float | None:
    with np.load(branch) as file:
        seconds: float | None = head_of(file)["cpu_seconds"]
    return seconds


if __name__ == "__main__":
    main()
