"""As what are folders and files made that hold weights, rows and what a trial writes? As closed as the folder above.

They lie below a home that is its account's alone: so are they, whatever the umask says.
"""

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


def mode_below(folder: Path) -> int:
    """What a new folder there may be: who may not read the one above may not read it."""
    above = folder.stat().st_mode
    return 0o700 | (0o070 if above & 0o040 else 0) | (0o007 if above & 0o004 else 0)
