"""As which account does the embedded Postgres run where we are root, and what may that account do?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from optselect.storage.errors import Unreachable
from optselect.storage.server.home import is_root


@dataclass(frozen=True)
class Account:
    """The account that runs the server where we are root, as which Postgres refuses to run."""

    name: str
    uid: int
    gid: int


def account_for(environment: Mapping[str, str]) -> Account | None:
    """Return the account that must run the server, None where it is our own."""
    if not is_root():
        return None
    import pwd  # POSIX only

    wanted = environment.get("OPTSELECT_PG_USER")
    for name in [wanted] if wanted else ["postgres", "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise Unreachable("OPTSELECT_PG_USER must not be root: PostgreSQL refuses to run as root.")
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise Unreachable(
        f"PostgreSQL refuses to run as root and there is no account {wanted or 'postgres or nobody'}:"
        " set OPTSELECT_PG_USER to an unprivileged account, or give --storage postgresql://…"
    )


def can_enter(folder: Path, account: Account) -> bool:
    """Tell whether an account may pass through a folder and all above it."""
    folder = folder.resolve()
    return all(permitted(step, account, 0o1) for step in [folder, *folder.parents])


def permitted(path: Path, account: Account, bit: int) -> bool:
    """Tell whether an account has a right (4 read, 1 execute or enter) by its uid, its own group or as anyone."""
    status = path.stat()
    shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
    return bool(status.st_mode >> shift & bit)
