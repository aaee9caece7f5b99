"""A full disk is said in one line: which one, for which file, and what to do."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from optselect.search.cli.failures import diagnosis
from optselect.search.exit_codes import UserExit
from optselect.search.named_file import write_named
from optselect.storage.errors import Unreachable
from optselect.storage.records.checkpoint_files import write_file
from optselect.storage.schema.backup_file import pack
from optselect.storage.server.full_disk import full_disk, writing
from optselect.trials.data.whole_file import write_whole
from tests.support.homes import small_file_system


def refusal_of_a_full_disk() -> OSError:
    """The system's own: it names no file."""
    with pytest.raises(OSError) as refused, open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    assert refused.value.errno == errno.ENOSPC and refused.value.filename is None
    return refused.value


def test_a_full_disk_names_itself_the_file_and_the_way_out(tmp_path: Path) -> None:
    home = {"OPTSELECT_HOME": str(tmp_path / "home")}
    for file, way_out in (
        (tmp_path / "home" / "logs" / "x", "OPTSELECT_HOME"),
        (Path(tempfile.gettempdir()) / "x", "TMPDIR"),
        (Path("/dev/shm/x"), "name a file elsewhere"),
    ):
        with pytest.raises(OSError) as refused, writing(file):
            raise refusal_of_a_full_disk()
        line = full_disk(refused.value, home)
        assert line is not None and line.startswith("No space left on /") and "\n" not in line
        assert str(file) in line and way_out in line


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on /"),
        (errno.EDQUOT, "No space left of your quota on /"),
        (errno.EROFS, "is read-only"),
    ],
)
def test_quotas_and_read_only_disks_are_told_alike(tmp_path: Path, number: int, said: str) -> None:
    code, line = diagnosis(OSError(number, os.strerror(number), str(tmp_path / "x")))
    assert code == UserExit.UNREACHABLE
    assert said in line and str(tmp_path / "x") in line


def test_a_full_disk_is_found_below_what_was_made_of_it() -> None:
    cause = refusal_of_a_full_disk()
    wrapped = Unreachable("the home cannot be used")
    wrapped.__cause__ = cause
    code, line = diagnosis(wrapped)
    assert code == UserExit.UNREACHABLE and line.startswith("No space left on ")


def test_other_refusals_are_not_called_a_full_disk() -> None:
    assert full_disk(PermissionError(errno.EACCES, "Permission denied", "/x"), {}) is None
    assert full_disk(ValueError("No space left on device"), {}) is None
    assert full_disk(psycopg2.OperationalError("FATAL: password authentication failed"), {}) is None


def test_a_server_without_space_is_told_before_a_connection_stands() -> None:
    said = 'connection to server at "x" failed: FATAL:  could not write init file: No space left on device\n'
    line = full_disk(psycopg2.OperationalError(said), {})
    assert line is not None and line.startswith("The database has no space left on its disk")
    assert "free some on its machine" in line


def test_what_is_printed_onto_a_full_disk_ends_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        command = ["optselect", "optimizers"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == UserExit.UNREACHABLE
    assert done.stderr.startswith("optselect: No space left on ")
    assert done.stderr.count("\n") == 1


# --- a real full disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, of which nothing is left."""
    with small_file_system(tmp_path / "full", "64k") as place:
        with pytest.raises(OSError), (place / "rest").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        yield place


def test_every_writer_names_the_full_disk_and_leaves_no_part_behind(full: Path) -> None:
    body = bytes(100_000)
    for write in (
        lambda: write_whole(full / "weights", body),
        lambda: write_file(str(full), "checkpoint", body),
        lambda: write_named(full / "report.html", body),
        lambda: pack(full.parent, {"format": 1}, full / "backup.tar"),
    ):
        with pytest.raises(Exception) as refused:
            write()
        line = full_disk(refused.value, {})
        assert line is not None and f"No space left on {full} (writing {full}/" in line
        assert [path.name for path in full.iterdir()] == ["rest"]
