"""The decisions around the embedded server that need no server."""

import os
from pathlib import Path

from optselect.storage.server.embedded import forget_dead_server


def test_the_note_of_a_dead_server_with_a_recycled_pid_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    forget_dead_server(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists() or not Path("/proc/self/cwd").exists()
