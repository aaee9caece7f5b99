"""Throw-away homes: each has an embedded server of its own, which ends with the test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optselect.storage import embedded


@contextmanager
def throw_away_home(name: str = "home with blanks") -> Iterator[Path]:
    """A home whose server, if one was started, is stopped and removed at the end."""
    top = Path(tempfile.mkdtemp(prefix="optselect-"))
    top.chmod(0o755)  # as root: the server's own account must get in
    try:
        yield top / name
    finally:
        embedded.stop(top / name, os.environ)
        shutil.rmtree(top, ignore_errors=True)
        shutil.rmtree(embedded.fallback_base(top / name).parent, ignore_errors=True)
