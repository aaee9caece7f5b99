"""What may a study be called? One rule for --name, spec files, problem files and whoever calls launch().

A name becomes folders and files with more around it (logs, an export aside until it is whole) on systems that differ:
255 bytes are the most that a file name may have, Windows keeps some names for itself and drops a dot at the end, macOS
takes letters apart. Names that an earlier version stored stay as they are, and are found as they were typed.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from optselect.search.errors import InvalidSetting

MOST_LETTERS = 100
MOST_BYTES = 200
"""In UTF-8. What is added to a name where it becomes a file's takes 55 at most."""
MOST_SHOWN = 60
OF_WINDOWS = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)))
)
"""Devices there, whatever stands behind a dot."""
RULE = (
    f"begin with a letter or digit and hold at most {MOST_LETTERS} letters, digits, dots, hyphens and underscores, "
    f"{MOST_BYTES} bytes in UTF-8, without a dot at its end, and be no name of a device of Windows"
)


def study_name(name: str | None, problem: Path) -> str:
    """The study's name: the one given, or the problem file's.

    >>> study_name(None, Path("my net.py"))
    'my-net'
    """
    if name is None:
        return name_of_file(problem.stem)
    whole = unicodedata.normalize("NFC", name)
    if not is_lawful(whole):
        raise InvalidSetting("name", RULE, shown(name))
    return whole


def is_lawful(name: str) -> bool:
    """Whether a new study may be called so.

    >>> is_lawful("größe_1"), is_lawful("日" * 66), is_lawful("日" * 67), is_lawful("nul.1"), is_lawful("a.")
    (True, True, False, False, False)
    """
    return (
        (name[:1].isalnum() or name.startswith("_"))
        and all(map(is_part, name))
        and is_short(name)
        and not name.endswith(".")
        and name.split(".")[0].casefold() not in OF_WINDOWS
    )


def is_part(letter: str) -> bool:
    """Whether a letter may stand in a name: those of all scripts, with the marks that belong to them."""
    return letter.isalnum() or letter in "_.-" or unicodedata.category(letter) in ("Mn", "Mc")


def is_short(name: str) -> bool:
    return len(name) <= MOST_LETTERS and len(name.encode("utf-8", "replace")) <= MOST_BYTES


def name_of_file(stem: str) -> str:
    """The name of a study whose problem file is called so: as much of it as may be.

    >>> name_of_file("my problem (2)"), name_of_file("..."), name_of_file("con"), name_of_file("日" * 80) == "日" * 66
    ('my-problem-2', 'study', 'con-study', True)
    """
    letters = "".join(letter if is_part(letter) else " " for letter in unicodedata.normalize("NFC", stem))
    name = re.sub(" +", "-", letters)
    while name and not (name[0].isalnum() or name[0] == "_"):
        name = name[1:]
    while not is_short(name):
        name = name[:-1]
    name = name.rstrip("-.")
    return name if is_lawful(name) else f"{name.replace('.', '-')}-study".lstrip("-")


def demand_apart(name: str, stored: Iterable[str]) -> None:
    """Refuse a new name that differs from a stored one only in capitals: some systems have one folder for both."""
    for other in stored:
        if other != name and other.casefold() == name.casefold():
            must = (
                f'differ from "{other}", a stored study, by more than capitals, for some systems keep the logs of both '
                "in one folder"
            )
            raise InvalidSetting("name", must, f'"{name}"')


def shown(name: str) -> str:
    """A name that may be anything, in a line: without what a terminal would obey, and cut."""
    return repr(name) if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]!r}... ({len(name)} letters)"
