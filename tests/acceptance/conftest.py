"""One home for all acceptance tests of a process: they launch studies of different names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Shell, shell
from tests.support.homes import throw_away_home


@pytest.fixture(scope="session")
def acceptance_home(prepared_cluster: Path) -> Iterator[Path]:
    with throw_away_home(prepared=prepared_cluster) as home:
        yield home


@pytest.fixture
def at_home(acceptance_home: Path, tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return shell(acceptance_home, tmp_path)
