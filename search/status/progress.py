"""How does a person follow a running study? A live table in a terminal, plain lines anywhere else."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.live import Live

from optselect.search.status.live_view import Sight, live_view, phase_line, remaining
from optselect.search.status.standing import Standing, standing
from optselect.search.status.tables import headline
from optselect.storage.records import overview, studies
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine

LINE_SECONDS = 10.0


Refresh = Callable[[Sight], None]


def look(engine: Engine, study: StoredStudy, loading: Sequence[str] = ()) -> Sight:
    """As it is now, whoever works on it."""
    return Sight(
        studies.refreshed(engine, study),
        overview.list_trials(engine, study.id),
        overview.list_workers(engine, study.id),
        loading,
    )


@contextlib.contextmanager
def progress_view(quiet: bool) -> Iterator[Refresh]:
    """A function to call with what is seen of a study now and then while the block runs.

    stdout decides: where it is a terminal the table lives on stderr, so that stdout holds the result only.
    """
    if quiet:
        yield lambda sight: None
    elif sys.stdout.isatty() and sys.stderr.isatty():
        with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            yield lambda sight: live.update(live_view(sight), refresh=True)
    else:
        yield Lines().show


class Lines:
    """One line whenever something ended, at most every ten seconds; at once when the search ends or someone steps in."""

    def __init__(self) -> None:
        self._ended = -1
        self._state = "running"
        self._due = 0.0
        self._loading = ""

    def show(self, sight: Sight) -> None:
        if (words := "; ".join(sight.loading)) and words != self._loading:
            print(words, file=sys.stderr, flush=True)
        self._loading = words
        now = standing(sight.study, sight.trials)
        ended = sum(tally.ended for tally in now.by_phase.values())
        at_once = ended == len(sight.trials) and now.search.ended == sight.study.budget
        due = ended != self._ended and (at_once or time.monotonic() >= self._due)
        if due or sight.study.state != self._state:
            self._ended, self._state = ended, sight.study.state
            self._due = time.monotonic() + LINE_SECONDS
            print(line(sight, now), file=sys.stderr, flush=True)


def line(sight: Sight, now: Standing) -> str:
    """How far, how long still, which phases, who leads."""
    left = remaining(sight)
    head = headline(sight.study, now, left.search)
    return f"{head}; {phase_line(now, left)}{leader(sight.study, now)}"


def leader(study: StoredStudy, now: Standing) -> str:
    best = now.search.best
    return (
        ""
        if best is None
        else f"; best {study.objective} {best.value:.5g} ({best.optimizer}, trial {best.trial})"
    )
