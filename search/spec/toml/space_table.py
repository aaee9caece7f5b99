"""What does a [space.X] table of a study.toml say of an optimizer's arguments, in Keras's values?"""

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optselect.search.errors import InvalidInput
from optselect.search.spec.dimension import Choice, Dimension, keras_arguments, one_minus
from optselect.search.spec.space import Override
from optselect.search.spec.toml.source import Source, checked_optimizer, unknown_key
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
