"""What all tests of a run share: a database cluster that is made once, however many processes test."""

import os
from pathlib import Path

import filelock
import pytest

from tests.homes import prepare_cluster


@pytest.fixture(scope="session")
def prepared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped cluster with all tables, to be copied; the first process of the run that wants it makes it."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with filelock.FileLock(shared / "prepared.lock"):
        if not (shared / "prepared").exists():
            prepare_cluster(shared / "prepared")
    return shared / "prepared"
