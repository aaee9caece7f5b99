"""Which code does a process run that trusts listed sources only? That of one bundle, and what is installed.

What is loaded is looked at, just before it is: a file must lie in the bundle's folder, links followed, and hold the very
bytes that the bundle has under its name. What a study's rows call it decides nothing. Imports no Keras.
"""

import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

from optselect.trials.terms.errors import SourceNotListed
from optselect.trials.terms.reference import Reference

PATH_ALONE = "import json, sys; print(json.dumps(sys.path))"
STACK = ("keras", "tensorflow", "numpy")


@dataclass(frozen=True)
class ListedCode:
    """The files of a bundle whose hash somebody has listed."""

    folder: str
    hashes: Mapping[str, str]  # sha256 of each file's bytes, by its path below the folder

    def enter(self) -> None:
        """Let this process import the bundle's files and what is installed, and nothing else from now on."""
        sys.path[:] = [self.folder, *installed_path()]
        sys.path_hooks.insert(0, self._finder)
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()

    def loader(self, name: str, file: str) -> "ListedLoader":
        """What loads a file as the module of that name."""
        return ListedLoader(name, file, self)

    def body(self, file: Path) -> bytes:
        """The bytes of a file that may run; raises SourceNotListed."""
        real, folder = file.resolve(), Path(self.folder).resolve()
        if not real.is_relative_to(folder):
            raise SourceNotListed(
                f"A source must be a file of the listed bundle to run here. Received: {file}, which is none."
            )
        name = real.relative_to(folder).as_posix()
        body = real.read_bytes() if name in self.hashes else b""
        if hashlib.sha256(body).hexdigest() != self.hashes.get(name):
            raise SourceNotListed(
                f"A source must be a file of the listed bundle, as it is there, to run here. Received: {name} in "
                f"{folder}, which {'has changed' if name in self.hashes else 'is none of it'}."
            )
        return body

    def demand_place(self, reference: Reference) -> None:
        """Refuse a class that would come from elsewhere, before anything of it runs; raises SourceNotListed."""
        if reference.is_file:
            self.body(reference.path)
            return
        top = reference.place.partition(".")[0]
        if top in sys.stdlib_module_names and not self._has_module(top):
            raise SourceNotListed(
                f"A class of a study must stand in its listed source, or be installed, to run here. Received: {reference}, "
                "a module of Python's own, which has no optimizers."
            )

    def _has_module(self, top: str) -> bool:
        return any(name == f"{top}.py" or name.startswith(f"{top}/") for name in self.hashes)

    def _finder(self, entry: str) -> FileFinder:
        """A path hook: in the bundle's folder there are sources only, no compiled files, no libraries."""
        if not Path(entry).resolve().is_relative_to(Path(self.folder).resolve()):
            raise ImportError(f"{entry} is not of the bundle")
        return FileFinder(entry, (self.loader, SOURCE_SUFFIXES))  # type: ignore[arg-type]  # it calls it

    def to_json(self) -> str:
        """Write it for a child process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ListedCode":
        """Read what to_json gave."""
        return cls(**json.loads(text))


class ListedLoader(SourceFileLoader):
    """Compiles what was looked at: neither a cached .pyc nor a file read once more."""

    def __init__(self, name: str, file: str, listed: ListedCode) -> None:
        super().__init__(name, file)
        self._listed = listed

    def get_code(self, fullname: str) -> CodeType | None:
        body = self._listed.body(Path(self.path))
        return self.source_to_code(body, self.path)


def installed_path() -> list[str]:
    """Where installed modules are: the path that an interpreter has of itself, without working folder and PYTHONPATH.

    Where the libraries that we stand on lie elsewhere, as a cluster's PYTHONPATH has them, that is the installation, too.
    """
    asked = [sys.executable, "-E", "-P", "-c", PATH_ALONE]
    answered = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    own: list[str] = json.loads(answered.stdout.splitlines()[-1])
    files = [getattr(sys.modules.get(name), "__file__", None) for name in STACK]
    stack = [str(Path(file).parents[1]) for file in files if file]
    return list(dict.fromkeys([*own, *stack]))
