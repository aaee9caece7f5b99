"""Which part of an optimizer is structure, decided while Python traces, and which part are values?

Structure makes a new program, values only fill one. Everything is read from the optimizer itself: get_config() of
a user's class may leave things out.
"""

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.optimizers.custom import make_custom, parameters_of
from optselect.trials.optimizers.schedules import NUMBERS, build_schedule, numbers_in, shape_of
from optselect.trials.programs.hyperparameter import Hyperparameter, Reading, sign_of
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig, Schedule
from optselect.trials.terms.errors import ConfigurationError

# Numbers that Python itself looks at: repeats, counts, and "is there a factor at all".
STRUCTURAL = frozenset(
    {
        "gradient_accumulation_steps",
        "ema_overwrite_frequency",
        "loss_scale_factor",
        "initial_scale",
        "ns_steps",
        "warmup_steps",
        "learning_rate_power",  # a constant -0.5 becomes a square root when TensorFlow optimizes fit's graph
    }
)
REORDERED = frozenset({"ScheduleFreeAdamW", "Muon"})
"""Classes with which TensorFlow calculates in another order where it knows their numbers, as it does in fit's graph."""
REORDERED_AT_DEFAULTS = frozenset({"Muon"})
"""Those of them with which it does so also where all numbers but the learning rate are the defaults."""
BUILD_ONLY = frozenset({"initial_accumulator_value"})
"""Numbers that only build() reads, for the slots' first values."""
VALUE = "a value"
PLAIN = (bool, int, str, bytes, float, type(None))
Values = Mapping[str, float]


class NoProgram(Exception):
    """No program can stand for this training; the message says why, for the user.

    `step` is the step of the ladder that may serve in its place.
    """

    def __init__(self, reason: str, step: int = 4) -> None:
        super().__init__(reason)
        self.step = step


@dataclass(frozen=True)
class Structure:
    """A fresh optimizer, taken apart."""

    key: tuple[Any, ...]
    values: Values  # by attribute; of a wrapped optimizer as "inner_optimizer.beta_1"


def take_apart(
    optimizer: Any, structural: frozenset[str] = frozenset(), *, is_scheduled: bool = False
) -> Structure:
    """Split an optimizer that is not built into structure and values; `structural` are further attributes by value.

    `is_scheduled`: its schedule is one of build_schedule, whose numbers are values too.

    Raises NoProgram for what is neither: a callable learning rate, numbers of other types.
    """
    key: list[Any] = [type(optimizer)]  # the class itself: two of the user's may share a name
    values: dict[str, float] = {}
    # Whoever wrote a class that is not Keras's may keep numbers under private names.
    custom = is_custom(optimizer)
    for name, value in sorted(vars(optimizer).items()):
        if name == "_learning_rate" and is_scheduled and callable(value):
            key.append((name, shape_of(value)))
            values |= dict(numbers_in(value, name))
            continue
        if custom and isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
            shape, numbers = _schedule_apart(name, value)
            key.append((name, shape))
            values |= numbers
            continue
        if name in ("name", "built") or (name in BUILD_ONLY and not custom) or _is_own_state(name, value):
            continue
        if isinstance(value, keras.optimizers.Optimizer):
            inner = take_apart(value, structural, is_scheduled=is_scheduled)
            key.append((name, inner.key))
            values |= {f"{name}.{inner_name}": number for inner_name, number in inner.values.items()}
        elif is_value(name, value) and name not in structural and (custom or not name.startswith("_")):
            values[name] = float(value)
            key.append((name, VALUE))
        elif is_plain(value):
            key.append((name, repr(value)))
        elif not name.startswith("_") or name == "_learning_rate":
            raise NoProgram(f"{type(optimizer).__name__}.{name} is {_describe(value)}")
    return Structure(tuple(key), values)


def is_custom(optimizer: Any) -> bool:
    """Tell whether an optimizer's class is not one of Keras's."""
    return type(optimizer) is not getattr(keras.optimizers, type(optimizer).__name__, None)


def is_value(name: str, value: object) -> bool:
    """Tell whether an attribute or argument is a number that a program can be given."""
    return isinstance(value, float) and name not in STRUCTURAL


def is_plain(value: object) -> bool:
    """Tell whether a value's repr says all of it."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    return isinstance(value, PLAIN)


def bind(optimizer: Any, values: Values, reading: Reading) -> dict[str, Any]:
    """Let a Hyperparameter stand for each value while it is read; returns the float64 variables behind them by name."""
    variables = {}
    for name, value in values.items():
        holder, attribute = holder_of(optimizer, name)
        variable = tf.Variable(value, dtype=tf.float64, trainable=False)
        reading.add(
            holder, attribute, Hyperparameter(attribute, variable.read_value, sign_of(value), reading)
        )
        variables[name] = variable
    return variables


def holder_of(optimizer: Any, name: str) -> tuple[Any, str]:
    """Give the object that a value's name leads to, the optimizer or one that it holds, and its attribute."""
    *path, attribute = name.split(".")
    return functools.reduce(getattr, path, optimizer), attribute


def outline(config: OptimizerConfig, structural: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """Tell the structure by the arguments alone, which spares making the optimizer.

    That holds for Keras's own classes, whose attributes are their arguments, and for the baseline, which has none.
    One of any other class is made and taken apart.

    >>> outline(OptimizerConfig("Adam", {"learning_rate": 0.1, "beta_1": 0.8, "amsgrad": True, "clipnorm": 1.0}))
    ('Adam', ('amsgrad', 'True'), ('clipnorm', 'a value'))
    """
    if config.custom_class is not None:
        return _custom_outline(config, structural)
    defaults = _float_defaults(config.optimizer)
    parts = [
        (name, VALUE if _is_free(name, value) and name not in structural else repr(value))
        for name, value in config.arguments.items()
        if name not in BUILD_ONLY and name != "name" and (name not in defaults or name in structural)
    ]
    schedule = () if config.schedule is None else (shape_of(schedule_of(config)),)
    return (config.optimizer, *schedule, *sorted(parts))


def values_of(config: OptimizerConfig) -> dict[str, float]:
    """Give the arguments that are values, by the attribute that holds them; also those left at Keras's default."""
    if config.custom_class is not None:
        optimizer = make_custom(config)
        return {**take_apart(optimizer).values, **dict(_rates(optimizer))}
    given = {
        name: float(value)  # type: ignore[arg-type]
        for name, value in config.arguments.items()
        if _is_free(name, value) and name not in BUILD_ONLY
    }
    whole = {**_float_defaults(config.optimizer), **given}
    if config.schedule is None:
        return whole
    del whole["learning_rate"]
    return {**whole, **dict(numbers_in(schedule_of(config), "_learning_rate"))}


def schedule_of(config: OptimizerConfig) -> Any:
    """Make the learning rate of a configuration that has a schedule."""
    assert config.schedule is not None, "asked before"
    highest = config.arguments.get("learning_rate", _float_defaults(config.optimizer)["learning_rate"])
    return build_schedule(config.schedule, float(highest))  # type: ignore[arg-type]


def known_in_fit(config: OptimizerConfig) -> frozenset[str]:
    """Name the numbers that must be part of a program, for its bits to be fit's; the learning rate is a variable there, too.

    >>> sorted(known_in_fit(OptimizerConfig("ScheduleFreeAdamW", {"learning_rate": 0.1, "beta_1": 0.8})))
    ['beta_1', 'beta_2', 'ema_momentum', 'epsilon']
    >>> known_in_fit(OptimizerConfig("ScheduleFreeAdamW", {"learning_rate": 0.1}))
    frozenset()
    """
    has_own_numbers = bool(config.arguments.keys() - {"learning_rate"})
    if config.optimizer not in (REORDERED if has_own_numbers else REORDERED_AT_DEFAULTS):
        return frozenset()
    return frozenset(values_of(config)) - {"learning_rate"}


def known_in_fit_of(optimizer: Any) -> frozenset[str]:
    """Name the same of an optimizer that the user has compiled with."""
    if is_custom(optimizer) or type(optimizer).__name__ not in REORDERED:
        return frozenset()
    return frozenset(name for name, value in vars(optimizer).items() if is_value(name, value))


@functools.cache
def _float_defaults(optimizer: str) -> dict[str, float]:
    if optimizer == BASELINE:
        return {}
    parameters = inspect.signature(getattr(keras.optimizers, optimizer)).parameters
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if is_value(name, parameter.default) and name not in BUILD_ONLY
    }


def with_other_numbers(config: OptimizerConfig, structural: frozenset[str] = frozenset()) -> OptimizerConfig:
    """Halve every argument that is a value: the same structure, other numbers."""
    if config.custom_class is not None:
        return _custom_with_other_numbers(config, structural)
    values = values_of(dataclasses.replace(config, schedule=None))
    halved = {name: value / 2 for name, value in values.items() if name not in structural}
    schedule = None if config.schedule is None else _with_other_steps(config.schedule)
    return OptimizerConfig(config.optimizer, {**config.arguments, **halved}, schedule)


def _with_other_steps(schedule: Schedule) -> Schedule:
    steps, warmup = 2 * schedule.steps + 1, 2 * schedule.warmup_steps
    return dataclasses.replace(schedule, steps=steps, warmup_steps=warmup, end_factor=schedule.end_factor / 2)


# --- classes that are not Keras's ---


def _custom_outline(config: OptimizerConfig, structural: frozenset[str]) -> tuple[Any, ...]:
    return (config.optimizer, *take_apart(make_custom(config), structural).key)


def _schedule_apart(name: str, schedule: Any) -> tuple[Any, dict[str, float]]:
    """Split a schedule that a constructor made; what one does not know of it is structure."""
    if type(schedule) is not getattr(keras.optimizers.schedules, type(schedule).__name__, None):
        try:
            return f"{type(schedule)}{schedule.get_config()!r}", {}
        except NotImplementedError:
            return schedule, {}  # like no other
    known = NUMBERS.get(type(schedule).__name__, ())
    rest = {name: value for name, value in vars(schedule).items() if name not in known}
    numbers = dict(numbers_in(schedule, name)) if known else {}
    return (shape_of(schedule), repr(rest)), numbers


def _rates(optimizer: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Give the learning rate of an optimizer and of each that it holds, as far as they are numbers."""
    if isinstance(optimizer._learning_rate, keras.Variable):
        yield f"{path}learning_rate", float(optimizer._learning_rate.numpy())
    for name, value in vars(optimizer).items():
        if isinstance(value, keras.optimizers.Optimizer):
            yield from _rates(value, f"{path}{name}.")


def _custom_with_other_numbers(config: OptimizerConfig, structural: frozenset[str]) -> OptimizerConfig:
    """Halve what can be halved without another structure: which attribute an argument becomes, nobody knows.

    Raises NoProgram where each value of a number would be another program.
    """
    key, defaults = outline(config, structural), _constructor_floats(config.custom_class)
    arguments = dict(config.arguments)
    for name, value in {**defaults, **config.arguments}.items():
        if not isinstance(value, float):
            continue
        other = dataclasses.replace(config, arguments={**arguments, name: value / 2})
        try:
            outlined = outline(other, structural)
        except (ConfigurationError, NoProgram):
            continue
        if outlined == key:
            arguments[name] = value / 2
        elif _schedule_key(outlined) != _schedule_key(key):
            raise NoProgram(
                f"its constructor makes a schedule from {name}, so each value would be another program"
            )
    schedule = None if config.schedule is None else _with_other_steps(config.schedule)
    return dataclasses.replace(config, arguments=arguments, schedule=schedule)


def _schedule_key(key: tuple[Any, ...]) -> list[Any]:
    return [part for part in key if isinstance(part, tuple) and part[0] == "_learning_rate"]


def _constructor_floats(custom_class: type) -> dict[str, float]:
    parameters = parameters_of(custom_class).items()
    return {name: parameter.default for name, parameter in parameters if isinstance(parameter.default, float)}


def _is_free(name: str, value: object) -> bool:
    """As is_value, for arguments: build_optimizer makes floats of whole numbers."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return is_number and name not in STRUCTURAL


def _is_own_state(name: str, value: object) -> bool:
    """Tell what the optimizer keeps for itself: variables, trackers, the schedule that stays in the program."""
    if name.startswith("_self_") or name in ("_lock", "_trainable_variables", "_trainable_variables_indices"):
        return True
    if isinstance(value, (keras.Variable, keras.optimizers.schedules.LearningRateSchedule)):
        return True
    return isinstance(value, (list, tuple)) and any(isinstance(item, keras.Variable) for item in value)


def _describe(value: object) -> str:
    if callable(value):
        return "a function, which may give another value at each step"
    return f"of type {type(value).__name__}"
