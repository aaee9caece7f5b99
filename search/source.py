"""Which code does a study train? A bundle of the problem file and the modules beside it, known by its hash."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from optselect.search.errors import InvalidInput
from optselect.storage.studies import StoredStudy
from optselect.trials.bundled import bundled_problems, resolve_problem
from optselect.trials.errors import ProblemError


def read_bundle(problem: Path, modules: Mapping[str, str]) -> dict[str, str]:
    """The text of every module that the problem imported from its own folder, by relative path."""
    return {name: (problem.parent / name).read_text("utf-8") for name in sorted(modules)}


def bundle_hash(bundle: Mapping[str, str]) -> str:
    """A hash of names and texts, in hexadecimal."""
    return hashlib.sha256(json.dumps(sorted(bundle.items())).encode()).hexdigest()


def local_hash(problem: Path, bundle: Mapping[str, str]) -> str | None:
    """The hash that the bundle's files have on this machine; None where one is missing."""
    try:
        return bundle_hash(read_bundle(problem, dict.fromkeys(bundle, "")))
    except (OSError, UnicodeDecodeError):
        return None


def find_source(study: StoredStudy, home: Path, use_local: bool) -> Path:
    """The problem file to train: this machine's own where it is the study's, else one written from the bundle.

    Raises:
        InvalidInput: the local file is another one, and `use_local` does not allow it.
    """
    try:
        problem = resolve_problem(study.spec["problem"])
    except ProblemError:
        return unpacked(study, home)
    found = local_hash(problem, study.bundle)
    if found == study.bundle_sha256 or use_local:
        return problem
    if found is None or study.spec["problem"] in bundled_problems():  # another version's example, no edit
        return unpacked(study, home)
    raise InvalidInput(
        f'The problem of study "{study.name}" must be the one it was launched with ({study.bundle_sha256[:12]}). '
        f"Received: {problem} ({found[:12]}). Restore the file, launch under another --name, or give --use-local."
    )


def unpacked(study: StoredStudy, home: Path) -> Path:
    """Write the bundle below the home folder, once for each content, and return the problem file there."""
    folder = home / "bundles" / study.bundle_sha256
    for name, content in study.bundle.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise InvalidInput(
                f'The bundle of study "{study.name}" must stay in its folder. Received: {name}.'
            )
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            aside = file.with_name(f"{file.name}.{study.id}.part")
            aside.write_text(content, "utf-8")
            aside.replace(file)
    return folder / Path(study.problem["path"]).name


def weights_folder(home: Path) -> Path:
    """Where this machine keeps initial weights, by problem and seed."""
    return home / "weights"
