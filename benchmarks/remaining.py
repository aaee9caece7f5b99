"""How right is the time that a running study says is left?

    python -m benchmarks.remaining                     96 trials of each bundled problem, five times: half an hour
    python -m benchmarks.remaining diabetes --runs 1

A study is launched and runs to its end. What the live view said is then worked out from the stored times: at the moment
when the first tenth of the search trials had ended, from the trials as they were then.
"""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import machine_facts
from benchmarks.memory import PROBLEMS, environment_of, stopped_database
from optselect.search.spec.stored import stored_spec
from optselect.search.status.pace import COMPARISON, time_left
from optselect.storage.records import overview
from optselect.storage.records.overview import ENDED, TrialRow
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.server.database import make_engine, open_database

WORKERS = 2
FIRST_PHASES = ("baseline", "quota")
"""Tickets that a study has from its beginning."""


@dataclass(frozen=True)
class Told:
    """What was said when a tenth of the search was done, and what came, in seconds."""

    search: float
    search_came: float
    comparison: tuple[float, float]
    comparison_came: float

    @property
    def error(self) -> float:
        """Share by which the search ended later than was said; negative: earlier."""
        return self.search_came / self.search - 1


def main(
    problems: Annotated[list[str] | None, typer.Argument()] = None,
    trials: int = 96,
    runs: int = 5,
) -> None:
    """Launch, and compare what was said with what came."""
    print("| problem | search: said, came (s) | off | comparison: said, came (s) |\n|---|---|---|---|")
    for problem in problems or PROBLEMS:
        told = [said_and_came(*finished_study(problem, trials)) for _ in range(runs)]
        for one in told:
            first, most = one.comparison
            print(
                f"| {problem} | {one.search:.0f}, {one.search_came:.0f} | {one.error:+.0%} "
                f"| {first:.0f} to {most:.0f}, {one.comparison_came:.0f} |",
                flush=True,
            )
        print(
            f"| {problem}, median | | {statistics.median(abs(one.error) for one in told):.0%} | |", flush=True
        )
    print(f"\n{machine_facts()}")


def finished_study(problem: str, trials: int) -> tuple[StoredStudy, list[TrialRow]]:
    """Launch a study in a home of its own; returns it with its trials."""
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)  # as root: the server's own account must get in
        with stopped_database(environment := environment_of(home)):
            command = [sys.executable, "-m", "optselect", "launch", problem, "--trials", str(trials)]
            subprocess.run(
                [*command, "--workers", str(WORKERS)],
                env=environment,
                cwd=home,
                check=True,
                capture_output=True,
            )
            engine = make_engine(open_database(None, Path(home), environment))
            study = load_study(engine, problem)
            rows = overview.list_trials(engine, study.id)
            engine.dispose()
    return study, rows


def said_and_came(study: StoredStudy, trials: Sequence[TrialRow]) -> Told:
    """What a study said of the time left when a tenth of its search was done, beside what came."""
    ends = sorted(trial.finished or 0.0 for trial in trials if trial.searched)
    moment = ends[len(ends) // 10]
    spec = stored_spec(study)
    left = time_left(spec, study.budget, list(trials_at(trials, moment)), WORKERS)
    assert left.search is not None and left.comparison is not None
    compared = [trial for trial in trials if trial.phase in COMPARISON]
    return Told(left.search, ends[-1] - moment, left.comparison, busy_seconds(compared))


def busy_seconds(trials: Sequence[TrialRow]) -> float:
    """How long the workers were busy with these trials."""
    return sum(trial.seconds or 0.0 for trial in trials) / WORKERS


def trials_at(trials: Sequence[TrialRow], moment: float) -> Iterator[TrialRow]:
    """The trials as they were then; what was planned only later is not there."""
    for trial in trials:
        if trial.state in ENDED and (trial.finished or 0.0) <= moment:
            yield trial
        elif trial.started is not None and trial.started <= moment:
            yield dataclasses.replace(trial, state="running", seconds=moment - trial.started)
        elif trial.phase in FIRST_PHASES:
            yield dataclasses.replace(trial, state="waiting", seconds=None)


if __name__ == "__main__":
    typer.run(main)
