"""Whose module is meant where the user's folder and the installation both have one of a name?

As with `python problem.py`, the user's own: their folder comes first on sys.path. But not where Python, or a package
that we stand on, has that name: a random.py of the user's would be found by every library that imports it later. So
the installation has these names, in the user's code too, and the user is told.
"""

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ASKED_FOR = "OPTSELECT_PYTHONPATH"
"""What PYTHONPATH held, where search/working_folder.py took the folder off it in which one types."""
ROOTS = ("optselect", "keras", "mlflow", "optuna", "tensorflow")
"""Packages that are needed with all that they need; a checkout that is not installed has no metadata of the first."""
NOT_MEANT = frozenset({"antigravity", "test", "tests", "this", "example", "examples", "docs", "scripts"})
"""Python's own that no library imports, and what packages install by mistake."""


class InstalledFirst(MetaPathFinder):
    """Stands before Python's own finders while a user's folder comes first on sys.path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Look outside of the folder for what is needed; None leaves a name to the other finders."""
        if path is not None or not self.hides(name):
            return None
        return PathFinder.find_spec(
            name, [entry for entry in sys.path if Path(entry).resolve() != self.folder], target
        )

    def hides(self, name: str) -> bool:
        """Whether the folder has a module of a name that is needed."""
        return PathFinder.find_spec(name, [str(self.folder)]) is not None and self.is_needed(name)

    def is_needed(self, name: str) -> bool:
        """Whether Python or a package of ours has a module of that name."""
        return name not in NOT_MEANT and (name in sys.stdlib_module_names or name in self._packages)

    @cached_property
    def _packages(self) -> frozenset[str]:  # a third of a second, where a name is in doubt
        return frozenset(modules_of(required_by(ROOTS)))


def put_first(folder: Path, behind: Sequence[str] = ()) -> InstalledFirst:
    """Let the folder come first on sys.path, but for what is needed, and other folders behind all that is there."""
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    sys.path += [entry for entry in behind if entry not in sys.path]
    finder = InstalledFirst(folder)
    others = [one for one in sys.meta_path if not isinstance(one, InstalledFirst)]
    sys.meta_path[:] = [finder, *others]
    return finder


def named_by_pythonpath() -> list[str]:
    """What PYTHONPATH names, where our own command took it off; an empty entry was nobody's wish."""
    return [os.path.abspath(entry) for entry in os.environ.get(ASKED_FOR, "").split(os.pathsep) if entry]


def lost_names(finder: InstalledFirst, files: Iterable[Path]) -> list[str]:
    """Name the modules of the user's that these files import and do not get."""
    names = {name for file in files for name in imported_names(file)}
    return sorted(name for name in names if finder.hides(name))


def lost_note(names: Sequence[str]) -> str:
    """Say it; empty where there is none.

    >>> lost_note(["queue", "random"])
    'queue and random beside the problem file are not imported: Python, or a package that optselect needs, has modules \
of these names, which come first. Rename yours'
    >>> lost_note([])
    ''
    """
    if not names:
        return ""
    are, of = (
        ("are", "modules of these names, which come")
        if names[1:]
        else ("is", "a module of this name, which comes")
    )
    return (
        f"{' and '.join(names)} beside the problem file {are} not imported: Python, or a package that optselect needs, "
        f"has {of} first. Rename yours"
    )


def left_out_note(error: BaseException) -> str:
    """Say of a module that was not found that it lies where one types; empty where it does not."""
    name = (isinstance(error, ModuleNotFoundError) and error.name) or ""
    if not name or PathFinder.find_spec(name.partition(".")[0], [os.getcwd()]) is None:
        return ""
    return f"{name} lies in {os.getcwd()}, which is searched where PYTHONPATH names it (PYTHONPATH=.)"


def imported_names(file: Path) -> Iterator[str]:
    """Name the modules outside of packages that a file imports, by its text."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def required_by(roots: Iterable[str]) -> list[metadata.Distribution]:
    """Find packages and what they require, and so on; what is not installed is left out."""
    found: dict[str, metadata.Distribution] = {}
    asked = list(roots)
    while asked:
        name = re.sub(r"[-_.]+", "-", asked.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for required in found[name].requires or ():
            if (match := re.match(r"[\w.-]+", required)) and "extra" not in required.partition(";")[2]:
                asked.append(match[0])
    return list(found.values())


def modules_of(packages: Iterable[metadata.Distribution]) -> Iterator[str]:
    """Name the modules outside of packages that these install."""
    for package in packages:
        if (told := package.read_text("top_level.txt")) is not None:
            yield from told.split()
            continue
        for file in package.files or ():
            name = file.parts[0].partition(".")[0]
            if name.isidentifier() and not file.parts[0].endswith((".dist-info", ".data")):
                yield name
