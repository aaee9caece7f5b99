"""Where do checkpoints lie that are too large for a table? In a folder that all machines see, or behind an fsspec address.

A file is written aside and renamed, and only then its row: a row never names a file that was not whole. Names hold
the lease's token, so that a holder of the past writes over nothing.

A row names no place. Whoever may write the database could name any: of an address that a row holds, the file's own name
is read, and the folder is always the study's, which this machine has derived. Below it no link leads out, and only files
of names that are given here are removed, then folders that are empty.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optselect.storage.errors import InvalidAddress, InvalidRow
from optselect.storage.server.own_files import closed, make_folder, replacing

log = logging.getLogger(__name__)

CHECKPOINT = re.compile(r"epoch-\d+-[0-9a-f]{12}\.npz")
OURS = re.compile(r"(ticket-\d+/epoch-\d+-[0-9a-f]{12}\.npz|models/ticket-\d+\.keras)(\.[0-9a-f]{32}\.part)?")
"""All that is ever written into a study's folder; the last part is of a writer that was killed."""


def ticket_folder(ticket_id: int) -> str:
    """Where a ticket's checkpoints lie below the study's folder."""
    return f"ticket-{ticket_id}"


def checkpoint_named(address: str, ticket_id: int) -> str:
    """Which file of the ticket's a row means, below the study's folder; raises OSError where it is no name of ours.

    The folders that it names are of no account: a home may have moved since, or a hostile hand may have written them.

    >>> checkpoint_named("/old home/checkpoints/net-3/ticket-7/epoch-2-0123456789ab.npz", 7)
    'ticket-7/epoch-2-0123456789ab.npz'
    """
    name = address.rpartition("/")[2]
    if not CHECKPOINT.fullmatch(name):
        raise OSError(f"{address} is no checkpoint of ticket {ticket_id}")
    return f"{ticket_folder(ticket_id)}/{name}"


def write_file(folder: str, name: str, body: bytes) -> str:
    """Write a file below a study's folder and return its address; raises OSError, as for a full disk."""
    if (local := local_folder(folder)) is None:
        address = f"{folder.rstrip('/')}/{name}"
        with file_errors(address):
            system, path = remote(address)
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, body)  # object stores show an object whole or not at all
        return address
    file = demand_below(local, name)
    make_folder(file.parent)
    with replacing(file, closed, lasting=True) as stream:
        stream.write(body)
    return str(file) if "://" not in folder else f"{folder.rstrip('/')}/{name}"


def read_file(folder: str, name: str) -> bytes:
    """The bytes of a file below a study's folder; raises OSError where they cannot be had."""
    if (local := local_folder(folder)) is not None:
        file = demand_below(local, name)
        if file.is_symlink():
            raise OSError(f"{file} must be a file of its own. Received: a link.")
        return file.read_bytes()
    address = f"{folder.rstrip('/')}/{name}"
    with file_errors(address):
        system, path = remote(address)
        return bytes(system.cat_file(path))


def remove_quietly(folder: str, name: str) -> None:
    """Remove one file below a study's folder; what stays behind costs room only."""
    with said_only(f"{folder}/{name}"):
        if (local := local_folder(folder)) is not None:
            demand_below(local, name).unlink(missing_ok=True)
        else:
            system, path = remote(f"{folder.rstrip('/')}/{name}")
            if system.exists(path):
                system.rm_file(path)


def remove_ours(folder: str, inner: str | None = None) -> None:
    """Remove the files that were written into a study's folder, or into one folder there, and folders left empty.

    What killed writers left there goes, too; whatever else lies there stays. Never raises.
    """
    with said_only(folder):
        if (local := local_folder(folder)) is not None:
            remove_here(local, inner)
        else:
            remove_there(folder.rstrip("/"), inner)


def remove_here(folder: Path, inner: str | None) -> None:
    """The same in a folder of this machine; a link is not followed."""
    if not folder.is_dir():
        return
    parts = sorted(folder.iterdir()) if inner is None else [folder / inner]
    for part in (part for part in parts if part.is_dir() and not part.is_symlink()):
        for file in demand_below(folder, part.name).iterdir():
            if OURS.fullmatch(f"{part.name}/{file.name}"):
                file.unlink(missing_ok=True)
        remove_if_empty(part)
    remove_if_empty(demand_below(folder, ""))


def remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is not, or another process was faster
        folder.rmdir()


def remove_there(folder: str, inner: str | None) -> None:
    """The same behind an address."""
    system, top = remote(folder)
    top = top.rstrip("/")
    if not system.exists(top):
        return
    parts = {top} if inner is None else set()
    for path in system.find(top if inner is None else f"{top}/{inner}"):
        name = str(path).removeprefix(f"{top}/")
        if OURS.fullmatch(name):
            system.rm_file(path)
            parts.add(f"{top}/{name.partition('/')[0]}")
    for part in sorted(parts, reverse=True):
        with contextlib.suppress(Exception):  # it is not empty, or a store knows no folders
            system.rmdir(part)


@contextlib.contextmanager
def said_only(what: str) -> Iterator[None]:
    """Let a removal that fails be a warning."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  each file system of fsspec has errors of its own
        log.warning("a checkpoint could not be removed: %s (%s)", what, error)


def local_folder(folder: str) -> Path | None:
    """The folder of this machine that is meant, also by file://; None: it lies behind an address."""
    if "://" not in folder:
        return Path(folder).absolute()
    system, path = remote(folder)
    from fsspec.implementations.local import LocalFileSystem

    return Path(path) if isinstance(system, LocalFileSystem) else None


def demand_below(folder: Path, name: str) -> Path:
    """What lies below a study's folder under that name; raises OSError where a link would lead out of the folder."""
    place, own = folder / name, folder.parent.resolve() / folder.name
    holder = place if place.is_dir() else place.parent
    if not holder.resolve().is_relative_to(own):
        raise OSError(f"{place} must lie in {own}. Received: a link that leads elsewhere.")
    return place


def demand_root(place: str) -> str:
    """What a study's row says of where its checkpoints go; raises InvalidRow where no launch wrote that."""
    is_one = place.startswith("/") or ("://" in place and "::" not in place)
    if is_one and ".." not in place.split("/"):
        return place
    raise InvalidRow(
        f"The place of a study's checkpoints must be a whole path or one address. Received: {place!r}."
    )


def check_place(place: str) -> str:
    """A folder as its absolute path, an fsspec address as it is; raises InvalidAddress where it cannot be used."""
    if "://" not in place:
        folder = Path(place).expanduser().absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidAddress(
                f"--checkpoints must be a folder that can be written. Received: {place} ({error.strerror})."
            ) from error
        return str(folder)
    if "@" in place.partition("://")[2].partition("/")[0]:
        raise InvalidAddress(
            "--checkpoints must hold no credentials, for it is stored with the study. Received: some. "
            "Give them by the environment variables or files of that storage."
        )
    remote(demand_root(place))
    return place


def remote(address: str) -> tuple[Any, str]:
    """The file system of an fsspec address, and the path there; raises InvalidAddress."""
    try:
        import fsspec  # an extra: most studies never need it
    except ImportError as error:
        raise InvalidAddress(
            "--checkpoints with an address needs fsspec: pip install 'optselect[remote]', and the package of the "
            "address, such as s3fs."
        ) from error
    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise InvalidAddress(
            f"--checkpoints must be a folder or an address that fsspec knows. Received: {address} ({error})."
        ) from error
    return system, str(path)


@contextlib.contextmanager
def file_errors(address: str) -> Iterator[None]:
    """Turn whatever a remote file system raises into OSError, which is what a full or lost disk raises."""
    try:
        yield
    except (OSError, InvalidAddress):
        raise
    except Exception as error:
        raise OSError(f"{address}: {type(error).__name__}: {error}") from error
