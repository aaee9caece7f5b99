"""Where do this user's databases lie, and who may look there? Loads no SQLAlchemy, for a shell that completes a name
asks it too.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from optselect.storage.errors import InvalidAddress

MACHINE_FOLDER = Path("/var/lib/optselect")
"""For servers that root starts, where their account cannot reach the home."""


def default_home(environment: Mapping[str, str]) -> Path:
    """Return OPTSELECT_HOME, else the user's data folder."""
    return Path(environment.get("OPTSELECT_HOME") or platformdirs.user_data_path("optselect")).absolute()


def open_home(home: Path) -> None:
    """Make the home where it is missing, and close it and what lies in it to other accounts.

    What lies deeper is made as closed as the folder above (own_files.py). Raises InvalidAddress, OSError.
    """
    most = 0o711 if is_root() else 0o700  # the account of a server that root starts must get to its place
    for step in reversed([step for step in (home, *home.parents) if not step.exists()]):
        step.mkdir(mode=most, exist_ok=True)
    if not hasattr(os, "geteuid"):
        return
    demand_ours(home)
    if home.stat().st_uid == os.geteuid():
        tighten(home, most)
    else:  # root's, as a volume of Kubernetes is: it may stay open, what is made in it not
        for name in FOLDERS:
            (home / name).mkdir(mode=0o700, exist_ok=True)
    for path in (home / SERVER_NOTE, *(home / name for name in FOLDERS)):
        if path.exists():
            demand_ours(path)
            tighten(path, 0o700 if path.is_dir() else 0o600)


SERVER_NOTE = "mlflow-server.json"
"""Says where the server of `optselect ui` is."""
FOLDERS = ("artifacts", "bundles", "checkpoints", "files", "launches", "logs", "run", "unsent", "weights")
"""What a home holds beside that and the database's own folder."""


def demand_ours(path: Path) -> None:
    """Refuse what another account has put there, or made a link to; root's is as good as ours."""
    for status in (path.lstat(), path.stat()):
        if status.st_uid not in (0, os.geteuid()):
            raise InvalidAddress(
                f"The home folder must be this account's own, for whoever owns it can read and change all in it. "
                f"Received: {path}, of the account with number {status.st_uid}. Set OPTSELECT_HOME to another folder."
            )


def tighten(path: Path, most: int) -> None:
    """Take rights off; what is closed already stays as it is."""
    status = path.stat()
    if status.st_uid == os.geteuid() and status.st_mode & 0o777 & ~most:
        path.chmod(status.st_mode & 0o7000 | status.st_mode & most)


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def usual_base(home: Path) -> Path:
    """The place of the server of one home, where its account can get there."""
    return home / "pg"


def fallback_base(home: Path) -> Path:
    """A place for the server of one home that any account can reach; each home has its own."""
    return MACHINE_FOLDER / hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16] / "pg"


def port_and_password(base: Path) -> tuple[int, str]:
    """How the server of a place is reached, if it runs; raises OSError, IndexError or ValueError if it does not."""
    note = (base / "data" / "postmaster.pid").read_text().splitlines()
    return int(note[3]), (base / "password").read_text()  # the fourth line is the port in use
