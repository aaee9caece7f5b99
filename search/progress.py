"""How does a person follow a running study? A live table in a terminal, plain lines anywhere else."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.live import Live

from optselect.search.standing import Standing, standing
from optselect.search.tables import budget_of, headline, progress_table
from optselect.storage.overview import TrialRow
from optselect.storage.studies import StoredStudy

REFRESH_SECONDS = 1.0
LINE_SECONDS = 10.0

Refresh = Callable[[Sequence[TrialRow]], None]


@contextlib.contextmanager
def progress_view(study: StoredStudy, quiet: bool) -> Iterator[Refresh]:
    """A function to call with the study's trials now and then while the block runs.

    stdout decides: where it is a terminal the table lives on stderr, so that stdout holds the result only.
    """
    if quiet:
        yield lambda trials: None
    elif sys.stdout.isatty() and sys.stderr.isatty():
        with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            yield lambda trials: live.update(progress_table(study, trials), refresh=True)
    else:
        yield Lines(study).show


class Lines:
    """One line whenever the count of ended trials changed, at most every ten seconds, and one at the end."""

    def __init__(self, study: StoredStudy) -> None:
        self._study = study
        self._ended = -1
        self._due = 0.0

    def show(self, trials: Sequence[TrialRow]) -> None:
        now = standing(self._study, trials)
        complete = now.search.ended == budget_of(self._study, now)
        if now.search.ended != self._ended and (complete or time.monotonic() >= self._due):
            self._ended, self._due = now.search.ended, time.monotonic() + LINE_SECONDS
            print(f"{headline(self._study, now)}{leader(self._study, now)}", file=sys.stderr, flush=True)


def leader(study: StoredStudy, now: Standing) -> str:
    best = now.search.best
    return (
        ""
        if best is None
        else f"; best {study.objective} {best.value:.5g} ({best.optimizer}, trial {best.trial})"
    )
