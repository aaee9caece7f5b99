"""Which files are written while the user's callbacks run, and by which callback?"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

MOST_FILES = 5_000
"""Of a folder; one that holds more is not looked through."""
UNKNOWN = -1


class FileWatch:
    """Notes what Python opens for writing while it is entered, and what else is new or changed in a folder at the end.

    Libraries that write past Python, such as HDF5's, are seen by the folder only, so their callback is UNKNOWN.
    """

    def __init__(self, folder: Path) -> None:
        self.current: int | None = None  # the place of the callback that runs
        self.written: dict[int, list[str]] = {}
        self._folder, self._is_on = folder, False

    def __enter__(self) -> Self:
        self._before = dict(_files_in(self._folder))
        self._is_on = True
        sys.addaudithook(self._hear)  # for the life of the process; it hears nothing once this is left
        return self

    def __exit__(self, *failure: object) -> None:
        self._is_on = False
        seen = {path for paths in self.written.values() for path in paths}
        for path, stamp in _files_in(self._folder):
            if self._before.get(path) != stamp and path not in seen:
                self.written.setdefault(UNKNOWN, []).append(path)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on or event != "open" or self.current is None:
            return
        path, mode, flags = arguments
        writes = (
            any(letter in mode for letter in "wax+")
            if isinstance(mode, str)
            else flags & (os.O_WRONLY | os.O_RDWR)
        )
        if writes and isinstance(path, (str, bytes, os.PathLike)):
            self._note(self.current, Path(os.fsdecode(path)).absolute())

    def _note(self, place: int, path: Path) -> None:
        if _counts(path) and str(path) not in (known := self.written.get(place, [])):
            self.written[place] = [*known, str(path)]


def _files_in(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each file below a folder with its size and the time of its last change; nothing where there are too many."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        found += [Path(place, name) for name in names]
        if len(found) > MOST_FILES:
            return
    for file in found:
        try:
            facts = file.stat()
        except OSError:  # gone since
            continue
        if _counts(file):
            yield str(file), (facts.st_size, facts.st_mtime_ns)


def _counts(path: Path) -> bool:
    return "__pycache__" not in path.parts and not str(path).startswith(("/dev/", "/proc/"))
