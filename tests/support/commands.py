"""The command as a person or a script runs it: a process of its own, with its exit code and its two streams."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2.errors

from optselect.storage.errors import Unreachable
from optselect.storage.server import embedded
from optselect.storage.server.database import connect
from tests.support.documents import check_document


@dataclass(frozen=True)
class Shell:
    """A folder and an environment in which commands are typed."""

    home: Path
    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        check_document(arguments, done.stdout)
        return done

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command that goes on while the test acts."""
        return subprocess.Popen(
            self.command(arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        """What a reading command answers to --json."""
        return answer(self.run(*arguments, "--json"))

    def command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "optselect", *arguments]

    def training_processes(self, study: str) -> list[psutil.Process]:
        """The living training processes of a study in this home."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "name"])
            if trains(process.info["cmdline"] or [], process.info["name"], study) and self.owns(process)
        ]

    def zygotes(self, study: str) -> list[psutil.Process]:
        """The living processes of which the training processes are forks."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "name"])
            if is_zygote(process.info["cmdline"] or [], study)
            and not trains(process.info["cmdline"], process.info["name"], study)
            and self.owns(process)
        ]

    def owns(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("OPTSELECT_HOME") == str(self.home)
        except psutil.Error:
            return False


def trains(line: list[str], name: str, study: str) -> bool:
    """Tell by command line and name: a fork has its zygote's line."""
    spawned = line[1:6] == ["-P", "-m", "optselect", "worker", study] and "--slot" in line
    return spawned or (is_zygote(line, study) and name.startswith("optselect-"))


def is_zygote(line: list[str], study: str) -> bool:
    return line[1:5] == ["-P", "-m", "optselect.search.cli.zygote", study]


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command that ended well printed as JSON."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shell(home: Path, folder: Path) -> Shell:
    """A shell whose home is `home`; nothing of the caller's own settings gets in."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPTSELECT_", "MLFLOW_"))
    }
    return Shell(home, folder, {**kept, "OPTSELECT_HOME": str(home), "OPTSELECT_PG_FSYNC": "off"})


def ended_trials(here: Shell, study: str) -> int:
    """How many search trials have ended, read without starting a process; 0 while there is no such study."""
    try:
        return int(query(here, ENDED, study)[0][0])
    except (Unreachable, psycopg2.errors.UndefinedTable):
        return 0


ENDED = """
    SELECT count(*) FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE name = %s AND role = 'search' AND t.state = 'done'"""


def holds(here: Shell, statement: str, *values: object) -> bool:
    """Whether a statement counts anything; False while there is no server or no table yet."""
    try:
        return bool(query(here, statement, *values)[0][0])
    except (Unreachable, psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
        return False


def query(here: Shell, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the home's own server, as psql would; raises Unreachable while it does not run."""
    server = embedded.attach(here.home)
    if server is None:
        raise Unreachable("no server runs")
    with (
        contextlib.closing(connect(server.set(database="optselect"))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, values)
        return cursor.fetchall()


def tell(here: Shell, statement: str, *values: object) -> None:
    """Write into the home's own server."""
    server = embedded.attach(here.home)
    assert server is not None
    with (
        contextlib.closing(connect(server.set(database="optselect"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, values or None)


def await_that(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    """Wait until something holds; fails with its name."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.25)  # a question costs the server two processes


def kill_at_once(process: psutil.Process) -> None:
    """kill -9."""
    process.send_signal(signal.SIGKILL)
