"""Where do this user's databases lie? Loads no SQLAlchemy, for a shell that completes a name asks it too."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

MACHINE_FOLDER = Path("/var/lib/optselect")
"""For servers that root starts, where their account cannot reach the home."""


def default_home(environment: Mapping[str, str]) -> Path:
    """Return OPTSELECT_HOME, else the user's data folder."""
    return Path(environment.get("OPTSELECT_HOME") or platformdirs.user_data_path("optselect")).absolute()


def usual_base(home: Path) -> Path:
    """The place of the server of one home, where its account can get there."""
    return home / "pg"


def fallback_base(home: Path) -> Path:
    """A place for the server of one home that any account can reach; each home has its own."""
    return MACHINE_FOLDER / hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16] / "pg"


def port_and_password(base: Path) -> tuple[int, str]:
    """How the server of a place is reached, if it runs; raises OSError, IndexError or ValueError if it does not."""
    port = int(
        (base / "data" / "postmaster.pid").read_text().splitlines()[3]
    )  # the fourth line is the port in use
    return port, (base / "password").read_text()
