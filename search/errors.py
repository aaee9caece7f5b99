"""What a caller of search/ may catch.

SearchError
└── InvalidInput         a flag, a name or a range that cannot be; exit code 2
    └── InvalidSetting   one that knows which setting it is about
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class SearchError(Exception):
    """Base of this folder's errors; the message is one line for the user."""


class InvalidInput(SearchError):
    """Something the user gave cannot be: the message says what must hold, what came and what to do."""


class InvalidSetting(InvalidInput):
    """A setting cannot be as it was given.

    Who raises it knows the setting by its key. Whether a flag said so, or which line of a file, is known to who read
    them: `told_where_said` adds it, and only then are there words.

    >>> str(InvalidSetting("per_gpu", "be 1", "7"))
    '--per-gpu must be 1. Received: 7.'
    >>> str(InvalidSetting("per_gpu", "be 1", "7", place="study.toml, line 2"))
    'per_gpu must be 1. Received: 7 (study.toml, line 2).'
    """

    def __init__(
        self, key: str, must: str, received: str, hint: str = "", *, value: str = "", place: str = ""
    ) -> None:
        super().__init__(key, must, received)
        self.key = key
        self.must = must
        self.received = received
        self.hint = hint
        """What to do, after a blank; empty: nothing is known."""
        self.value = value
        """What was given, where it is told together with the key."""
        self.place = place
        """Which line of which file said so; empty: a flag did."""

    def __str__(self) -> str:
        return f"{self._subject} must {self.must}. Received: {self.received}{self._end}"

    @property
    def _subject(self) -> str:
        name = self.key if self.place else flag_of(self.key)
        return f"{name} {self.value}" if self.value else name

    @property
    def _end(self) -> str:
        if not self.place:
            return f".{self.hint}"
        return f".{self.hint} ({self.place})" if self.hint else f" ({self.place})."


def flag_of(key: str) -> str:
    """How a setting is typed.

    >>> flag_of("per_gpu")
    '--per-gpu'
    """
    return f"--{key.replace('_', '-')}"


@contextmanager
def told_where_said(places: Mapping[str, str]) -> Iterator[None]:
    """Let a mistake within the block name the line of a file that said so, if one did: places are by key."""
    try:
        yield
    except InvalidSetting as mistake:
        mistake.place = mistake.place or places.get(mistake.key, "")
        raise
