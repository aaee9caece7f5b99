"""Four workers, random kill -9 of trainers and supervisors, a crash of Postgres, MLflow away: nothing is lost or doubled.

CHAOS_SEED repeats what a failure names; `make chaos RUNS=100` is the long form.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.chaos import SHORT, survive, train_undisturbed
from tests.support.commands import Shell, shell
from tests.support.forked import Forks
from tests.support.homes import throw_away_home


@pytest.fixture
def own_home(prepared_cluster: Path, tmp_path: Path) -> Iterator[Shell]:
    """A server that may crash: other tests have theirs."""
    with throw_away_home(prepared=prepared_cluster) as home:
        yield shell(home, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_in_chaos_ends_as_one_that_nobody_disturbed(own_home: Shell, forked: Forks) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    print(f"CHAOS_SEED={seed}")
    undisturbed = train_undisturbed(forked, own_home)
    chaos = survive(forked, own_home, "chaos", seed, undisturbed, SHORT)
    assert sorted(chaos.done) == sorted(SHORT)
