"""Has a process ended by itself? A worker that leaves says so; an exit code alone may be the user's code's own.

The supervisor names a file to each child (OPTSELECT_EXIT_FILE). `os._exit(0)` in somebody's callback writes nothing there.
"""

import contextlib
import os
from pathlib import Path

EXIT_FILE = "OPTSELECT_EXIT_FILE"


def announce_exit(code: int) -> None:
    """Tell whoever started this process that it ends with this code, because it wants to; the last thing it does."""
    if file := os.environ.get(EXIT_FILE):
        with contextlib.suppress(OSError):  # a full disk: then it counts as a death, which costs a restart
            Path(file).write_text(announcement(os.getpid(), code), encoding="ascii")


def has_announced_exit(file: Path, pid: int, code: int) -> bool:
    """Whether the process of that id has announced just this code."""
    try:
        return file.read_text(encoding="ascii", errors="replace") == announcement(pid, code)
    except OSError:
        return False


def announcement(pid: int, code: int) -> str:
    return f"{pid} ends with {code}"
