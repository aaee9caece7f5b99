"""What is said to a person while a function works? Lines of a logger of its own: whoever calls decides where they go.

The command prints them to stderr (speak); elsewhere they are records of the logger `optselect.voice`, to be listened to.
"""

import logging
import sys
import time

voice = logging.getLogger("optselect.voice")
voice.setLevel(logging.INFO)


def say(words: str) -> None:
    """Say one line."""
    voice.info("%s", words)


def note(words: str) -> None:
    """Say what to mind."""
    voice.info("note: %s", words)


def hand_on(text: str) -> None:
    """Hand on lines that other processes wrote, as they are."""
    if text:
        voice.info("%s", text.removesuffix("\n"), extra={"as_written": True})


class Speaker(logging.Handler):
    """Prints each line to what stderr is at that moment: a live table may have taken it over."""

    def __init__(self, timed: bool) -> None:
        super().__init__()
        self._timed = timed

    def emit(self, record: logging.LogRecord) -> None:
        has_time = self._timed and not hasattr(record, "as_written")
        head = f"{time.strftime('%H:%M:%S')} " if has_time else ""
        print(f"{head}{record.getMessage()}", file=sys.stderr, flush=True)


def speak(timed: bool) -> None:
    """Print what is said from now on, each line with the time where stderr is a log file; a second call wins."""
    voice.handlers = [Speaker(timed)]
    voice.propagate = False
