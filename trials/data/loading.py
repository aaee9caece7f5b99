"""What of the user's code is being loaded, since when, and how long did it take?

Importing the problem file, data() and the first model() may take as long as they take: a download, millions of files.
Nothing here ends them; a line now and then says what a process is at, so that a person sees it.
"""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_LINE_SECONDS = 10.0
EVERY_SECONDS = 30.0

Tell = Callable[[str], object]


def to_stderr(line: str) -> None:
    """Tell whoever reads this process's log."""
    print(line, file=sys.stderr, flush=True)


class Loading:
    """Tells what is being loaded, and remembers how long each part took."""

    def __init__(self, tell: Tell = to_stderr) -> None:
        self.seconds: dict[str, float] = {}  # by part, of its first time
        self._tell = tell

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Load one part of the user's code inside."""
        # Over our own steps after a fork a watchdog keeps watch (describing/first_operation.py), over the user's none.
        faulthandler.cancel_dump_traceback_later()
        began, ended = time.monotonic(), threading.Event()
        thread = threading.Thread(target=self._tell_until, args=(ended, what, began), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.seconds.setdefault(what, time.monotonic() - began)

    def _tell_until(self, ended: threading.Event, what: str, began: float) -> None:
        pause = FIRST_LINE_SECONDS
        while not ended.wait(pause):
            self._tell(f"loading {what} since {time.monotonic() - began:.0f} s")
            pause = EVERY_SECONDS
