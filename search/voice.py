"""What is said to a person while a function works? Lines of a logger of its own: whoever calls decides where they go.

`optselect.cli` prints them to stderr; in a notebook they are ordinary records of the logger `optselect.voice`.
"""

import logging

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
