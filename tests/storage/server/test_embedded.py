"""The decisions around the embedded server that need no server."""

import os
import sys
from pathlib import Path

import pytest

from optselect.storage.errors import Unreachable
from optselect.storage.server import binaries, refusals
from optselect.storage.server.account import Account, can_enter
from optselect.storage.server.binaries import find_binaries
from optselect.storage.server.embedded import forget_dead_server
from optselect.storage.server.refusals import cause_of_failure, file_system_of, refuse_remote_file_system

MOUNTS = [(Path("/"), "ext4"), (Path("/home"), "nfs4"), (Path("/home/ann/local disk"), "xfs")]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var/lib", "ext4"), ("/home/ann", "nfs4"), ("/homes", "ext4"), ("/home/ann/local disk/pg", "xfs")],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no home is refused")
def test_a_home_on_a_network_file_system_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(refusals, "file_system_of", lambda path, mounts: "nfs4")
    with pytest.raises(Unreachable, match=r"network file system \(nfs4\)"):
        refuse_remote_file_system(tmp_path)


def test_a_wrong_folder_of_binaries_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=f"OPTSELECT_PG_BIN must name a folder.*{tmp_path}"):
        find_binaries({"OPTSELECT_PG_BIN": str(tmp_path)})


def test_without_any_binaries_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "holds_server", lambda folder: False)
    with pytest.raises(Unreachable, match=r"install PostgreSQL, set OPTSELECT_PG_BIN.*--storage"):
        find_binaries({"PATH": ""})


def test_a_closed_parent_folder_locks_an_account_out(tmp_path: Path) -> None:
    (tmp_path / "closed" / "home").mkdir(parents=True)
    stranger = Account("stranger", uid=os.getuid() + 12345, gid=os.getgid() + 12345)
    (tmp_path / "closed").chmod(0o700)
    assert not can_enter(tmp_path / "closed" / "home", stranger)
    assert can_enter(Path("/"), stranger)


def test_the_note_of_a_dead_server_with_a_recycled_pid_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    forget_dead_server(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists() or not Path("/proc/self/cwd").exists()


def test_the_telling_line_of_a_failure_is_found() -> None:
    said = 'creating directory data ... ok\ninitdb: error: could not create "x": Permission denied\ninitdb: removing'
    assert cause_of_failure(said) == 'could not create "x": Permission denied'
    assert cause_of_failure("FATAL:  could not write: No space left on device\n") == (
        "no space left on its disk (free some)"
    )
    assert cause_of_failure("") == "no reason given"
