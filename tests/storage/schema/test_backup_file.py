"""A backup is a tar of a short manifest and plain files, and a stranger's tar of another kind is refused."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from optselect.storage.errors import InvalidAddress, SchemaMismatch
from optselect.storage.schema.backup_file import unpack

MANIFEST = {"format": 1, "revision": "0006", "mlflow_place": None, "versions": {"optselect": "0.1.0"}}


def odd_member(kind: bytes, name: str = "optselect.dump", **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize(
    "member",
    [
        odd_member(tarfile.SYMTYPE, linkname="/etc/passwd"),
        odd_member(tarfile.LNKTYPE, linkname="manifest.json"),
        odd_member(tarfile.CHRTYPE, devmajor=1, devminor=5),
        odd_member(tarfile.FIFOTYPE),
        odd_member(tarfile.DIRTYPE),
        odd_member(tarfile.REGTYPE, pax_headers={"GNU.sparse.size": "999999999999", "GNU.sparse.map": "0,0"}),
        odd_member(tarfile.REGTYPE, pax_headers={"size": "-512"}),
        odd_member(tarfile.REGTYPE, name="manifest.json"),
        odd_member(tarfile.REGTYPE, name="../optselect.dump"),
        odd_member(tarfile.REGTYPE, name="/tmp/optselect.dump"),
        odd_member(tarfile.REGTYPE, name="further"),
        odd_member(tarfile.REGTYPE, pax_headers={"comment": "x" * 2_000_000}),
    ],
    ids=lambda member: f"{member.type.decode()} {member.name} {list(member.pax_headers)}",
)
def test_a_member_that_is_no_plain_file_of_ours_refuses_the_file(
    tmp_path: Path, member: tarfile.TarInfo
) -> None:
    file = packed(tmp_path, {"manifest.json": json.dumps(MANIFEST).encode()}, member)
    with pytest.raises(InvalidAddress, match="is not a backup made by `optselect db backup`"):
        unpack(file, tmp_path / "to")
    assert {path.name for path in (tmp_path / "to").iterdir()} <= {"manifest.json"}


def test_a_compressed_tar_is_not_unpacked(tmp_path: Path) -> None:
    """A few bytes of it may be a full disk."""
    with tarfile.open(tmp_path / "backup.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("manifest.json"), io.BytesIO())
    with pytest.raises(InvalidAddress, match="is not a backup"):
        unpack(tmp_path / "backup.tar", tmp_path)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"revision": "9999"}, SchemaMismatch, "made by a newer optselect"),
        ({"format": 2}, SchemaMismatch, "made by a newer optselect"),
        ({"revision": "head"}, InvalidAddress, "is not a backup"),
        ({"revision": "0000"}, InvalidAddress, "is not a backup"),
        ({"revision": 6}, InvalidAddress, "is not a backup"),
        ({"revision": ["0006"]}, InvalidAddress, "is not a backup"),
        ({"format": True}, InvalidAddress, "is not a backup"),
        ({"format": "1"}, InvalidAddress, "is not a backup"),
        ({"mlflow_place": "public; DROP SCHEMA optuna"}, InvalidAddress, "is not a backup"),
        ({"mlflow_place": ["schema"]}, InvalidAddress, "is not a backup"),
        ({"mlflow_place": "schema"}, InvalidAddress, "is incomplete"),
        ({"versions": None}, InvalidAddress, "is not a backup"),
        ({"versions": {"optselect": "\x1b[2J"}}, InvalidAddress, "is not a backup"),
        ({"further": "x" * 70_000}, InvalidAddress, "is not a backup"),
    ],
)
def test_a_manifest_that_is_none_of_ours_is_refused(
    tmp_path: Path, changed: dict[str, Any], error: type[Exception], said: str
) -> None:
    file = packed(
        tmp_path, {"manifest.json": json.dumps(MANIFEST | changed).encode(), "optselect.dump": b"PGDMP"}
    )
    with pytest.raises(error, match=said):
        unpack(file, tmp_path / "to")


def test_json_that_is_all_brackets_is_refused(tmp_path: Path) -> None:
    file = packed(tmp_path, {"manifest.json": b"[" * 60_000, "optselect.dump": b"PGDMP"})
    with pytest.raises(InvalidAddress, match="is not a backup"):
        unpack(file, tmp_path / "to")


def packed(folder: Path, members: dict[str, bytes], *further: tarfile.TarInfo) -> Path:
    """A tar of these members; what is unpacked of it goes to the folder `to`."""
    (folder / "to").mkdir()
    with tarfile.open(folder / "backup.tar", "w") as tar:
        for name, content in members.items():
            tar.addfile(odd_member(tarfile.REGTYPE, name, size=len(content)), io.BytesIO(content))
        for member in further:
            tar.addfile(member)
    return folder / "backup.tar"
