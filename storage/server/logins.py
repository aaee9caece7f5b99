"""May others log in to this machine? Then whatever listens on 127.0.0.1 is theirs to reach too."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

FIRST_PERSON = 1000
NO_SHELLS = ("nologin", "false", "true", "sync", "halt", "shutdown", "git-shell")
LOCAL = ("files", "compat", "systemd", "altfiles")
"""Sources of accounts that pwd lists whole; a directory such as LDAP answers for one name at a time."""


def others_may_log_in() -> bool:
    """Whether the machine has, or may have, a person's account beside our own; True where that is unknown."""
    try:
        import pwd
    except ImportError:  # Windows
        return True
    accounts = pwd.getpwall()
    own = os.getuid()
    known = any(account.pw_uid == own for account in accounts) or own == 0
    if not known or asks_a_directory(text_of(Path("/etc/nsswitch.conf"))):
        return True
    first = first_person(text_of(Path("/etc/login.defs")))
    return bool(persons(((one.pw_uid, one.pw_shell) for one in accounts), first) - {own})


def persons(accounts: Iterable[tuple[int, str]], first: int) -> set[int]:
    """Give the numbers of accounts that have a shell and are no service's.

    >>> persons([(0, "/bin/bash"), (33, "/bin/sh"), (1000, "/bin/bash"), (1001, "/usr/sbin/nologin"), (65534, "/bin/sh")], 1000)
    {1000}
    """
    return {
        uid for uid, shell in accounts if uid >= first and uid != 65534 and Path(shell).name not in NO_SHELLS
    }


def first_person(text: str) -> int:
    """Read where the numbers of people begin in /etc/login.defs.

    >>> first_person("# UID_MIN 7\\nUID_MIN\\t\\t  500"), first_person("")
    (500, 1000)
    """
    found = re.search(r"^UID_MIN\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else FIRST_PERSON


def asks_a_directory(text: str) -> bool:
    """Tell by /etc/nsswitch.conf whether accounts come from elsewhere too.

    >>> asks_a_directory("passwd: files systemd\\ngroup: files sss"), asks_a_directory("passwd:  files sss [NOTFOUND=return]")
    (False, True)
    """
    found = re.search(r"^passwd:(.*)", text, re.MULTILINE)
    return found is not None and any(
        word not in LOCAL for word in re.findall(r"[\w]+", re.sub(r"\[.*?\]", "", found[1]))
    )


def text_of(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
