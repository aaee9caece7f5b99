"""Which files does model() read? Those that Python or h5py opens while it runs.

What TensorFlow's own readers open, as for TFRecord and checkpoints, no hook sees: a problem file names it, and the
hash of the weights tells whether it has changed (weights/weight_marks.py).
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from optselect.trials.problem.loading import Problem
from optselect.trials.problem.user_files import hash_content, name_of
from optselect.trials.terms.user_code import is_ours

NEVER_USERS = ("/dev", "/etc", "/proc", "/sys", "/lib", "/usr/lib", "/usr/share")
CODE = (".py", ".pyc", ".so")


class OpenedFiles:
    """Listens while model() runs; an audit hook cannot be taken out again, so a process needs one of these at most."""

    def __init__(self) -> None:
        self._paths: dict[Path, None] = {}
        self._written: set[Path] = set()
        self._listens = False
        sys.addaudithook(self._hear)

    def listen_to(self, problem: Problem) -> None:
        """Listen to each call of a problem's model()."""
        problem.make_model.around = self.listening

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block runs."""
        own = h5py.h5f.open

        def heard(name: Any, *given: Any, **named: Any) -> Any:  # h5py opens its files in C
            self._note(name)
            return own(name, *given, **named)

        self._listens, h5py.h5f.open = True, heard
        try:
            yield
        finally:
            self._listens, h5py.h5f.open = False, own

    def hashes(self, folder: Path) -> dict[str, str]:
        """Give the sha256 of each file that is still there, by its name as seen from the problem's folder."""
        folders = (folder, Path.cwd())
        kept = [path for path in self._paths if path not in self._written and _is_users(path)]
        return {name_of(path, folders): hash_content(path) for path in kept}

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._listens and event == "open":
            path, mode, flags = arguments
            self._note(
                path, writes=bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else mode[:1] != "r"
            )

    def _note(self, path: Any, writes: bool = False) -> None:
        if isinstance(path, (str, bytes, os.PathLike)):
            whole = Path(os.path.abspath(os.fsdecode(path)))
            self._paths[whole] = None
            if writes:
                self._written.add(whole)


def _is_users(path: Path) -> bool:
    """Tell a file of the user's from one of an installed package, of the system, or that a library keeps for itself."""
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    kept = {os.environ.get("KERAS_HOME", Path.home() / ".keras"), Path.home() / ".cache"}
    packaged = {"site-packages", "dist-packages"} & set(path.parts)
    is_apart = packaged or any(path.is_relative_to(place) for place in (*NEVER_USERS, *installed, *kept))
    return path.is_file() and path.suffix not in CODE and not is_apart and not is_ours(path)
