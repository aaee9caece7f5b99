"""Behind a transaction pooler a study is the same, on connections that are nobody's own."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.pooler import PGBOUNCER, pooled
from optselect.storage.schema.initialise import check_schema
from optselect.storage.server.database import Database, connect, make_engine
from tests.service.conftest import execute
from tests.support.forked import Forks
from tests.support.workplace import store_steady, workplace

SERVER_CONNECTIONS = 1
"""No worker asks for one while it holds another, so that one suffices for any number of them."""

pytestmark = pytest.mark.skipif(
    PGBOUNCER is None and os.environ.get("OPTSELECT_TESTS") != "complete",
    reason="Debian's package pgbouncer is not installed",
)


@pytest.fixture
def pooled_database(
    initialised_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """The database behind a pooler in transaction mode that holds few connections to it, however many come."""
    url = initialised_database.url
    with pooled(url, tmp_path_factory.mktemp("pooler"), SERVER_CONNECTIONS) as address:
        yield Database(address, initialised_database.home, embedded=False)


@pytest.mark.slow
def test_two_workers_train_a_whole_study_on_one_pooled_connection(
    pooled_database: Database, initialised_database: Database, forked: Forks, tmp_path: Path
) -> None:
    check_schema(make_engine(pooled_database, pooled=False))
    store_steady(forked, pooled_database, tmp_path)
    with workplace(forked, pooled_database, tmp_path) as here:
        with here.worker() as first:
            assert here.work().returncode == 0
            assert first.end() == 0
        here.demand_whole()
    named = str(initialised_database.url.database)
    held = execute(
        initialised_database.url.set(database="postgres"),
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{named}' AND backend_type = 'client backend'",
    )
    assert held[0][0] <= SERVER_CONNECTIONS  # type: ignore[operator]  # a count


def test_a_setting_of_one_transaction_does_not_reach_the_next(pooled_database: Database) -> None:
    engine = make_engine(pooled_database)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM ticket")  # found by our search path
    engine.dispose()
    with closing(connect(pooled_database.url)) as plain, plain, plain.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert "optselect" not in str(cursor.fetchone())
