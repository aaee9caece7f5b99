"""What is a backup, seen from outside? A tar of a manifest and one dump for each place, perhaps from a stranger.

Nothing of it is believed: the members are counted and are plain files, the manifest is short, and each of its fields
is one of the few that we write.
"""

import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optselect.storage.errors import InvalidAddress, SchemaMismatch
from optselect.storage.schema.initialise import REVISION, installed
from optselect.storage.server.full_disk import writing
from optselect.storage.server.own_files import private, replacing

FORMAT = 1
OURS = "optselect.dump"
MLFLOW = "mlflow.dump"
MANIFEST = "manifest.json"
MEMBERS = (MANIFEST, OURS, MLFLOW)  # the manifest first: a reader sees at once what comes

LONGEST_MANIFEST = 65_536
LONGEST_READ = 1_048_576
"""Of one piece of the tar: its headers say how long they are, and a stranger's may say anything."""


@dataclass(frozen=True)
class Saved:
    """A backup, unpacked."""

    ours: Path
    mlflow: Path | None
    place: str | None  # where MLflow's tables were: `database` or `schema`
    revision: str  # of our tables
    versions: dict[str, str]  # of what made the tables, as the file says


def pack(folder: Path, manifest: dict[str, Any], file: Path) -> None:
    """Put the dumps of `folder` into one file, which is seen whole or not at all."""
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    with (
        replacing(file, private, lasting=True) as target,
        tarfile.open(fileobj=target, mode="w") as tar,
    ):
        for name in MEMBERS:
            if (folder / name).exists():
                tar.add(folder / name, arcname=name)


def unpack(file: Path, folder: Path) -> Saved:
    """Read a backup into `folder`; raises InvalidAddress or SchemaMismatch."""
    try:
        with ShortReads(file) as source, tarfile.open(fileobj=source, mode="r:") as tar:
            for member in plain_members(tar):
                copy_out(tar, member, folder / member.name)
        manifest = json.loads((folder / MANIFEST).read_bytes())
        checked_fields(manifest)
    except (tarfile.TarError, ValueError, KeyError, TypeError, FileNotFoundError, RecursionError) as error:
        if not file.exists():
            raise
        raise InvalidAddress(f"{file} is not a backup made by `optselect db backup`.") from error
    place, revision, versions = manifest["mlflow_place"], manifest["revision"], manifest["versions"]
    if manifest["format"] != FORMAT or revision > REVISION:
        raise SchemaMismatch(
            f"The backup {file} was made by a newer optselect ({versions.get('optselect')}, revision"
            f" {revision}) than the installed {installed('optselect')}: install the newer one."
        )
    ours, mlflow = folder / OURS, folder / MLFLOW
    if not ours.exists() or mlflow.exists() != (place is not None):
        raise InvalidAddress(f"The backup {file} is incomplete: use another one.")
    return Saved(ours, mlflow if place is not None else None, place, revision, versions)


class ShortReads(io.FileIO):
    """A file that hands out no more than a piece at a time, whatever length a header claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= LONGEST_READ:
            raise tarfile.ReadError("a header that claims a length of its own")
        return super().read(size)


def plain_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, each of them once and a plain file: no link, no device, none with holes."""
    seen: set[str] = set()
    while (member := tar.next()) is not None:
        plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
        if member.name not in MEMBERS or member.name in seen or not plain or member.size < 0:
            raise tarfile.ReadError(member.name)
        if member.name == MANIFEST and member.size > LONGEST_MANIFEST:
            raise tarfile.ReadError("a long manifest")
        seen.add(member.name)
        yield member


def copy_out(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError(member.name)
    with source, writing(target), open(target, "xb") as file:
        shutil.copyfileobj(source, file, LONGEST_READ)


def checked_fields(manifest: dict[str, Any]) -> None:
    """Raise TypeError or ValueError where a field is none that we write."""
    revision, versions = manifest["revision"], manifest["versions"]
    if type(manifest["format"]) is not int or manifest["mlflow_place"] not in (None, "schema", "database"):
        raise ValueError("format or mlflow_place")
    if not re.fullmatch("[0-9]{4}", revision) or revision == "0000":
        raise ValueError("revision")
    words = [*versions, *versions.values()] if isinstance(versions, dict) else [None]
    if not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError("versions")
