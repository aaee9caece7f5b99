"""Under which name does MLflow show a number or a setting whose own name it refuses?

It takes letters, digits, blanks and _ - . : / in keys of at most 250 characters, and nothing that a path would shorten. A name
that it takes stays as it is. Every other one gets a name that it takes, the same in all runs of a study and on every
machine, for it follows from what is stored with the study; tags keep the true one.
"""

import hashlib
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")

LONGEST = 250  # characters of a key, in MLflow's tables
LONGEST_MADE = 200  # leaves room for a mark, and for ORIGINAL before it
LONGEST_TAG = 5000  # characters of its value
ORIGINAL = "optselect.name."
"""What the tags begin with that hold true names: optselect.name.recall_at_5 is recall@5."""


@dataclass(frozen=True)
class ShownNames:
    """What the names of a study's numbers, or of its settings, are in MLflow."""

    table: Mapping[str, str]  # of the names that the study is known to have
    taken: frozenset[str]  # names that stand for something else

    @classmethod
    def among(cls, known: Iterable[str], ours: Iterable[str] = ()) -> "ShownNames":
        """Tell known names apart: those that MLflow takes stay, of the others none gets one that another has.

        Args:
            ours: names that mean something of ours, and nothing of the user's.

        >>> names = ShownNames.among(["recall@5", "recall_at_5", "f1 (macro)"])
        >>> names.shown("f1 (macro)"), names.shown("recall_at_5"), names.shown("recall@5")
        ('f1 macro', 'recall_at_5', 'recall_at_5-801910')
        """
        names, reserved = set(known), frozenset(ours)
        stay = {name for name in names if is_taken(name) and name not in reserved}
        made = {name: readable(name) for name in names - stay}
        uses = Counter(made.values())
        told_apart = {
            name: marked(name)
            if plain in stay | reserved or uses[plain] > 1 or len(name) > LONGEST
            else plain
            for name, plain in made.items()
        }
        return cls({**{name: name for name in stay}, **told_apart}, frozenset(told_apart.values()) | reserved)

    def shown(self, name: str) -> str:
        """The name in MLflow; one that nobody knew of, as a callback may bring it, is told apart in any case.

        >>> ShownNames.among([]).shown("recall@5")
        'recall_at_5-801910'
        """
        if name in self.table:
            return self.table[name]
        return name if is_taken(name) and name not in self.taken else marked(name)

    def shown_all(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The same values under the names that MLflow shows."""
        return {self.shown(name): value for name, value in values.items()}

    def originals(self, names: Iterable[str]) -> dict[str, str]:
        """The tags that keep the true names, of those that have another one.

        >>> ShownNames.among(["recall@5", "loss"]).originals(["recall@5", "loss"])
        {'optselect.name.recall_at_5': 'recall@5'}
        """
        return {
            f"{ORIGINAL}{shown}": name[:LONGEST_TAG] for name in names if (shown := self.shown(name)) != name
        }


def is_taken(name: str) -> bool:
    """Whether MLflow takes a name for a metric, a parameter or a tag.

    >>> is_taken("val_größe: a/b-c.d"), is_taken("recall@5"), is_taken("a//b")
    (True, False, False)
    """
    path = posixpath.normpath(name)
    leads_out = path == "." or path.startswith(("..", "/"))
    return (
        bool(re.fullmatch(r"[/\w.\- :]+", name)) and path == name and not leads_out and len(name) <= LONGEST
    )


def readable(name: str) -> str:
    """A name that MLflow takes, as near to the true one as can be read; other names may have the same.

    >>> readable("Genauigkeit (größe=1)"), readable("../a//b"), readable("@")
    ('Genauigkeit größe_1', 'a/b', 'at')
    """
    plain = re.sub(r"_*[^/\w.\- :]+_*", "_", name.replace("@", "_at_"))
    plain = re.sub(r"(?<= )_|_(?= )", "", plain)
    parts = [part.strip("_ ") for part in plain.split("/")]
    path = "/".join(part for part in parts if part.strip("."))
    return path.lstrip(".")[:LONGEST_MADE].rstrip("/._ ") or "unnamed"


def marked(name: str) -> str:
    """The same with six digits of a hash, by which names that read alike are told apart."""
    return f"{readable(name)}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
