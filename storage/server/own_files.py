"""As what are folders and files made that hold a study's source, logs, weights and curves? As closed as the folder above.

A file that others may read at any moment is written aside, and then put in place: it is seen whole or not at all.

The home is this account's alone (home.py), so all below it is, whatever the umask says. A folder that its user has
named, such as --checkpoints on a disk that several accounts share, stays as open as it was made.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from optselect.storage.server.full_disk import writing

LONGEST_PREFIX = 40
"""Characters of a file's name that the name beside it begins with: a name of 255 bytes leaves no room for more."""


def make_folder(folder: Path) -> Path:
    """Make a folder and all that is missing above it."""
    missing = [step for step in (folder, *folder.parents) if not step.exists()]
    for step in reversed(missing):
        step.mkdir(mode=mode_below(step.parent), exist_ok=True)
    folder.mkdir(exist_ok=True)  # a file of that name is an error
    return folder


def closed(path: str, flags: int) -> int:
    """Open a file that may be new, as `opener` of Python's open."""
    return os.open(path, flags, mode_below(Path(path).parent) & 0o666)


def private(path: str, flags: int) -> int:
    """The same for what is this account's alone, wherever it lies."""
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def replacing(
    file: Path, opener: Callable[[str, int], int] | None = None, *, lasting: bool = False
) -> Iterator[BinaryIO]:
    """Write what replaces a file when the block ends: whoever opens it sees the old content or the new, never a part.

    What a full disk refuses names the file (full_disk.py). Only a killed process leaves something beside it.

    Args:
        opener: as of Python's open: with which rights it is made; None: with those that the umask leaves.
        lasting: whether it must survive a power cut, which may else leave an empty file.
    """
    aside = file.with_name(f"{file.name[:LONGEST_PREFIX]}.{uuid.uuid4().hex}.part")
    try:
        with writing(file):
            with open(aside, "xb", opener=opener) as stream:
                yield stream
                if lasting:
                    stream.flush()
                    os.fsync(stream.fileno())
            os.replace(aside, file)
    finally:
        with contextlib.suppress(OSError):  # of a folder that is none, too
            aside.unlink(missing_ok=True)


def write_closed(file: Path, data: bytes) -> None:
    """Write a file that may be new."""
    with open(file, "wb", opener=closed) as stream:
        stream.write(data)


def close_all(folder: Path) -> None:
    """Take others' rights off all that a library has made below a folder; what vanishes meanwhile is no matter."""
    for parent, _, names in os.walk(folder):
        for path, most in [(Path(parent), 0o700), *((Path(parent, name), 0o600) for name in names)]:
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & most)


def mode_below(folder: Path) -> int:
    """What a new folder there may be: who may not read the one above may not read it."""
    above = folder.stat().st_mode
    return 0o700 | (0o070 if above & 0o040 else 0) | (0o007 if above & 0o004 else 0)
