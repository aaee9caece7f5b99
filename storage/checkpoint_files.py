"""Where do checkpoints lie that are too large for a table? In a folder that all machines see, or behind an fsspec address.

A file is written aside and renamed, and only then its row: a row never names a file that was not whole. Names hold
the lease's token, so that a holder of the past writes over nothing.
"""

import contextlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from optselect.storage.errors import InvalidAddress
from optselect.storage.full_disk import writing

log = logging.getLogger(__name__)


def write_file(folder: str, name: str, body: bytes) -> str:
    """Write one checkpoint and return its address; raises OSError, as for a full disk."""
    if "://" in folder:
        address = f"{folder.rstrip('/')}/{name}"
        with file_errors(address):
            system, path = remote(address)
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, body)  # object stores show an object whole or not at all
        return address
    file = Path(folder).absolute() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    try:
        with writing(file), aside.open("wb") as stream:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())  # or a power cut after the rename leaves an empty file
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    return str(file)


def read_file(address: str) -> bytes:
    """The bytes of a checkpoint; raises OSError where they cannot be had."""
    if "://" not in address:
        return Path(address).read_bytes()
    with file_errors(address):
        system, path = remote(address)
        return bytes(system.cat_file(path))


def remove_folders(addresses: Iterable[str]) -> None:
    """Remove the folders that hold these files, and whatever killed writers left there; never raises."""
    for folder in sorted({address.rpartition("/")[0] for address in addresses}):
        remove_quietly(folder, whole_folder=True)


def remove_quietly(address: str, *, whole_folder: bool = False) -> None:
    """Remove one file, or a folder with all it holds; what stays behind costs room only."""
    try:
        if "://" in address:
            system, path = remote(address)
            if system.exists(path):
                system.rm(path, recursive=whole_folder)
        elif whole_folder:
            shutil.rmtree(address, ignore_errors=True)
        else:
            Path(address).unlink(missing_ok=True)
    except Exception as error:  # noqa: BLE001  each file system of fsspec has errors of its own
        log.warning("a checkpoint could not be removed: %s (%s)", address, error)


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
    remote(place)
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
