"""Which files decide how a model begins, and are they still what they were? Those that model() was seen to read, and
those that the problem file names.

Imports no Keras, so that a launch and a worker can ask at once.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

CHUNK_BYTES = 2**20


def name_of(file: Path, folders: Sequence[Path]) -> str:
    """Name a file as another machine can find it: relative to the first folder that it lies below, else whole."""
    folder = next((folder for folder in folders if file.is_relative_to(folder)), None)
    return str(file) if folder is None else file.relative_to(folder).as_posix()


def places_of(name: str, folders: Sequence[Path]) -> list[Path]:
    """Where a file or folder of that name lies now: below one folder or several, or nowhere; a pipe or device is none."""
    places = [folder / name for folder in dict.fromkeys(folders)]
    return [place for place in places if place.is_file() or place.is_dir()]


def hash_named(names: Iterable[str], folders: Sequence[Path]) -> dict[str, str]:
    """Hash what each name means here; what lies nowhere is left out."""
    found = {name: places_of(name, folders) for name in names}
    return {name: hash_content(places[0]) for name, places in sorted(found.items()) if places}


def hash_content(place: Path) -> str:
    """Hash a file, or the names and contents of all files below a folder, as a checkpoint may be one."""
    digest = hashlib.sha256()
    if place.is_dir():
        for file in sorted(file for file in place.rglob("*") if file.is_file()):
            digest.update(f"{file.relative_to(place).as_posix()}\n{hash_content(file)}\n".encode())
        return digest.hexdigest()
    with place.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def changed_file(files: Mapping[str, str], folders: Sequence[Path]) -> str:
    """Say of the first file that is not what it was what must hold and what came; empty where all are.

    One from outside the folders may be missing: what libraries download lies elsewhere on each machine.

    Args:
        files: sha256 by name.
        folders: in which the names are looked for.
    """
    for name, known in files.items():
        here = {place: hash_content(place) for place in places_of(name, folders)}
        if known not in here.values() and (here or not Path(name).is_absolute()):
            return (
                f"{name} must be the file that the study was launched with (sha256 {known[:12]}), for model() reads "
                f"it. Received: {_received(here, folders)}"
            )
    return ""


def _received(here: Mapping[Path, str], folders: Sequence[Path]) -> str:
    if not here:
        return f"no such file in {' or '.join(str(folder) for folder in dict.fromkeys(folders))}"
    place, digest = next(iter(here.items()))
    return f"{place} (sha256 {digest[:12]})"
