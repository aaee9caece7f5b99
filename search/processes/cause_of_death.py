"""Why has a training process died, and was it the doing of what it trained? Judged by its end and its last words.

Python's faulthandler, which every worker enables, says where a signal hit; anything else is the last line that is none
of the worker's own.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

OWN_SIGNALS = frozenset(
    {
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
    if hasattr(signal, "SIGBUS")
    else {signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
)
"""The signals that the kernel sends for what a process itself did, or that a C library raises."""
CLEARLY_MORE = 1.5
"""A process killed for memory was too large itself if it held so many times what any of its neighbours held."""
LONGEST_WORDS = 200
"""Characters of the last words in a cause."""
OWN_LINE = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
BEGIN = re.compile(OWN_LINE.pattern + r"trial \d+: .*, attempt \d+$")
REMARK = re.compile(
    r".*failed call to cuInit|[IW]\d{4} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
)
"""What TensorFlow says of itself, and on each machine without a GPU."""
FATAL = "Fatal Python error: "
FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>\S+)$')
DUMP = re.compile(r'^(Fatal Python error: |(Current thread|Thread) 0x|  File "|  <|Extension modules: )')


@dataclass(frozen=True)
class Ended:
    """What a supervisor saw of a process that was not to end."""

    code: int
    """Below 0: the signal."""
    words: str = ""
    """Its last ones, as telling_line() gives them."""
    was_killed_for_memory: bool = False
    bytes_held: int = 0
    bytes_of_others: int = 0
    """The most that any process beside it held."""


def is_own_doing(ended: Ended) -> bool:
    """Whether the training itself ended its process: a kill by another hand says nothing of an optimizer.

    >>> is_own_doing(Ended(-11)), is_own_doing(Ended(0)), is_own_doing(Ended(-9)), is_own_doing(Ended(-15))
    (True, True, False, False)
    >>> is_own_doing(Ended(-9, "", True, bytes_held=3000, bytes_of_others=800))
    True
    """
    if ended.was_killed_for_memory:
        return ended.bytes_held >= CLEARLY_MORE * ended.bytes_of_others
    return ended.code >= 0 or -ended.code in OWN_SIGNALS


def cause_of_death(ended: Ended) -> str:
    """What the end of a process says, for the person who looks for the reason.

    >>> cause_of_death(Ended(-9))
    'its process was killed (SIGKILL: by somebody, or for memory)'
    >>> cause_of_death(Ended(-9, was_killed_for_memory=True, bytes_held=2_100_000_000))
    'its process was killed for memory, of which it held 2.1 GB (the limit of its control group, or of the machine)'
    >>> cause_of_death(Ended(3, "no licence")), cause_of_death(Ended(-11))
    ('its process ended with code 3: no licence', 'its process was killed (SIGSEGV)')
    """
    if ended.was_killed_for_memory:
        held = f", of which it held {ended.bytes_held / 1e9:.1f} GB" if ended.bytes_held else ""
        return f"its process was killed for memory{held} (the limit of its control group, or of the machine)"
    if ended.code == -signal.SIGKILL:
        return "its process was killed (SIGKILL: by somebody, or for memory)"
    how = f"was killed ({name_of(-ended.code)})" if ended.code < 0 else f"ended with code {ended.code}"
    return f"its process {how}" + (f": {ended.words}" if ended.words else "")


def name_of(number: int) -> str:
    """A signal's name; of one without a name, as the real-time ones are, its number.

    >>> name_of(11), name_of(40)
    ('SIGSEGV', 'signal 40')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# --- last words ---------------------------------------------------------------------------------------


def telling_line(log: str) -> str:
    """The line of a log that says most of its process's end, and where it was; empty where none does.

    >>> telling_line("E0000 no GPU\\n12:00:01 INFO trial 3: Mine(), seed 1, attempt 1\\nterminate called\\n")
    'terminate called'
    """
    lines = since_the_trial_began(log.splitlines())
    fatal = next((place for place, line in enumerate(lines) if line.startswith(FATAL)), None)
    if fatal is None:
        return shortened(next(said(reversed(lines)), ""))
    place = place_in(lines[fatal:])
    what = next(said(reversed(lines[:fatal])), "") or lines[fatal].removeprefix(FATAL)
    return shortened(what) + (f" ({place})" if place else "")


def since_the_trial_began(lines: list[str]) -> list[str]:
    """What came before the last trial has not ended it."""
    return lines[max((place for place, line in enumerate(lines) if BEGIN.match(line)), default=-1) + 1 :]


def said(lines: Iterator[str]) -> Iterator[str]:
    """What is neither a line of the worker's own log nor of faulthandler's, nor a remark of TensorFlow's."""
    for line in lines:
        if line.strip() and not any(pattern.match(line) for pattern in (OWN_LINE, DUMP, REMARK)):
            yield " ".join(line.split())


def place_in(dump: list[str]) -> str:
    """Where the user's code was as a signal came, in the thread that it hit; else the deepest line of all."""
    frames = []
    for line in dump[dump_begins(dump) :]:
        found = FRAME.match(line)
        if found is None:
            break
        frames.append(found)
    own = [frame for frame in frames if not is_installed(frame["file"])]
    if not frames:
        return ""
    frame = (own or frames)[0]
    return f"{PurePath(frame['file']).name}, line {frame['line']}, in {frame['name']}"


def dump_begins(dump: list[str]) -> int:
    """The first frame of the thread that the signal hit."""
    return next((place + 1 for place, line in enumerate(dump) if line.startswith("Current thread")), 0)


def is_installed(file: str) -> bool:
    """Whether a file is a library's, Python's or optselect's, as far as its path tells.

    >>> is_installed("/home/ann/optselect/mine.py"), is_installed("/home/ann/env/lib/optselect/search/worker/loop.py")
    (False, True)
    """
    path = PurePath(file)
    return (
        file.startswith("<")
        or any(part in ("site-packages", "dist-packages") for part in path.parts)
        or re.fullmatch(r"python\d[\d.]*", path.parent.name) is not None
        or re.search(r"optselect/(search|trials|storage)/", path.as_posix()) is not None
    )


def shortened(words: str) -> str:
    return words if len(words) <= LONGEST_WORDS else f"{words[: LONGEST_WORDS - 1]}…"
