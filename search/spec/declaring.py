"""What is declared of a setting, and what follows for whoever types, reads or checks its value?

Nothing heavy is imported here and in declarations.py: --help reads both.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from optselect.search.errors import InvalidSetting

Part = Literal["study", "launch", "command"]
"""Whether a setting says what is trained, where and by whom, or what this one call of the command does."""


@dataclass(frozen=True)
class Setting:
    """One setting; its name, type and default are those of its line in the class that declares it."""

    help: str
    default: Any = None
    """What holds where nobody says anything; None: what the problem or the machine says."""
    name: str = ""
    type: Any = None
    """Of its value in Python, None aside; a Literal lists what it may be."""
    part: Part = "study"
    """A file may say those of the study and of the launch; those of the command are only typed."""
    shown: str = ""
    """The default in words, where it is more than the value."""
    flag: str = ""
    """As it is typed, where that is not its name: without --no-... for what is off anyway."""
    is_argument: bool = False
    """Typed bare, without a flag."""
    metavar: str | None = None
    low: float | None = None
    high: float | None = None
    or_zero: bool = False
    """0 is allowed too, below the lowest."""
    is_stored: bool = False
    """The spec of a study says it as it was asked; the others are resolved, or no matter of the study."""
    is_secret: bool = False
    """May hold a password: no error shows it."""
    in_file: Any = None
    """Its type in a file, where TOML says it otherwise than a flag."""
    must: str = ""
    """What holds for that type, for an error."""
    has_tables: bool = False
    """A file says it by tables, which are read by themselves."""

    @property
    def is_key(self) -> bool:
        """Whether a spec file may say it."""
        return self.part != "command"

    @property
    def allowed(self) -> tuple[str, ...]:
        """What its words may be; empty: any."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def shown_default(self) -> str:
        """What holds where nobody says anything, for a person; empty: its help says so, or it is off."""
        is_silent = self.default is None or self.default is False
        return self.shown or ("" if is_silent else str(self.default))

    def demand_allowed(self, value: Any) -> None:
        """Refuse what is out of bounds or no choice; raises InvalidSetting."""
        if value is None:
            return
        if self.allowed:
            demand_one_of(self.name, value, self.allowed)
        elif not (self.or_zero and value == 0) and not self._is_within(value):
            raise InvalidSetting(self.name, f"be {self._bounds}", str(value))

    def _is_within(self, value: Any) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def _bounds(self) -> str:
        number = "a whole number" if self.type is int else "a number"
        most = "on" if self.high is None else f"to {self.high}"
        return f"{'0, or ' if self.or_zero else ''}{number} from {self.low} {most}"


REQUIRED = dataclasses.MISSING
"""In place of a default: somebody must say it."""


def setting(help: str, default: Any = None, **declared: Any) -> Any:
    """The right side of a declaration; what may be declared: the fields of Setting."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **declared)})


def settings_of(declared: type) -> tuple[Setting, ...]:
    """The settings that a class declares, in its order."""
    return tuple(
        dataclasses.replace(
            line.metadata["setting"],
            name=line.name,
            type=without_none(line.type),
            default=None if line.default is REQUIRED else line.default,
        )
        for line in dataclasses.fields(declared)
        if "setting" in line.metadata
    )


def without_none(kind: Any) -> Any:
    """The type of a value that is there.

    >>> without_none(int | None), without_none(str)
    (<class 'int'>, <class 'str'>)
    """
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return Union[tuple(one for one in get_args(kind) if one is not NoneType)]  # noqa: UP007  made of a list


def parted(text: str) -> list[str]:
    """What a text names, comma-separated.

    >>> parted("sgd, adam,")
    ['sgd', 'adam']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def demand_one_of(key: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is none of those; raises InvalidSetting."""
    if value not in known:
        raise InvalidSetting(key, f"be {', '.join(known[:-1])} or {known[-1]}", f'"{value}"')
