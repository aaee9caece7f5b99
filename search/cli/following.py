"""How does a person follow a running study? A live table in a terminal, plain lines anywhere else."""

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from optselect.search.status.live_view import Sight, live_view
from optselect.search.status.progress import Refresh, line
from optselect.search.status.standing import standing

LINE_SECONDS = 10.0


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
