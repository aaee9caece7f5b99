"""As what are folders and files made that hold a study's source, logs, weights and curves? As closed as the folder above.

The home is this account's alone (home.py), so all below it is, whatever the umask says. A folder that its user has
named, such as --checkpoints on a disk that several accounts share, stays as open as it was made.
"""

import contextlib
import os
from pathlib import Path


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
