"""Whatever the server answers to a statement in the middle of a study costs no epoch, or is said in one sentence."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from optselect.storage.database import Database, again, make_engine
from optselect.storage.errors import NotGranted, SchemaMismatch, Unreachable
from optselect.storage.roles import grant_work
from tests.acceptance import steady
from tests.acceptance.commands import await_that
from tests.acceptance.forked import Forks
from tests.service.conftest import execute, fresh_database
from tests.service.proxy import CUT, Chance, spoiling
from tests.service.workplace import FLAGS, shell_of, store_steady, workplace

WAITED_FOR = ("25006", "53100", "53200", "53300", "53400", "58030", "57P01", "57P03", "08006")
REPEATED = ("40001", "40P01", "55P03", "57014")
READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = {}"


@pytest.fixture
def stored(forked: Forks, initialised_database: Database, tmp_path: Path) -> Database:
    store_steady(forked, initialised_database, tmp_path)
    return initialised_database


def test_a_study_whose_statements_the_server_spoils_at_random_is_whole(
    forked: Forks, stored: Database, tmp_path: Path
) -> None:
    chance = Chance(seed=7, codes=(*WAITED_FOR, *REPEATED, CUT), times=1)
    with spoiling(stored.url, chance) as address:
        behind = Database(address, stored.home, embedded=False)
        with workplace(forked, stored, tmp_path) as here, workplace(forked, behind, tmp_path) as there:
            with there.worker() as worker:
                chance.is_on = True
                assert worker.end() == 0, worker.words()
            here.demand_whole()
            assert here.ask("SELECT max(attempt) FROM ticket") == [(1,)], "no attempt was lost"
    assert len(chance.spoilt) >= 8
    assert "bug of ours" not in worker.words() and "Traceback" not in worker.words()
