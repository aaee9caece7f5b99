"""Why the embedded server does not come up, without one."""

import sys
from pathlib import Path

import pytest

from optselect.storage.errors import Unreachable
from optselect.storage.server import refusals
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


def test_the_telling_line_of_a_failure_is_found() -> None:
    said = 'creating directory data ... ok\ninitdb: error: could not create "x": Permission denied\ninitdb: removing'
    assert cause_of_failure(said) == 'could not create "x": Permission denied'
    assert cause_of_failure("FATAL:  could not write: No space left on device\n") == (
        "no space left on its disk (free some)"
    )
    assert cause_of_failure("") == "no reason given"
