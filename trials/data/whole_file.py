"""How is a file written that others may read at any moment? Aside, then put in place at once."""

import os
import uuid
from pathlib import Path

from optselect.trials.terms.own_files import closed


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file: a reader sees the old content or the new, never a part."""
    aside = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with open(aside, "wb", opener=closed) as stream:
            stream.write(data)
        os.replace(aside, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names none
        raise
    finally:
        aside.unlink(missing_ok=True)
