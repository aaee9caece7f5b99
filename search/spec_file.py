"""What does a study.toml say? Everything that the flags of launch can say, and ranges of one's own.

    problem = "my_net.py"                    # relative to this file
    optimizers = ["sgd", "adam"]
    trials = 36

    [space.Adam]
    learning_rate = {low = 1e-4, high = 1e-2, log = true}
    beta_1 = {low = 0.5, high = 0.99}        # always log of 1 - x
    epsilon = 1e-8                           # fixed
    amsgrad = [false, true]                  # a choice

Ranges are Keras's own values. Each error names the key, the file and the line.
"""

import difflib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optselect.search.catalogue import CATALOGUE
from optselect.search.dimension import Choice, Dimension
from optselect.search.errors import InvalidInput
from optselect.search.space import Override, find_optimizer
from optselect.search.spec import MOST_EPOCHS, MOST_SEED, MOST_TRIALS, StudySpec, Tune
from optselect.search.toml_lines import line_of
from optselect.trials.configuration import COMMON, RULES, Rule

COMPLEMENTS = ("momentum", "rho", "beta_1", "beta_2", "adam_beta_1", "adam_beta_2")
"""Searched as the logarithm of 1 - x, always."""
DIGITS = 12
"""1 - x is rounded to so many decimals, so that 0.995 becomes 0.005 and comes back as 0.995."""
WARMUP = Rule("a number in [0, 1)", lambda value: isinstance(value, (int, float)) and 0 <= value < 1)


class SpecFile(BaseModel):
    """The keys of the file; what is absent is left to the flags and their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    problem: str | None = None
    name: str | None = None
    optimizers: list[str] | Literal["all"] | None = None
    tune: Tune | None = None
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] | None = None
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] | None = None
    objective: str | None = None
    workers: Annotated[int, Field(ge=0)] | None = None
    storage: str | None = None
    tracking: str | None = None
    detach: bool | None = None
    space: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class ReadSpec:
    """A spec file that was read and found right."""

    file: SpecFile
    space: Mapping[str, Override]  # by the catalogue's spelling of the optimizer


@dataclass(frozen=True)
class Source:
    """The text of a spec file, to say where a mistake stands."""

    path: Path
    text: str

    def wrong(self, key: Sequence[str], must: str, received: str) -> InvalidInput:
        """An error about one key."""
        return InvalidInput(f"{'.'.join(key)} must {must}. Received: {received} ({self.place(key)}).")

    def place(self, key: Sequence[str]) -> str:
        line = line_of(self.text, key)
        return self.path.name if line is None else f"{self.path.name}, line {line}"


# --- reading ------------------------------------------------------------------------------------------


def read_spec(path: Path) -> ReadSpec:
    """Read a spec file; raises InvalidInput with the first mistake."""
    source = Source(path, read_text(path))
    try:
        values = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"--spec must be a TOML file. Received: {error} ({path.name}).") from error
    try:
        file = SpecFile.model_validate(values)
    except ValidationError as error:
        raise first_mistake(error, source) from error
    for name in file.optimizers if isinstance(file.optimizers, list) else ():
        checked_optimizer(name, ("optimizers",), source)
    if file.problem is not None and (path.parent / file.problem).is_file():
        file = file.model_copy(update={"problem": str((path.parent / file.problem).resolve())})
    return ReadSpec(file, read_space(file.space, source))


def read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidInput(
            f"--spec must name a TOML file that can be read. Received: {path}: {reason}."
        ) from error


def first_mistake(error: ValidationError, source: Source) -> InvalidInput:
    """Pydantic's first complaint in our words."""
    found = error.errors()[0]
    key = [str(part) for part in found["loc"] if part not in ("list[str]", "literal['all']")]
    if found["type"] == "extra_forbidden":
        return unknown_key(key, SpecFile.model_fields, source)
    must = f"be {found['msg'].removeprefix('Input should be ').strip()}"
    if key[0] == "optimizers":
        must = 'be a list of names, or "all"'
    return source.wrong(key, must, f"{key[-1]}={found['input']!r}")


def unknown_key(key: Sequence[str], known: Iterable[str], source: Source) -> InvalidInput:
    names = sorted(known)
    near = difflib.get_close_matches(key[-1], names, n=1)
    hint = f' Did you mean "{near[0]}"?' if near else f" Known: {', '.join(names)}."
    return InvalidInput(f"There is no key {'.'.join(key)} ({source.place(key)}).{hint}")


def checked_optimizer(name: str, key: Sequence[str], source: Source) -> str:
    try:
        return find_optimizer(name)
    except InvalidInput as error:
        words = str(error).removeprefix("--optimizers: ")
        raise InvalidInput(f"{'.'.join(key)}: {words} ({source.place(key)})") from error


# --- the space ----------------------------------------------------------------------------------------


def read_space(space: Mapping[str, Mapping[str, Any]], source: Source) -> dict[str, Override]:
    """Turn Keras's values into what is sampled."""
    overrides: dict[str, Override] = {}
    for table, values in space.items():
        key = ("space", table)
        optimizer = checked_optimizer(table, key, source)
        if optimizer in overrides:
            raise source.wrong(key, "stand once for each optimizer", f"a second table of {optimizer}")
        dimensions = tuple(
            read_dimension(optimizer, (*key, name), value, source) for name, value in values.items()
        )
        overrides[optimizer] = Override(dimensions, f"{'.'.join(key)} ({source.place(key)})")
    return overrides


def read_dimension(optimizer: str, key: tuple[str, ...], value: Any, source: Source) -> Dimension:
    """One key of a [space.X] table."""
    rules = {**COMMON, **RULES[optimizer]}
    if optimizer == "ScheduleFreeAdamW":
        rules["warmup_fraction"] = WARMUP
    keyword = key[-1]
    if keyword not in rules:
        raise unknown_key(key, rules, source)
    argument = Argument(keyword, rules[keyword], key, source)
    if isinstance(value, dict):
        return argument.range(value)
    if isinstance(value, list):
        return argument.choice(value)
    return Dimension(keyword=keyword, scale="fixed", choices=(argument.checked(value, key),))


@dataclass(frozen=True)
class Argument:
    """One constructor argument that a spec file speaks of."""

    keyword: str
    rule: Rule
    key: tuple[str, ...]
    source: Source

    @property
    def whole(self) -> bool:
        return "an integer" in self.rule.must

    def checked(self, value: Any, key: tuple[str, ...]) -> Choice:
        """The value as Keras wants it: numbers are floats unless the argument is a count."""
        if not isinstance(value, (bool, int, float, str)) or not self.rule.holds(value):
            raise self.source.wrong(key, f"be {self.rule.must}", f"{key[-1]}={value!r}")
        return (
            float(value)
            if isinstance(value, int) and not isinstance(value, bool) and not self.whole
            else value
        )

    def choice(self, values: Sequence[Any]) -> Dimension:
        if len(values) < 2 or any(values.count(value) > 1 for value in values):
            raise self.source.wrong(self.key, "hold at least two different choices", repr(values))
        return Dimension(
            keyword=self.keyword,
            scale="choice",
            choices=tuple(self.checked(value, self.key) for value in values),
        )

    def range(self, table: Mapping[str, Any]) -> Dimension:
        """A {low, high, log} table."""
        for name in table:
            if name not in ("low", "high", "log"):
                raise unknown_key((*self.key, name), ("low", "high", "log"), self.source)
        low, high = self.end(table, "low"), self.end(table, "high")
        if not low < high:
            raise self.source.wrong((*self.key, "low"), "be less than high", f"low={low:g}, high={high:g}")
        if self.keyword in COMPLEMENTS:
            return self.complement(table, low, high)
        logarithmic = self.logarithmic(table, low)
        if self.whole:
            scale: Literal["integer log", "integer"] = "integer log" if logarithmic else "integer"
            return Dimension(keyword=self.keyword, scale=scale, low=low, high=high)
        return Dimension(keyword=self.keyword, scale="log" if logarithmic else "linear", low=low, high=high)

    def end(self, table: Mapping[str, Any], name: str) -> float:
        key = (*self.key, name)
        if name not in table:
            raise self.source.wrong(self.key, f"have a {name}", ", ".join(table) or "an empty table")
        value = table[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.source.wrong(key, "be a number", f"{name}={value!r}")
        # A log of 0 is the better answer than the argument's own rule.
        if name == "low" and value <= 0 and table.get("log", self.default_log):
            raise self.source.wrong(key, "be greater than 0, for its logarithm is searched", f"low={value:g}")
        self.checked(value, key)
        return float(value)

    def complement(self, table: Mapping[str, Any], low: float, high: float) -> Dimension:
        if "log" in table:
            raise self.source.wrong(
                (*self.key, "log"),
                f"be left out, for {self.keyword} is always searched as log of 1 - x",
                "log",
            )
        return Dimension(
            keyword=self.keyword, scale="complement", low=round(1 - high, DIGITS), high=round(1 - low, DIGITS)
        )

    def logarithmic(self, table: Mapping[str, Any], low: float) -> bool:
        chosen = table.get("log", self.default_log)
        if not isinstance(chosen, bool):
            raise self.source.wrong((*self.key, "log"), "be true or false", f"log={chosen!r}")
        return chosen

    @property
    def default_log(self) -> bool:
        """As the catalogue searches an argument of this name; rates, strengths and epsilons by their logarithm."""
        if self.keyword in COMPLEMENTS:
            return False
        known = {d.keyword: d.scale for entry in CATALOGUE.values() for d in entry.tier_1 + entry.tier_2}
        names = ("rate", "strength", "epsilon", "weight_decay", "clip")
        return known.get(self.keyword) == "log" or any(name in self.keyword for name in names)


# --- writing ------------------------------------------------------------------------------------------


def spec_toml(spec: StudySpec, name: str) -> str:
    """A stored spec as a file that launches the same study; every range is written out, in Keras's values."""
    head = {
        "problem": spec.problem,
        "name": name,
        "optimizers": list(spec.optimizers),
        "tune": spec.tune,
        "trials": spec.trials,
        "epochs": spec.epochs,
        "seed": spec.seed,
        "objective": f"{spec.objective}:{spec.direction.removesuffix('imize')}",
    }
    lines = [f"{key} = {toml_value(value)}" for key, value in head.items()]
    for optimizer, dimensions in spec.space.items():
        lines += ["", f"[space.{optimizer}]"]
        lines += [f"{dimension.keyword} = {toml_dimension(dimension)}" for dimension in dimensions]
    return "\n".join(lines) + "\n"


def toml_dimension(dimension: Dimension) -> str:
    if dimension.scale == "fixed":
        return toml_value(dimension.choices[0])
    if dimension.scale == "choice":
        return toml_value(list(dimension.choices))
    low, high = dimension.keras_bounds()
    ends = f"low = {toml_value(low)}, high = {toml_value(high)}"
    return (
        f"{{{ends}}}"
        if dimension.scale == "complement"
        else f"{{{ends}, log = {toml_value('log' in dimension.scale)}}}"
    )


def toml_value(value: Any) -> str:
    """A TOML value.

    >>> toml_value(["a", 1e-05, True])
    '["a", 1e-05, true]'
    """
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
