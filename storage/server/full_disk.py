"""What does one read when a disk is full? Which one it is, and what to do, whoever noticed it: we, or Postgres."""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from optselect.storage.server.home import default_home

FULL = {
    errno.ENOSPC: ("No space left on {}", "free some"),
    errno.EDQUOT: ("No space left of your quota on {}", "free some"),
    errno.EROFS: ("The file system {} is read-only", "mount it for writing"),
}
"""What the system says of a disk that takes nothing more: our words of it, and the first way out."""

IN_POSTGRES = ("No space left on device", "Disk quota exceeded", "Read-only file system")
DISK_FULL = "53100"
"""Postgres's own code of it."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in what the system refuses about the block: of a full disk it names none itself."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            error.filename = error.filename or str(path)
        raise


def full_disk(error: BaseException, environment: Mapping[str, str]) -> str | None:
    """One line about an error that a full disk has caused; None where none has."""
    home = default_home(environment)
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            return on_this_machine(cause, home)
        if is_of_postgres(cause):
            return of_the_database(cause)
    return None


def causes(error: BaseException) -> list[BaseException]:
    """An error and what caused it, in turn; one that was raised from itself ends the row."""
    row = [error]
    while (cause := row[-1].__cause__) is not None and cause not in row:
        row.append(cause)
    return row


def on_this_machine(error: OSError, home: Path) -> str:
    file = written_file(error) or fullest((home, Path(tempfile.gettempdir()), Path.cwd()))
    words, way_out = FULL[error.errno or errno.ENOSPC]
    if file is None:  # of what was printed one learns no name
        return f"{words.format('the disk')} where the output goes: {way_out}, or send it elsewhere."
    elsewhere = "name a file elsewhere"
    if file.is_relative_to(home):
        elsewhere = "let OPTSELECT_HOME name a folder elsewhere"
    elif file.is_relative_to(tempfile.gettempdir()):
        elsewhere = "let TMPDIR name a folder elsewhere"
    return f"{words.format(mount_of(file))} (writing {file}): {way_out}, or {elsewhere}."


def written_file(error: OSError) -> Path | None:
    name = error.filename2 or error.filename
    return Path(os.fsdecode(name)).absolute() if isinstance(name, str | bytes) else None


def fullest(places: tuple[Path, ...]) -> Path | None:
    """The first of some places whose file system takes nothing more."""
    for place in places:
        with suppress(OSError, AttributeError):  # the latter: no POSIX
            found = os.statvfs(existing(place))
            if found.f_bavail == 0 or found.f_flag & os.ST_RDONLY or (found.f_files and found.f_favail == 0):
                return place
    return None


def mount_of(file: Path) -> Path:
    """Where the file system of a file begins: what `df` names."""
    place = existing(file).resolve()
    while not os.path.ismount(place):
        place = place.parent
    return place


def existing(path: Path) -> Path:
    """A path, else the nearest folder above it that is there."""
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), Path("/"))


# --- Postgres ------------------------------------------------------------------------------------------------------


def is_of_postgres(error: BaseException) -> bool:
    """Whether the server has no space: it says so by its code, or before one can ask it anything."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "pgcode", "")  # of psycopg2's errors alone
    return code == DISK_FULL or (code != "" and any(words in str(original) for words in IN_POSTGRES))


def of_the_database(error: BaseException) -> str:
    said = (str(getattr(error, "orig", None) or error).strip().splitlines() or [""])[0].rstrip(". ")
    return (
        f"The database has no space left on its disk ({said}): free some on its machine, then repeat;"
        " what was stored is safe, and workers wait for ten minutes."
    )
