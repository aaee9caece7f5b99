"""How does a person get to see MLflow? A server on this machine, started on demand over MLflow's own tables."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from optselect.storage.database import Database, without_password, write_pgpass
from optselect.storage.errors import Unreachable
from optselect.storage.initialise import ensure_mlflow
from optselect.storage.tracking import ENVIRONMENT

START_SECONDS = 120.0
HOST = "127.0.0.1"


@dataclass(frozen=True)
class TrackingServer:
    """A server that was seen to answer."""

    address: str
    process: subprocess.Popen[bytes] | None = None  # None: somebody else's


def running_server(database: Database) -> str | None:
    """The address of the MLflow server of this database on this machine, if one answers."""
    try:
        note = json.loads(note_file(database).read_text("utf-8"))
        address, storage = str(note["address"]), note["storage"]
    except (OSError, ValueError, KeyError):
        return None
    return address if storage == database.masked and answers(address) else None


@contextlib.contextmanager
def serving(
    database: Database, port: int, run_folder: Path, cancelled: threading.Event
) -> Iterator[TrackingServer]:
    """An MLflow server over the database's own tables while the block runs; one that runs already is shared.

    Raises:
        Unreachable: it did not come up; the message holds its last line.
    """
    if address := running_server(database):
        yield TrackingServer(address)
        return
    url = ensure_mlflow(database)
    server = start(database, free_port(port), run_folder, without_password(url))
    try:
        await_answer(server, run_folder / "mlflow.log", cancelled)
        note_file(database).write_text(json.dumps({"address": server.address, "storage": database.masked}))
        yield server
    finally:
        stop(server)
        note_file(database).unlink(missing_ok=True)


def start(database: Database, port: int, run_folder: Path, store: str) -> TrackingServer:
    run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    artifacts = database.home / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--serve-artifacts", "--artifacts-destination", str(artifacts)]
    with (run_folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=server_environment(database, run_folder, store, os.environ),
            cwd=run_folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return TrackingServer(f"http://{HOST}:{port}", process)


def server_environment(
    database: Database, run_folder: Path, store: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The address travels without its password, which libpq takes from a 0600 file."""
    child = {**environment, **ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": store}
    child["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = (
        "false"  # on, it starts eight more processes of 1.75 GB in all
    )
    child.pop("OPTSELECT_STORAGE", None)
    child.pop("MLFLOW_TRACKING_URI", None)
    if database.url.password is not None:
        write_pgpass(database.url, run_folder / "pgpass")
        child["PGPASSFILE"] = str((run_folder / "pgpass").absolute())
    return child


def await_answer(server: TrackingServer, log_file: Path, cancelled: threading.Event) -> None:
    assert server.process is not None
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.process.poll() is None:
        if cancelled.wait(0.2) or answers(server.address):
            return
    lines = log_file.read_text(errors="replace").strip().splitlines() or ["(its log is empty)"]
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(log_file.parent))
    raise Unreachable(f"The MLflow server did not come up; its last line: {lines[-1]} ({log_file})")


def stop(server: TrackingServer) -> None:
    assert server.process is not None
    server.process.terminate()
    try:
        server.process.wait(10)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=3) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def free_port(preferred: int) -> int:
    """The preferred port, or any free one where it is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unreachable(f"No port of {HOST} is free for the MLflow server.")


def note_file(database: Database) -> Path:
    return database.home / "mlflow-server.json"
