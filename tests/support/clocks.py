"""Clocks that a test sets: a server's, which jumps while it runs, and those of single processes."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
COMPLETE = os.environ.get("OPTSELECT_TESTS") == "complete"  # then a missing package is a failure, not a skip

needs_faketime = pytest.mark.skipif(
    not LIBRARIES and not COMPLETE, reason="needs Debian's package libfaketime"
)


def other_clock(offset: str) -> Mapping[str, str]:
    """The environment of a process whose clock goes by so much before or after all others."""
    return preloaded() | {"FAKETIME": offset}


def preloaded() -> dict[str, str]:
    # The monotonic clock stays true: no setting of a real machine changes it either.
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@dataclass(frozen=True)
class Clock:
    """The clock of every process that was started with its environment."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        return preloaded() | {"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1"}

    def set(self, offset: str) -> None:
        """Let it jump to so much before or after the true time, such as -1h."""
        aside = self.file.with_suffix(".part")
        aside.write_text(f"{offset}\n")
        aside.chmod(0o644)
        aside.replace(self.file)


@contextmanager
def a_clock(folder: Path) -> Iterator[Clock]:
    """A clock that goes right so far, in a folder that the server's account may enter."""
    folder.mkdir(mode=0o755)
    clock = Clock(folder / "offset")
    clock.set("+0")
    try:
        yield clock
    finally:
        shutil.rmtree(folder, ignore_errors=True)
