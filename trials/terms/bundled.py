"""Which file does the name of a problem mean? Imports no Keras, so that a typing error is answered at once."""

import difflib
import importlib.resources
import os
from pathlib import Path

from optselect.trials.terms.errors import ProblemError


def resolve_problem(name_or_path: str) -> Path:
    """Find a problem by its path, or a bundled one by its bare name.

    A file that exists wins over a bundled name.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.resolve()
    bundled = bundled_problems()
    if name_or_path in bundled:
        return bundled[name_or_path]
    raise ProblemError(_explain_missing(name_or_path, path, list(bundled)))


def is_bundled(name_or_path: str) -> bool:
    """Tell whether a bundled problem is meant, and no file of the same name."""
    return name_or_path in bundled_problems() and not Path(name_or_path).is_file()


def bundled_problems() -> dict[str, Path]:
    """List the problems that come with optselect, by name."""
    folder = Path(str(importlib.resources.files("optselect.examples")))
    return {
        file.stem: file.resolve() for file in sorted(folder.glob("*.py")) if not file.stem.startswith("_")
    }


def _explain_missing(name: str, path: Path, bundled: list[str]) -> str:
    known = f"Bundled problems: {', '.join(bundled)}."
    if path.is_dir():
        return f"A problem is one Python file. Received: {name!r}, a folder. {known}"
    if path.with_name(f"{path.name}.py").is_file() if path.name else False:
        return f"There is no problem {name!r}. Did you mean {name}.py? {known}"
    if os.sep in name or name.endswith(".py"):
        return f"There is no problem file {name!r} (looked in {Path.cwd()}). {known}"
    close = difflib.get_close_matches(name, bundled, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no problem {name!r}: it is neither a file nor a bundled problem.{hint} {known}"
