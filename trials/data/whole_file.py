"""How is a file written that others may read at any moment? Aside, then put in place at once."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from optselect.trials.terms.own_files import closed


@contextmanager
def replacing(file: Path, aside: Path | None = None) -> Iterator[BinaryIO]:
    """Write what replaces a file when the block ends: a reader sees the old content or the new, never a part.

    Args:
        aside: where it is written, by one process at a time; default: under a name of its own.
    """
    aside = aside or file.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with open(aside, "wb", opener=closed) as stream:
            yield stream
        os.replace(aside, file)
    except OSError as error:
        error.filename = error.filename or str(file)  # a full disk names none
        raise
    finally:
        aside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by these bytes."""
    with replacing(path) as stream:
        stream.write(data)
