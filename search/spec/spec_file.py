"""What does a study.toml say? Everything that the flags of launch can say, and ranges of one's own.

    problem = "my_net.py"                    # relative to this file
    optimizers = ["sgd", "adam"]
    trials = 36

    [space.Adam]
    learning_rate = {low = 1e-4, high = 1e-2, log = true}
    beta_1 = {low = 0.5, high = 0.99}        # always log of 1 - x
    epsilon = 1e-8                           # fixed
    amsgrad = [false, true]                  # a choice
    schedule = ["constant", "cosine"]        # also warmup_fraction, end_factor

    [[switch]]
    from = "SGD"
    to = "Adam"
    at = {low = 0.1, high = 0.9}             # share of the epochs

Ranges are Keras's own values. Each error names the key, the file and the line.
"""

import json
import math
import os
import re
import reprlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from optselect.search.errors import InvalidInput
from optselect.search.names import study_name
from optselect.search.near_names import did_you_mean
from optselect.search.spec.dimension import Choice, Dimension, keras_arguments, one_minus
from optselect.search.spec.objective import Objective
from optselect.search.spec.space import Override, custom_references, find_optimizer
from optselect.search.spec.study_spec import (
    MOST_EPOCHS,
    MOST_MINUTES,
    MOST_SEED,
    MOST_SEEDS_ASKED,
    MOST_TRIALS,
    Budget,
    Goal,
    Jit,
    Precision,
    StudySpec,
    Tune,
)
from optselect.search.spec.switching import EARLIEST, LATEST, SwitchSpec
from optselect.search.spec.toml_lines import line_of
from optselect.trials.terms.configuration import (
    ANYTHING_PLAIN,
    COMMON,
    RULES,
    SCHEDULES,
    OptimizerConfig,
    Rule,
    as_float32,
    check_arguments,
    check_custom,
    custom_rule,
    fits_float32,
)
from optselect.trials.terms.errors import ConfigurationError

COMPLEMENTS = ("momentum", "rho", "beta_1", "beta_2", "adam_beta_1", "adam_beta_2")
"""Searched as the logarithm of 1 - x, always."""
LOGARITHMIC = re.compile(r"learning_rate$|epsilon|weight_decay|_strength$|initial_accumulator_value")
"""Searched by their logarithm unless the file says otherwise, as in the catalogue; all others linearly."""
MOST_WHOLE = 2**53
"""Bounds are stored as floats, which hold no larger whole number exactly; TOML's have no bound here."""
WARMUP = Rule(
    "a number in [0, 1)",
    lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1,
)
SCHEDULE_RULES = {
    "schedule": Rule(f"one of {', '.join(SCHEDULES)}", lambda value: value in SCHEDULES),
    "warmup_fraction": WARMUP,
    "end_factor": Rule(
        "a number in [0, 1]",
        lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1,
    ),
}
"""What a table may say of every optimizer but ScheduleFreeAdamW, which averages instead."""
ADDRESSES = ("storage", "tracking")
"""May hold a password: their values are never shown."""
WORDS = {
    "a valid integer": "a whole number",
    "a valid string": "a string in quotes",
    "a valid boolean": "true or false",
    "a valid dictionary": "a table",
}
"""What pydantic calls by Python's names, in TOML's."""


class SpecFile(BaseModel):
    """The keys of the file; what is absent is left to the flags and their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    problem: str | None = None
    name: str | None = None
    optimizers: Annotated[list[str], Field(min_length=1)] | Literal["all"] | None = None
    tune: (
        Annotated[Tune, BeforeValidator(lambda value: "1" if type(value) is int and value == 1 else value)]
        | None
    ) = None
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] | None = None
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] | None = None
    objective: str | None = None
    goal: Goal | None = None
    budget: Budget | None = None
    minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES)] | None = None
    seeds: Annotated[int, Field(ge=0, le=MOST_SEEDS_ASKED)] | None = None
    jit: Jit | None = None
    precision: Precision | None = None
    system_metrics: bool | None = None
    workers: Annotated[int, Field(ge=0)] | None = None
    storage: str | None = None
    tracking: str | None = None
    checkpoints: str | None = None
    detach: bool | None = None
    schedule: str | list[str] | None = None
    switch: list[dict[str, Any]] = []
    space: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class ReadSpec:
    """A spec file that was read and found right."""

    file: SpecFile
    space: Mapping[str, Override]  # by the catalogue's spelling of the optimizer
    switches: tuple[SwitchSpec, ...] = ()
    objective_place: str = ""  # only the model knows its metrics, and the mistake is in the file still


@dataclass(frozen=True)
class Source:
    """The text of a spec file, to say where a mistake stands."""

    path: Path
    text: str
    customs: tuple[str, ...] = ()
    """The classes of the user's own that the study tries."""

    def wrong(self, key: Sequence[str], must: str, received: str) -> InvalidInput:
        """An error about one key."""
        return InvalidInput(f"{'.'.join(key)} must {must}. Received: {received} ({self.place(key)}).")

    def place(self, key: Sequence[str]) -> str:
        line = line_of(self.text, key)
        return self.path.name if line is None else f"{self.path.name}, line {line}"


# --- reading ------------------------------------------------------------------------------------------


def read_spec(path: Path, optimizers: str | None = None) -> ReadSpec:
    """Read a spec file; raises InvalidInput with the first mistake.

    Args:
        optimizers: what a flag names in place of the file.
    """
    source = Source(path, read_text(path))
    try:
        file = SpecFile.model_validate(read_toml(source))
    except ValidationError as error:
        raise first_mistake(error, source) from error
    names = file.optimizers if isinstance(file.optimizers, list) else []
    for name in names:
        checked_optimizer(name, ("optimizers",), source)
    own = custom_references(optimizers if optimizers is not None else ",".join(names))
    source = Source(path, source.text, tuple(reference.class_name for reference in own))
    if file.name is not None:
        check_name(file.name, source)
    if file.problem is not None:
        file = file.model_copy(update={"problem": problem_beside(file.problem, path.parent)})
    place = source.place(("objective",)) if file.objective is not None else ""
    switches = tuple(read_switch(table, place_of, source) for place_of, table in enumerate(file.switch))
    return ReadSpec(file, read_space(file.space, source), switches, place)


def read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # some editors begin a file with a mark, which TOML refuses
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidInput(
            f"--spec must name a TOML file that can be read. Received: {path}: {reason}."
        ) from error


def read_toml(source: Source) -> dict[str, Any]:
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    except ValueError:  # Python reads no number of more than 4300 digits
        reason = "a number with thousands of digits"
    except RecursionError:
        reason = "brackets nested too deeply"
    raise InvalidInput(f"--spec must be a TOML file. Received: {reason} ({source.path.name}).")


def first_mistake(error: ValidationError, source: Source) -> InvalidInput:
    """Pydantic's first complaint in our words."""
    found = error.errors()[0]
    key = [str(part) for part in found["loc"]]
    received = f"{key[-1]}={reprlib.repr(found['input'])}"
    if found["type"] == "extra_forbidden":
        return unknown_key(key, SpecFile.model_fields, source)
    if key[0] == "optimizers":  # pydantic goes on with the members of its union
        return source.wrong(key[:1], 'be a list of names, or "all"', reprlib.repr(found["input"]))
    if key[0] in ADDRESSES:
        received = f"{key[0]}, but no string"
    must = found["msg"].removeprefix("Input should be ").strip()
    return source.wrong(key, f"be {WORDS.get(must, must)}", received)


def unknown_key(key: Sequence[str], known: Iterable[str], source: Source) -> InvalidInput:
    names = sorted(known)
    hint = did_you_mean(key[-1], names) or f" Known: {', '.join(names)}."
    return InvalidInput(f"There is no key {'.'.join(key)} ({source.place(key)}).{hint}")


def checked_optimizer(name: str, key: Sequence[str], source: Source) -> str:
    try:
        return find_optimizer(name, source.customs)
    except InvalidInput as error:
        raise InvalidInput(f"{'.'.join(key)}: {error} ({source.place(key)})") from error


def check_name(name: str, source: Source) -> None:
    try:
        study_name(name, Path())
    except InvalidInput as error:
        words = str(error).removeprefix("--")
        raise InvalidInput(f"{words} ({source.place(('name',))})") from error


def problem_beside(problem: str, folder: Path) -> str:
    """The problem's path, relative to the spec file's folder; a bare name may be a bundled problem's.

    A path is not looked for anywhere else: a namesake in the current folder would be another problem.
    """
    path = folder / os.path.expanduser(problem)
    if path.is_file():
        return str(path.resolve())
    bare = Path(problem).name == problem and not problem.endswith(".py")
    return problem if bare else os.path.abspath(path)


# --- switches -----------------------------------------------------------------------------------------


def read_switch(table: Mapping[str, Any], place: int, source: Source) -> SwitchSpec:
    """One [[switch]] table: from, to, and perhaps at, full, slots, learning_rate."""
    key = ("switch", str(place))
    known = ("from", "to", "at", "full", "slots", "learning_rate")
    for name in table:
        if name not in known:
            raise unknown_key((*key, name), known, source)
    names = {side: read_side(table, side, key, source) for side in ("from", "to")}
    low, high = read_share(table.get("at", {}), (*key, "at"), source)
    options = {"full": (False, True), "slots": ("new", "keep"), "learning_rate": ("search", "swats")}
    for name, allowed in options.items():
        if table.get(name, allowed[0]) not in allowed or type(table.get(name, allowed[0])) is not type(
            allowed[0]
        ):
            must = f"be {' or '.join(map(toml_value, allowed))}"
            raise source.wrong((*key, name), must, f"{name}={reprlib.repr(table[name])}")
    return SwitchSpec(
        first=names["from"],
        second=names["to"],
        low=low,
        high=high,
        full=table.get("full", False),
        slots=table.get("slots", "new"),
        rate=table.get("learning_rate", "search"),
    )


def read_side(table: Mapping[str, Any], side: str, key: Sequence[str], source: Source) -> str:
    name = table.get(side)
    if not isinstance(name, str):
        raise source.wrong((*key, side), "name an optimizer", f"{side}={reprlib.repr(name)}")
    return checked_optimizer(name, (*key, side), source)


def read_share(at: Any, key: tuple[str, ...], source: Source) -> tuple[float, float]:
    """The share of the epochs before the switch, as {low, high} or one number."""
    if isinstance(at, (int, float)) and not isinstance(at, bool):
        at = {"low": at, "high": at}
    if not isinstance(at, dict) or not at.keys() <= {"low", "high"}:
        raise source.wrong(key, "be a number or {low = ..., high = ...}", f"at={reprlib.repr(at)}")
    low, high = at.get("low", EARLIEST), at.get("high", LATEST)
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not 0 < low <= high < 1:
        raise source.wrong(key, "lie between 0 and 1, low first", f"low={low!r}, high={high!r}")
    return float(low), float(high)


# --- the space ----------------------------------------------------------------------------------------


def read_space(space: Mapping[str, Mapping[str, Any]], source: Source) -> dict[str, Override]:
    """Turn Keras's values into what is sampled."""
    overrides: dict[str, Override] = {}
    for table, values in space.items():
        key = ("space", table)
        optimizer = checked_optimizer(table, key, source)
        if optimizer in overrides:
            raise source.wrong(key, "stand once for each optimizer", f"a second table of {optimizer}")
        dimensions = read_table(optimizer, key, values, source)
        overrides[optimizer] = Override(dimensions, f"{'.'.join(key)} ({source.place(key)})")
    return overrides


def read_table(
    optimizer: str, key: tuple[str, ...], values: Mapping[str, Any], source: Source
) -> tuple[Dimension, ...]:
    """What one table says of one optimizer's arguments."""
    dimensions = tuple(
        read_dimension(optimizer, (*key, name), value, source) for name, value in values.items()
    )
    check_together(optimizer, dimensions, key, source)
    return dimensions


def check_together(
    optimizer: str, dimensions: Sequence[Dimension], key: tuple[str, ...], source: Source
) -> None:
    """Refuse arguments that are right by themselves and exclude each other."""
    first = {
        d.keyword: d.choices[0] if d.choices else d.keras_bounds()[0]
        for d in dimensions
        if d.keyword not in SCHEDULE_RULES or optimizer == "ScheduleFreeAdamW"
    }
    if {"warmup_steps", "warmup_fraction"} <= first.keys():
        raise source.wrong((*key, "warmup_steps"), "stand without warmup_fraction", "both")
    config = OptimizerConfig(optimizer, keras_arguments(first, total_steps=None))
    try:
        check_arguments(config) if optimizer in RULES else check_custom(config)
    except ConfigurationError as error:
        raise InvalidInput(f"{'.'.join(key)}: {error} ({source.place(key)})") from error


def read_dimension(optimizer: str, key: tuple[str, ...], value: Any, source: Source) -> Dimension:
    """One key of a [space.X] table."""
    rules = {**COMMON, **RULES.get(optimizer, {key[-1]: custom_rule_of(key[-1], value)})}
    if optimizer == "ScheduleFreeAdamW":
        rules["warmup_fraction"] = WARMUP
    else:
        rules.update(SCHEDULE_RULES)
    keyword = key[-1]
    if keyword not in rules:
        raise unknown_key(key, rules, source)
    argument = Argument(keyword, rules[keyword], key, source)
    if isinstance(value, dict):
        return argument.range(value)
    if isinstance(value, list):
        return argument.choice(value)
    return Dimension(keyword=keyword, scale="fixed", choices=(argument.checked(value, key),))


def custom_rule_of(keyword: str, value: Any) -> Rule:
    """The rule of an argument of the user's own class: written as whole numbers, it is one."""
    rule = custom_rule(keyword)
    written = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    numbers = [one for one in written if not isinstance(one, bool)]
    whole = rule is ANYTHING_PLAIN and numbers and all(isinstance(one, int) for one in numbers)
    return (
        Rule("an integer", lambda one: isinstance(one, (int, float)) and float(one).is_integer())
        if whole
        else rule
    )


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
        if isinstance(value, int) and abs(value) > MOST_WHOLE:
            raise self.source.wrong(key, "be a whole number up to 2**53", f"{key[-1]}={reprlib.repr(value)}")
        if not isinstance(value, (bool, int, float, str)) or not self.rule.holds(value):
            raise self.source.wrong(key, f"be {self.rule.must}", f"{key[-1]}={value!r}")
        is_float = isinstance(value, int) and not isinstance(value, bool) and not self.whole
        number = float(value) if is_float else value
        if not fits_float32(number):
            must = f"be {self.rule.must} in float32, in which trainings calculate"
            received = f"{key[-1]}={value!r}, which becomes {as_float32(float(number)):g} there"
            raise self.source.wrong(key, must, received)
        return number

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
        logarithmic = self.logarithmic(table)
        low, high = self.end(table, "low", logarithmic), self.end(table, "high", logarithmic)
        if not low < high:
            raise self.source.wrong((*self.key, "low"), "be less than high", f"low={low!r}, high={high!r}")
        if self.keyword in COMPLEMENTS:
            return self.complement(low, high)
        if self.whole:
            scale: Literal["integer log", "integer"] = "integer log" if logarithmic else "integer"
            return Dimension(keyword=self.keyword, scale=scale, low=low, high=high)
        return Dimension(keyword=self.keyword, scale="log" if logarithmic else "linear", low=low, high=high)

    def logarithmic(self, table: Mapping[str, Any]) -> bool:
        """Whether the argument itself is searched by its logarithm; never one of which 1 - x is."""
        if self.keyword in COMPLEMENTS and "log" in table:
            raise self.source.wrong(
                (*self.key, "log"),
                f"be left out, for {self.keyword} is always searched as log of 1 - x",
                f"log={table['log']!r}",
            )
        chosen = table.get("log", LOGARITHMIC.search(self.keyword) is not None)
        if not isinstance(chosen, bool):
            raise self.source.wrong((*self.key, "log"), "be true or false", f"log={chosen!r}")
        return chosen

    def end(self, table: Mapping[str, Any], name: str, logarithmic: bool) -> float:
        key = (*self.key, name)
        if name not in table:
            raise self.source.wrong(self.key, f"have a {name}", ", ".join(table) or "an empty table")
        value = table[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value in (math.inf, -math.inf):
            raise self.source.wrong(key, "be a number", f"{name}={value!r}")
        # A log of 0 is the better answer than the argument's own rule.
        if name == "low" and value <= 0 and logarithmic:
            received = f"low={reprlib.repr(value)}"
            raise self.source.wrong(key, "be greater than 0, for its logarithm is searched", received)
        return float(self.checked(value, key))  # type: ignore[arg-type]

    def complement(self, low: float, high: float) -> Dimension:
        # What 1 - x comes back to: of 1e-20 it is 0, which some rules refuse.
        self.checked(1.0 - one_minus(low), (*self.key, "low"))
        return Dimension(keyword=self.keyword, scale="complement", low=one_minus(high), high=one_minus(low))


# --- writing ------------------------------------------------------------------------------------------


def spec_toml(spec: StudySpec, name: str) -> str:
    """A stored spec as a file that launches the same study; every range is written out, in Keras's values."""
    head = {
        "problem": spec.problem,
        "name": name,
        "optimizers": [spec.custom[name].reference if name in spec.custom else name for name in spec.singles],
        "tune": spec.tune,
        **({"minutes": spec.minutes} if spec.minutes else {"trials": spec.trials}),
        "epochs": spec.epochs,
        "seed": spec.seed,
        "objective": Objective.of(spec).as_typed,
        "goal": spec.goal,
        "seeds": spec.seeds,
        "jit": spec.jit,
        **({} if spec.precision is None else {"precision": spec.precision}),
        **({"system_metrics": True} if spec.system_metrics else {}),
    }
    remarks = {"objective": f"  # {Objective.of(spec).which_is_better}"}
    lines = [f"{key} = {toml_value(value)}{remarks.get(key, '')}" for key, value in head.items()]
    for switch in spec.switches:
        lines += ["", "[[switch]]", *switch_lines(switch)]
    for optimizer, dimensions in spec.space.items():
        if spec.switch_of(optimizer) is not None:  # follows from its two optimizers
            continue
        lines += ["", f"[space.{optimizer}]"]
        lines += [f"{dimension.keyword} = {toml_dimension(dimension)}" for dimension in dimensions]
    return "\n".join(lines) + "\n"


def switch_lines(switch: SwitchSpec) -> Iterator[str]:
    """A switch as the keys of its table."""
    yield f"from = {toml_value(switch.first)}"
    yield f"to = {toml_value(switch.second)}"
    yield f"at = {{low = {toml_value(switch.low)}, high = {toml_value(switch.high)}}}"
    said = {"full": switch.full, "slots": switch.slots, "learning_rate": switch.rate}
    for name, value in said.items():
        if value not in (False, "new", "search"):
            yield f"{name} = {toml_value(value)}"


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
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML refuses a bare DEL
