"""What went wrong in the user's code, in one line?"""

import re
import signal
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

LONGEST_MESSAGE = 300  # characters; some of TensorFlow's messages fill screens

PROBLEM_MODULE = "optselect_problem_"
"""Beginning of the private name under which a problem file is a module."""


def explain(error: BaseException, folder: Path) -> str:
    """Say type, message and place of an exception: "ValueError: no such column (my_problem.py, line 12)".

    The place is the deepest line below the problem's folder; it is left out where none took part.
    """
    what = f"{type(error).__name__}: {one_line(str(error))}".removesuffix(": ")
    if isinstance(error, SyntaxError):
        return (
            f"{type(error).__name__}: {error.msg} ({Path(error.filename or '?').name}, line {error.lineno})"
        )
    place = next(_frames_below(error, folder), None)
    if place is None:
        return what
    return f"{what} ({_short_name(place, folder)}, line {place.lineno})"


def is_users_failure(error: BaseException) -> bool:
    """Tell a failure of the user's code, or of a library that it calls, from an end that this process was told.

    sys.exit(), KeyboardInterrupt and asyncio's CancelledError are failures like any other exception; but for Ctrl-C, and
    for what code of ours raised while the user's code ran.
    """
    if isinstance(error, Exception):
        return True
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return False  # it may be Ctrl-C: Python's own handler leaves no trace of itself
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and not is_ours(Path(frames[-1].filename))


def demand_users_failure(error: BaseException) -> None:
    """Raise it again where it is none."""
    if not is_users_failure(error):
        raise error


def leave_a_trace_of_interrupts() -> None:
    """Let Ctrl-C raise from a line of ours, so that it is told from a KeyboardInterrupt that the user's code raises."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def one_line(message: str) -> str:
    """Reduce a message of Keras or TensorFlow to the sentence that tells the cause.

    >>> one_line("Graph execution error:\\n\\nDetected at node a/b:\\n  File x\\nshapes differ\\n\\t [[{{node a/b}}]]")
    'shapes differ'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", message)
    if text.startswith("Exception encountered when calling"):
        text = text.split("\n", 1)[-1].split("Arguments received by", 1)[0]
    if unknown := re.search(r"Detected unsupported operations .*? on XLA\w*: (\w+)", text, re.DOTALL):
        return f"XLA does not know the operation {unknown[1]}"
    if "[[{{node" in text:  # the line above the node's name is the cause, all before it a stack
        text = text.split("[[{{node", 1)[0].strip().rsplit("\n", 1)[-1]
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def _frames_below(error: BaseException, folder: Path) -> Iterator[traceback.FrameSummary]:
    """Yield the frames of the user's folder, the deepest first."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_below(frame, folder):
            yield frame


def _is_below(frame: traceback.FrameSummary, folder: Path) -> bool:
    path = Path(frame.filename)
    return path.is_absolute() and is_users(path, folder)


def is_users(path: Path, folder: Path) -> bool:
    """Tell whether a file belongs to the user's project: below its folder, but in no virtual environment."""
    if not path.is_relative_to(folder) or is_ours(path):
        return False
    folders = list(path.relative_to(folder).parents)[:-1]  # without the problem's folder itself
    return not any(
        inner.name in ("site-packages", "dist-packages") or (folder / inner / "pyvenv.cfg").is_file()
        for inner in folders
    )


def is_ours(path: Path) -> bool:
    """Tell whether a file is optselect's own: a problem may lie in the root of its checkout."""
    home = Path(__file__).resolve().parents[2]
    return any(
        path.resolve().is_relative_to(home / part) for part in ("search", "trials", "storage", "optselect")
    )


def _short_name(frame: traceback.FrameSummary, folder: Path) -> str:
    return Path(frame.filename).relative_to(folder).as_posix()
