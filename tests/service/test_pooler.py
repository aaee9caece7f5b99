"""Behind a transaction pooler a study is the same, on connections that are nobody's own."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from optselect.storage.database import Database, connect, make_engine
from optselect.storage.initialise import check_schema
from tests.acceptance.commands import await_that
from tests.acceptance.forked import Forks
from tests.service.conftest import execute
from tests.service.workplace import store_steady, workplace

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SERVER_CONNECTIONS = 3
"""One more than workers: a worker that ends a trial holds one and needs another for a moment."""

pytestmark = pytest.mark.skipif(
    PGBOUNCER is None and os.environ.get("OPTSELECT_TESTS") != "complete",
    reason="Debian's package pgbouncer is not installed",
)


@pytest.fixture
def pooled_database(
    initialised_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """The database behind a pooler in transaction mode that holds few connections to it, however many come."""
    folder, url = tmp_path_factory.mktemp("pooler"), initialised_database.url
    port = free_port()
    (folder / "users").write_text(f'"{url.username}" "{url.password}"\n')
    (folder / "ini").write_text(f"""
[databases]
* = host={url.host} port={url.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {SERVER_CONNECTIONS}
max_client_conn = 1000
""")
    command = [str(PGBOUNCER), str(folder / "ini")]
    if os.geteuid() == 0:  # it refuses to serve as root
        hand_over(folder, pwd.getpwnam("nobody"))
        command[1:1] = ["-u", "nobody"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as pooler:
        try:
            await_that(lambda: listens(port), "the pooler answers")
            yield Database(url.set(port=port, host="127.0.0.1"), initialised_database.home, embedded=False)
        finally:
            pooler.terminate()


def hand_over(folder: Path, account: pwd.struct_passwd) -> None:
    for place in (folder, *folder.iterdir()):
        os.chown(place, account.pw_uid, account.pw_gid)
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == 0 and parent != Path("/") and "pytest" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o011)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_two_workers_train_a_whole_study_on_three_pooled_connections(
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
