"""What all tests of a run share: their order, and a database cluster made once, however many processes test."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import filelock
import pytest
from hypothesis import Phase, settings

from tests.support.forked import Forks, forks
from tests.support.homes import prepare_cluster

# The same examples each time, so that a failure stays one, and no search for a smaller one, which trains for minutes.
settings.register_profile(
    "ci", max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.generate]
)
# New examples, many; --timeout 0 goes with it.
settings.register_profile("thorough", max_examples=100, deadline=None, database=None)
settings.load_profile("ci")

LONG_FIRST = (
    "acceptance/test_chaos.py",
    "acceptance/test_pages.py",
    "acceptance/test_launch.py",
    "acceptance/test_kills.py",
    "acceptance/",
    "trials/",
    "service/",
)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the slow tests out of a plain run; xdist tells its processes what is chosen here."""
    config.option.markexpr = chosen_by_mark(config.option.markexpr, config.args)


def chosen_by_mark(asked: str, places: Sequence[str]) -> str:
    """The -m of a run: what was asked for, all where a file is named, else whatever is not slow."""
    return asked or ("" if any(".py" in place for place in places) else "not slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long start first: the last to end decides how long the processes need."""
    items.sort(key=lambda item: place_of(item.nodeid))


def place_of(nodeid: str) -> int:
    """The place of a file among those that take long."""
    places = [place for place, part in enumerate(LONG_FIRST) if part in nodeid.partition("::")[0]]
    return min(places, default=len(LONG_FIRST))


@pytest.fixture(scope="session")
def prepared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped cluster with all tables, to be copied; the first process of the run that wants it makes it."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with filelock.FileLock(shared / "prepared.lock"):
        if not (shared / "prepared").exists():
            prepare_cluster(shared / "prepared")
    return shared / "prepared"


@pytest.fixture(scope="session")
def forked() -> Iterator[Forks]:
    with forks() as parent:
        yield parent
