"""On which line of a TOML text does a key stand? tomllib does not tell, and an error must."""

import re
import tomllib
from collections import Counter
from collections.abc import Sequence

HEADER = re.compile(r"^\s*\[\[?(?P<key>[^\[\]]+)\]\]?\s*(#.*)?$")
ASSIGNMENT = re.compile(
    r"""^\s*(?P<key>(?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*="""
)


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
