"""Why does the embedded Postgres not come up? Said in one line, with the ways out."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from optselect.storage.errors import StorageError, Unreachable
from optselect.storage.server.binaries import START_SECONDS

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
    import psutil  # 8 ms, which only the start of a server needs

    mounts = ((Path(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True))
    kind = file_system_of(home.resolve(), mounts)
    if kind in REMOTE_FILE_SYSTEMS:
        raise Unreachable(
            f"The home {home} lies on a network file system ({kind}), where a database is not safe:"
            " set OPTSELECT_HOME to a local folder, or give --storage postgresql://…"
        )


def file_system_of(path: Path, mounts: Iterable[tuple[Path, str]]) -> str:
    """Return the type of the file system that holds a path, by where file systems begin and what they are.

    >>> file_system_of(Path("/mnt/share/x"), [(Path("/"), "ext4"), (Path("/mnt/share"), "nfs4")])
    'nfs4'
    """
    best, found = Path("/"), ""
    for point, kind in mounts:
        # Of two on one point the later one counts.
        if path.is_relative_to(point) and point.is_relative_to(best):
            best, found = point, kind
    return found


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
