"""Where in a study.toml does a mistake stand? tomllib tells no lines, and an error must."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optselect.search.errors import InvalidInput, InvalidSetting
from optselect.search.near_names import did_you_mean
from optselect.search.spec.space import find_optimizer

HEADER = re.compile(r"^\s*\[\[?(?P<key>[^\[\]]+)\]\]?\s*(#.*)?$")
ASSIGNMENT = re.compile(
    r"""^\s*(?P<key>(?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*="""
)


@dataclass(frozen=True)
class Source:
    """The text of a spec file, to say where a mistake stands."""

    path: Path
    text: str
    customs: tuple[str, ...] = ()
    """The classes of the user's own that the study tries."""

    def wrong(self, key: Sequence[str], must: str, received: str) -> InvalidSetting:
        """An error about one key."""
        return InvalidSetting(".".join(key), must, received, place=self.place(key))

    def place(self, key: Sequence[str]) -> str:
        line = line_of(self.text, key)
        return self.path.name if line is None else f"{self.path.name}, line {line}"


def unknown_key(key: Sequence[str], known: Iterable[str], source: Source) -> InvalidInput:
    names = sorted(known)
    hint = did_you_mean(key[-1], names) or f" Known: {', '.join(names)}."
    return InvalidInput(f"There is no key {'.'.join(key)} ({source.place(key)}).{hint}")


def checked_optimizer(name: str, key: Sequence[str], source: Source) -> str:
    """The name as the catalogue spells it; raises InvalidInput."""
    try:
        return find_optimizer(name, source.customs)
    except InvalidInput as error:
        raise InvalidInput(f"{'.'.join(key)}: {error} ({source.place(key)})") from error


def line_of(text: str, key: Sequence[str]) -> int | None:
    """The line of the key, else of the table that holds or should hold it; None where there is neither.

    >>> line_of("trials = 3\\n[space.Adam]\\nbeta_1 = {low = 0.5}", ("space", "Adam", "beta_1", "low"))
    3
    >>> line_of("[space.Adam]", ("space", "Adam", "rho"))
    1
    >>> line_of("[[switch]]\\nat = 0.1\\n[[switch]]\\nat = 7", ("switch", "1", "at"))
    4
    """
    best, length = None, 0
    table: tuple[str, ...] = ()
    members: Counter[tuple[str, ...]] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            here = table = parts_of(header["key"])
            if line.lstrip().startswith("[["):
                here = table = (*table, str(members[table]))
                members[table[:-1]] += 1
        elif assignment := ASSIGNMENT.match(line):
            here = (*table, *parts_of(assignment["key"]))
        else:
            continue
        if length < len(here) <= len(key) and here == tuple(key[: len(here)]):
            best, length = number, len(here)
    return best


def parts_of(key: str) -> tuple[str, ...]:
    """A dotted key, read by TOML's own rules.

    >>> parts_of('space . "Adam"')
    ('space', 'Adam')
    """
    try:
        value: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts = []
    while isinstance(value, dict):
        (part,) = value
        parts.append(part)
        value = value[part]
    return tuple(parts)
