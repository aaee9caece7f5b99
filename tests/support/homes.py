"""Throw-away homes: each has an embedded server of its own, which ends with the test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from optselect.storage.schema.initialise import ensure_mlflow
from optselect.storage.server import embedded
from optselect.storage.server.database import open_database
from optselect.storage.server.home import fallback_base

THROW_AWAY = {**os.environ, "OPTSELECT_PG_FSYNC": "off"}


@contextmanager
def throw_away_home(name: str = "home with blanks", prepared: Path | None = None) -> Iterator[Path]:
    """A home whose server, if one was started, is stopped and removed at the end.

    It is empty, or has the tables of a prepared cluster.
    """
    top = Path(tempfile.mkdtemp(prefix="optselect-"))
    top.chmod(0o755)  # as root: the server's own account must get in
    try:
        if prepared is not None:
            (top / name).mkdir()
            copy_folder(prepared, top / name / "pg")
        yield top / name
    finally:
        embedded.stop(top / name, os.environ)
        shutil.rmtree(top, ignore_errors=True)
        shutil.rmtree(fallback_base(top / name).parent, ignore_errors=True)


@contextmanager
def small_file_system(place: Path, size: str, options: str = "rw") -> Iterator[Path]:
    """A file system of so many bytes, which is soon full; the test is skipped where none can be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755,{options}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False) if os.geteuid() == 0 else None
    if mounted is None or mounted.returncode != 0:
        pytest.skip("only root may mount a small file system, and not in every container")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def prepare_cluster(target: Path) -> None:
    """Leave a stopped cluster at `target`, as the first launch leaves it behind: MLflow's tables alone cost ten seconds."""
    with throw_away_home() as home:
        ensure_mlflow(open_database(None, home, THROW_AWAY))
        data = embedded.server_state(home).data_directory
        assert data is not None
        embedded.stop(home, THROW_AWAY)
        (data.parent / "port").unlink()  # each copy chooses its own
        shutil.move(data.parent, target)


def copy_folder(source: Path, target: Path) -> None:
    """With its owner, who may be the server's own account."""
    subprocess.run(["cp", "-a", source, target], check=True)
