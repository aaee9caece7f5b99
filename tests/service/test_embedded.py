"""The life of the embedded server: it starts once, survives its starter, and comes back after a kill."""

import json
import os
import pwd
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from optselect.storage.errors import Unreachable
from optselect.storage.server import embedded
from optselect.storage.server.account import account_for
from optselect.storage.server.binaries import find_binaries, holds_server, readable_binaries
from optselect.storage.server.database import Database, child_environment, make_engine, open_database
from optselect.storage.server.embedded import attach, ensure_running, server_state, stop
from optselect.storage.server.home import fallback_base
from tests.service.conftest import execute
from tests.support.homes import THROW_AWAY, throw_away_home

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
START = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from optselect.storage.server.embedded import ensure_running
    print(ensure_running(Path(sys.argv[1]), os.environ).port, flush=True)
    time.sleep(60)
    """
)


def starter(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", START, str(home)]
    return subprocess.Popen(
        command, env=THROW_AWAY, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def kill(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def postmaster_pid(home: Path) -> int:
    data = server_state(home).data_directory
    assert data is not None
    return int((data / "postmaster.pid").read_text().split()[0])


def test_four_processes_start_one_server_which_survives_them_all() -> None:
    with throw_away_home() as home:
        starters = [starter(home) for _ in range(4)]
        ports = {int(process.stdout.readline()) for process in starters if process.stdout}
        for process in starters:
            kill(process)
        url = attach(home)
        assert url is not None
        assert ports == {url.port}


def test_the_server_lives_in_a_path_with_blanks(home: Path, server: URL) -> None:
    assert " " in str(home)
    state = server_state(home)
    assert state.running
    assert state.address == f"postgresql://postgres@127.0.0.1:{server.port}"
    assert state.size_bytes > 1_000_000


def test_a_second_home_gets_a_server_of_its_own(home: Path, server: URL, restartable_home: Path) -> None:
    other = attach(restartable_home)
    assert other is not None
    assert other.port != server.port
    assert server_state(restartable_home).data_directory != server_state(home).data_directory


def test_a_server_killed_outright_comes_back_with_its_rows_and_port(restartable_home: Path) -> None:
    url = ensure_running(restartable_home, THROW_AWAY)
    execute(url, "CREATE TABLE kept AS SELECT 7 AS number")
    os.kill(postmaster_pid(restartable_home), signal.SIGKILL)
    assert attach(restartable_home) is None
    back = ensure_running(restartable_home, THROW_AWAY)
    assert execute(back, "TABLE kept") == [(7,)]
    execute(back, "DROP TABLE kept")


def test_stop_ends_the_server_and_the_next_start_keeps_its_port(restartable_home: Path) -> None:
    before = ensure_running(restartable_home, THROW_AWAY)
    assert stop(restartable_home)
    assert not stop(restartable_home)
    assert attach(restartable_home) is None
    state = server_state(restartable_home)
    assert (state.running, state.address) == (False, None)
    assert state.version is not None
    assert ensure_running(restartable_home, THROW_AWAY) == before


def test_a_note_with_the_pid_of_another_program_does_not_block_the_start(restartable_home: Path) -> None:
    ensure_running(restartable_home, THROW_AWAY)
    data = server_state(restartable_home).data_directory
    assert data is not None
    note = (data / "postmaster.pid").read_text().splitlines()
    stop(restartable_home)
    account = account_for(os.environ)
    sleeper = subprocess.Popen(["sleep", "60"], user=account.uid if account else None)
    try:
        (data / "postmaster.pid").write_text("\n".join([str(sleeper.pid), *note[1:]]) + "\n")
        assert ensure_running(restartable_home, THROW_AWAY)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_password_of_the_server_is_private(home: Path, server: URL) -> None:
    data = server_state(home).data_directory
    assert data is not None
    assert (data.parent / "password").stat().st_mode & 0o077 == 0
    assert data.parent.stat().st_mode & 0o077 == 0
    with pytest.raises(Unreachable, match="the password of postgres is wrong"):
        open_database(server.set(password="wrong").render_as_string(hide_password=False), home, {})


def test_a_database_that_does_not_exist_is_named(home: Path, server: URL) -> None:
    with pytest.raises(Unreachable, match="it has no database nowhere"):
        open_database(server.set(database="nowhere").render_as_string(hide_password=False), home, {})


def test_a_child_process_gets_in_without_seeing_the_password(home: Path, server: URL, tmp_path: Path) -> None:
    role, password = f"role_{uuid.uuid4().hex}", "with:colon\\and%"
    execute(server, f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    database = Database(server.set(username=role, password=password), home, embedded=False)
    environment = child_environment(database, {"PATH": os.environ["PATH"]}, tmp_path)
    assert not [value for value in environment.values() if password in value or "colon" in value]
    child = (
        "import os; from pathlib import Path; from optselect.storage.server.database import *;"
        "from optselect.storage.server.home import default_home;"
        "print(open_database(None, default_home(os.environ), os.environ).url.username)"
    )
    done = subprocess.run(
        [sys.executable, "-c", child], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == role, done.stderr
    execute(server, f"DROP ROLE {role}")


def test_opening_without_an_address_makes_our_database_once(home: Path, server: URL) -> None:
    first = open_database(None, home, os.environ)
    began = time.monotonic()
    second = open_database(None, home, os.environ)
    assert time.monotonic() - began < 1.0  # 12 ms on a quiet machine
    assert first == second
    assert first.embedded
    with make_engine(first, pooled=False).connect() as connection:
        assert connection.execute(text("SELECT current_database()")).scalar() == "optselect"
        assert connection.execute(text("SHOW search_path")).scalar() == "optselect"


def test_a_home_that_cannot_be_written_is_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable, match=r"Not a directory.*OPTSELECT_HOME") as caught:
        ensure_running(tmp_path / "file" / "home", os.environ)
    assert "\n" not in str(caught.value)


def test_a_data_directory_of_another_major_version_is_refused() -> None:
    with throw_away_home() as home:
        account = account_for(os.environ)
        base = embedded.base_folder(home, account)
        embedded.make_private_folder(base, account)
        (base / "data").mkdir()
        (base / "data" / "PG_VERSION").write_text("9\n")
        with pytest.raises(Unreachable, match=r"belong to PostgreSQL 9, .* are \d+"):
            ensure_running(home, THROW_AWAY)


def test_a_failed_setup_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess[str]([], 1, "initdb: error: No space left on device\n")
    monkeypatch.setattr(embedded, "run", lambda *arguments: failed)
    with throw_away_home() as home:
        with pytest.raises(Unreachable, match="no space left on its disk"):
            ensure_running(home, THROW_AWAY)
        base = embedded.base_folder(home, account_for(os.environ))
        assert {path.name for path in base.iterdir()} <= {"lock"}


# Imports first: below a closed home the child could read no module after it has given up root.
AS_NOBODY = textwrap.dedent(
    """
    import json, os, sys
    from pathlib import Path
    import encodings.idna, psutil
    from optselect.storage.server import embedded
    from optselect.storage.server.database import open_database
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[3]))
    home, environment = Path(sys.argv[1]), json.loads(sys.argv[4])
    database = open_database(None, home, environment)
    owner = os.stat(home / "pg" / "data").st_uid
    print(json.dumps([database.url.database, owner, embedded.stop(home, environment)]))
    """
)


@pytest.mark.skipif(not ROOT, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_has_a_server_in_a_long_path_with_blanks() -> None:
    nobody = pwd.getpwnam("nobody")
    binaries = readable_binaries(find_binaries(os.environ), account_for(os.environ))
    with throw_away_home("own") as home:
        home.mkdir()
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        deep = home / f"a b $HOME {'x' * 200}" / f"c 'd' {'y' * 200}"
        environment = {"OPTSELECT_PG_BIN": str(binaries), "OPTSELECT_PG_FSYNC": "off"}
        command = [sys.executable, "-c", AS_NOBODY, str(deep), str(nobody.pw_gid), str(nobody.pw_uid)]
        done = subprocess.run(
            [*command, json.dumps(environment)], cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["optselect", nobody.pw_uid, True]


@pytest.mark.skipif(not ROOT, reason="only root must run the server as another account")
def test_root_whose_home_is_closed_gets_a_place_that_the_account_can_reach() -> None:
    with throw_away_home("closed") as home:
        home.mkdir(mode=0o700)
        base = embedded.base_folder(home, account_for(os.environ))
        assert base == fallback_base(home)
        assert ensure_running(home, THROW_AWAY) == attach(home)
        assert server_state(home).data_directory == base / "data"
        assert list(home.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="only root must run the server as another account")
def test_an_account_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="there is no account ghost"):
        ensure_running(tmp_path, {**os.environ, "OPTSELECT_PG_USER": "ghost"})


@pytest.mark.skipif(not Path("/usr/lib/postgresql").is_dir(), reason="Debian's PostgreSQL is not installed")
def test_an_installed_postgres_serves_as_well_as_the_wheel() -> None:
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"))
    if not holds_server(newest):
        pytest.skip(f"{newest} holds clients only")
    with throw_away_home() as home:
        url = ensure_running(home, {**THROW_AWAY, "OPTSELECT_PG_BIN": str(newest)})
        assert server_state(home).version is not None
        assert execute(url, "SELECT 1") == [(1,)]
