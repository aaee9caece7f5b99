"""How does a person get to see MLflow? A server on this machine, started on demand over MLflow's own tables."""

import contextlib
import errno
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from optselect.storage.errors import InUse, Unreachable
from optselect.storage.schema.initialise import ensure_mlflow
from optselect.storage.server.database import Database, without_password, write_pgpass
from optselect.storage.server.embedded import free_port
from optselect.storage.server.home import SERVER_NOTE
from optselect.storage.server.interpreter import own_python
from optselect.storage.server.logins import others_may_log_in
from optselect.storage.server.own_files import closed, make_folder, write_closed
from optselect.storage.tracking.access import AUTH, ServerNote, new_token, proof
from optselect.storage.tracking.address import ENVIRONMENT
from optselect.storage.tracking.token_app import PROOF, TOKEN_FILE

START_SECONDS = 120.0
HOST = "127.0.0.1"


@dataclass(frozen=True)
class TrackingServer:
    """A server that was seen to answer."""

    note: ServerNote
    process: subprocess.Popen[bytes] | None = None  # None: somebody else's


def running_server(database: Database) -> str | None:
    """The address of the MLflow server of this database on this machine, if one answers."""
    note = running_note(database)
    return None if note is None else note.address


def running_note(database: Database) -> ServerNote | None:
    note = ServerNote.read(database.home)
    return note if note is not None and note.storage == database.masked and is_served(note) else None


@contextlib.contextmanager
def serving(
    database: Database, port: int, run_folder: Path, cancelled: threading.Event, token: bool | None = None
) -> Iterator[TrackingServer]:
    """An MLflow server over the database's own tables while the block runs; one that runs already is shared.

    Args:
        token: whether it answers only who brings its token; None: where others may log in to this machine.

    Raises:
        Unreachable: it did not come up; the message holds its last line.
        InUse: one runs that answers everybody, and a token was asked for.
    """
    if note := running_note(database):
        if token and note.token is None:
            raise InUse(
                f"The server must be started anew to ask for a token. Received: one without, at {note.address}. "
                "End its optselect ui, then repeat."
            )
        yield TrackingServer(note)
        return
    asks = others_may_log_in() if token is None else token
    url = ensure_mlflow(database)
    secret = new_token() if asks else None
    chosen = free_port(port, "the MLflow server")
    note = ServerNote(f"http://{HOST}:{chosen}", database.masked, secret)
    server = start(database, note, run_folder, without_password(url))
    try:
        await_answer(server, run_folder / "mlflow.log", cancelled)
        note.write(database.home)
        yield server
    finally:
        stop(server)
        (database.home / SERVER_NOTE).unlink(missing_ok=True)


def start(database: Database, note: ServerNote, run_folder: Path, store: str) -> TrackingServer:
    make_folder(run_folder)
    artifacts = make_folder(database.home / "artifacts")
    port = note.address.rpartition(":")[2]
    command = own_python("mlflow", "server", "--host", HOST, "--port", port, "--workers", "1")
    command += ["--serve-artifacts", "--artifacts-destination", str(artifacts)]
    environment = server_environment(database, run_folder, store, os.environ)
    if note.token is not None:
        file = run_folder / "token"
        write_closed(file, note.token.encode())
        environment[TOKEN_FILE] = str(file.absolute())
        # Its log of requests would hold the link with the token.
        command += ["--app-name", AUTH, "--uvicorn-opts", "--no-access-log"]
    with open(run_folder / "mlflow.log", "wb", opener=closed) as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=run_folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077 if os.name != "nt" else -1,  # what it writes is this account's alone
        )
    return TrackingServer(note, process)


def server_environment(
    database: Database, run_folder: Path, store: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The address travels without its password, which libpq takes from a 0600 file."""
    child = {**environment, **ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": store}
    # On, it starts eight more processes of 1.75 GB in all.
    child["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    child["PYTHONSAFEPATH"] = "1"  # it starts one more Python, by -m
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
        if cancelled.wait(0.2) or is_served(server.note):
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


def is_served(note: ServerNote) -> bool:
    """Whether the server answers, and is the one of the note: another account may have its port by now."""
    if note.token is None:
        return answer_of(f"{note.address}/health") is not None
    question = new_token()
    return answer_of(f"{note.address}{PROOF}?question={question}") == proof(note.token, question)


def answer_of(address: str) -> str | None:
    """What a server of this machine answers, past any proxy; None where it does not."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=3) as reply:
            return str(reply.read(1000).decode(errors="replace")) if reply.status == 200 else None
    except (urllib.error.URLError, OSError, ValueError):
        return None
