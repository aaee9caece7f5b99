"""How is a file written that the user has named? Whole or not at all, and where it cannot be, in one line why."""

from pathlib import Path

from optselect.search.errors import InvalidInput
from optselect.storage.server.own_files import replacing


def write_named(file: Path, data: bytes) -> None:
    """Replace a file: whoever opens it sees the old content or the new; raises InvalidInput."""
    try:
        with replacing(file) as stream:
            stream.write(data)
    except OSError as error:
        raise InvalidInput(
            f"{file} must lie in a folder that can be written. Received: {error.strerror}."
        ) from error


def read_named(file: Path) -> bytes:
    """The bytes of a file; raises InvalidInput."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} must be a file that can be read. Received: {error.strerror}.") from error
