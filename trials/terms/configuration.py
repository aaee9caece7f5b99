"""Which optimizer with which arguments, and is that allowed? Imports no Keras, so that listings stay quick."""

import keyword
import math
import numbers
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from optselect.trials.terms.errors import ConfigurationError

ArgumentValue = float | int | bool | str | None

BASELINE = "baseline"  # in place of a class name: the optimizer that the user compiled with

ScheduleKind = Literal["constant", "cosine", "linear", "exponential"]
SCHEDULES: tuple[ScheduleKind, ...] = ("constant", "cosine", "linear", "exponential")


@dataclass(frozen=True)
class Schedule:
    """How a learning rate changes over the steps of a training, or of one phase of it."""

    kind: ScheduleKind
    steps: int  # batches until the last value is reached
    warmup_steps: int = 0  # at first the rate rises from 0, by the same amount each step
    end_factor: float = 0.0  # last rate / highest rate; of a constant one without a meaning


@dataclass(frozen=True)
class OptimizerConfig:
    """One optimizer and what its constructor is given."""

    optimizer: str  # class name, "Adam", or BASELINE
    arguments: Mapping[str, ArgumentValue]  # what is absent stays at the constructor's default
    schedule: Schedule | None = None  # of the argument learning_rate, which is its highest value then
    module: str = field(default="", kw_only=True)  # what a class that is not Keras's is imported from
    custom_class: Any = field(default=None, kw_only=True)  # that class, once it is loaded


@dataclass(frozen=True)
class Switch:
    """A change of the optimizer in mid-training; the weights stay."""

    epoch: int  # the last epoch of the phase before
    optimizer: OptimizerConfig
    keeps_slots: bool = False  # those that both optimizers have by name go on; else all start anew
    estimates_rate: bool = False
    """learning_rate by the rule of SWATS (training/swats.py) in place of the argument."""


@dataclass(frozen=True)
class Configuration:
    """All that a trial may vary."""

    optimizer: OptimizerConfig
    switches: tuple[Switch, ...] = ()

    @property
    def phases(self) -> tuple[OptimizerConfig, ...]:
        """The optimizers in the order in which they train."""
        return (self.optimizer, *(switch.optimizer for switch in self.switches))


def keras_code(config: OptimizerConfig, *, exact: bool = False) -> str:
    """Write the optimizer as code to paste: six digits of a float, or all that it has.

    >>> keras_code(OptimizerConfig("Adam", {"learning_rate": 0.0012, "beta_1": 0.93}))
    'keras.optimizers.Adam(learning_rate=0.0012, beta_1=0.93)'
    >>> keras_code(OptimizerConfig(BASELINE, {}))
    "# the optimizer of the problem file's own compile()"
    >>> print(keras_code(OptimizerConfig("Mine", {"learning_rate": 0.1}, module="my_optimizers")))
    from my_optimizers import Mine
    Mine(learning_rate=0.1)
    """
    if config.optimizer == BASELINE:
        return "# the optimizer of the problem file's own compile()"
    write = repr if exact else literal
    arguments = {name: write(value) for name, value in config.arguments.items()}
    if config.schedule is not None:
        arguments = {"learning_rate": "", **arguments}
        highest = config.arguments.get("learning_rate", KERAS_RATES.get(config.optimizer, 0.001))
        arguments["learning_rate"] = schedule_code(config.schedule, write(highest), write)
    listed = ", ".join(f"{name}={value}" for name, value in arguments.items())
    if config.module:
        return f"{import_code(config.module, config.optimizer)}\n{config.optimizer}({listed})"
    return f"keras.optimizers.{config.optimizer}({listed})"


def import_code(module: str, name: str) -> str:
    """Write the import of a class in one line, also where the file's name is no word of Python.

    >>> import_code("my_optimizers", "Mine")
    'from my_optimizers import Mine'
    >>> import_code("my-optimizers", "Mine")
    "Mine = __import__('importlib').import_module('my-optimizers').Mine"
    """
    parts = module.split(".")
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        return f"from {module} import {name}"
    return f"{name} = __import__('importlib').import_module({module!r}).{name}"


def is_import(line: str) -> bool:
    """Tell the lines that import_code writes."""
    return line.startswith(("from ", "import ")) or " = __import__(" in line


def with_imports(code: str) -> str:
    """Put everything that code needs above it, so that it runs as it is pasted.

    >>> print(with_imports("keras.optimizers.SGD()  # epochs 1 to 4\\nfrom my_optimizers import Mine\\nMine()"))
    import keras
    from my_optimizers import Mine
    keras.optimizers.SGD()  # epochs 1 to 4
    Mine()
    """
    lines = code.splitlines()
    used = "\n".join(line for line in lines if not is_import(line) and not line.startswith("#"))
    known = [line for mark, line in BEFORE_CODE.items() if mark in used]
    imports = dict.fromkeys([*known, *filter(is_import, lines)])
    return "\n".join([*imports, *(line for line in lines if not is_import(line))])


BEFORE_CODE = {
    "keras.": "import keras",
    "WarmedUp(": "from optselect.trials.schedules import WarmedUp",
}
"""What must be imported, by what stands in the code."""


def configuration_code(configuration: Configuration) -> str:
    """Write all optimizers of a configuration as code to paste, a line each.

    >>> print(configuration_code(Configuration(OptimizerConfig("SGD", {}), (Switch(4, OptimizerConfig("Adam", {})),))))
    keras.optimizers.SGD()  # epochs 1 to 4
    keras.optimizers.Adam()  # from epoch 5 on: compile again with it and go on with fit; the weights stay
    """
    if not configuration.switches:
        return keras_code(configuration.optimizer)
    last = configuration.switches[0].epoch
    lines = [f"{keras_code(configuration.optimizer)}  # epochs 1 to {last}"]
    for switch in configuration.switches:
        remark = "compile again with it and go on with fit; the weights stay"
        lines.append(f"{keras_code(switch.optimizer)}  # from epoch {switch.epoch + 1} on: {remark}")
    return "\n".join(lines)


def schedule_code(schedule: Schedule, rate: str, write: Callable[[ArgumentValue], str] | None = None) -> str:
    """Write a schedule as code to paste; WarmedUp is a class of ours (optimizers/schedules.py).

    Args:
        write: how numbers are written; default: literal.

    >>> schedule_code(Schedule("cosine", 100), "0.1")
    'keras.optimizers.schedules.CosineDecay(0.1, 100, alpha=0.0)'
    """
    end, warmup = (write or literal)(schedule.end_factor), schedule.warmup_steps
    rest = schedule.steps - warmup
    if schedule.kind == "cosine" and warmup:
        return (
            f"keras.optimizers.schedules.CosineDecay(0.0, {rest}, alpha={end}, warmup_target={rate}, "
            f"warmup_steps={warmup})"
        )
    decays = {
        "constant": "None",
        "cosine": f"keras.optimizers.schedules.CosineDecay({rate}, {rest}, alpha={end})",
        "linear": f"keras.optimizers.schedules.PolynomialDecay({rate}, {rest}, {rate} * {end})",
        "exponential": f"keras.optimizers.schedules.ExponentialDecay({rate}, {rest}, {end})",
    }
    return f"WarmedUp({rate}, {warmup}, {decays[schedule.kind]})" if warmup else decays[schedule.kind]


def literal(value: ArgumentValue) -> str:
    """Write one argument as Python, six significant digits of a float.

    >>> literal(1 / 3), literal(1.0), literal(1e-7), literal(True), literal(None)
    ('0.333333', '1.0', '1e-07', 'True', 'None')
    """
    if not isinstance(value, float):
        return repr(value)
    text = f"{value:.6g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"  # Keras refuses an int learning rate


def check_arguments(config: OptimizerConfig) -> None:
    """Refuse what Keras would raise on, and what it would accept and then train nonsense with."""
    arguments = config.arguments
    if config.optimizer == BASELINE:
        if config.schedule is not None:
            raise ConfigurationError("The baseline keeps its own learning rate. Received: a schedule.")
        if arguments:
            raise ConfigurationError(
                "The baseline is the optimizer of the problem file and takes no arguments. "
                f"Received: {', '.join(arguments)}."
            )
        return
    if config.custom_class is not None:
        check_custom(config)
        return
    if config.optimizer not in RULES:
        raise ConfigurationError(
            f"Unknown optimizer {config.optimizer!r}. Known: {', '.join(RULES)}, {BASELINE}."
        )
    rules = {**COMMON, **RULES[config.optimizer]}
    for name, value in arguments.items():
        if name not in rules:
            raise ConfigurationError(
                f"{config.optimizer} has no argument {name!r}. Known: {', '.join(sorted(rules))}."
            )
        if not rules[name].holds(value):
            raise ConfigurationError(
                f"{config.optimizer}.{name} must be {rules[name].must}. Received: {name}={value!r}."
            )
    _check_single_clip(config)
    if config.schedule is not None:
        _check_schedule(config.optimizer, config.schedule)


def _check_schedule(optimizer: str, schedule: Schedule) -> None:
    if optimizer == "ScheduleFreeAdamW":
        raise ConfigurationError(
            f"ScheduleFreeAdamW takes no schedule: it averages instead. Received: {schedule.kind}."
        )
    if schedule.kind not in SCHEDULES:
        raise ConfigurationError(
            f"A schedule must be one of {', '.join(SCHEDULES)}. Received: {schedule.kind!r}."
        )
    if not 0 <= schedule.warmup_steps < schedule.steps:
        raise ConfigurationError(
            f"A warm-up must end before the {schedule.steps} steps of the schedule. "
            f"Received: warmup_steps={schedule.warmup_steps}."
        )
    lowest_is_allowed = schedule.end_factor > 0 or (
        schedule.end_factor == 0 and schedule.kind != "exponential"
    )
    if not lowest_is_allowed or schedule.end_factor > 1:
        raise ConfigurationError(
            f"The end_factor of {'an' if schedule.kind == 'exponential' else 'a'} {schedule.kind} schedule must be "
            f"{'in (0, 1]' if schedule.kind == 'exponential' else 'in [0, 1]'}. Received: {schedule.end_factor}."
        )


def check_custom(config: OptimizerConfig) -> None:
    """Hold the names that one knows to what they mean; which names there are, the constructor knows."""
    for name, value in config.arguments.items():
        if not (rule := custom_rule(name)).holds(value):
            raise ConfigurationError(
                f"{config.optimizer}.{name} must be {rule.must}. Received: {name}={value!r}."
            )
    _check_single_clip(config)
    if config.schedule is not None:
        _check_schedule(config.optimizer, config.schedule)


def _check_single_clip(config: OptimizerConfig) -> None:
    given = [name for name in CLIPS if config.arguments.get(name) is not None]
    if len(given) > 1:
        raise ConfigurationError(
            f"{config.optimizer} takes only one of {', '.join(CLIPS)}. Received: {', '.join(given)}."
        )


@dataclass(frozen=True)
class Rule:
    """What one argument must be, in words and as a test."""

    must: str
    holds: Callable[[object], bool]


SMALLEST = 2.0**-126
"""Of what float32 holds as precisely as any other number: XLA and many processors take less for 0."""
LARGEST = (2 - 2.0**-23) * 2.0**127
"""Of the numbers of float32."""


def as_float32(value: float) -> float:
    """Give what becomes of a number in the variables and kernels of a training.

    >>> as_float32(0.5), as_float32(1e-50), as_float32(1e39), as_float32(0.99999999)
    (0.5, 0.0, inf, 1.0)
    """
    try:
        single = float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
    return single if abs(single) >= SMALLEST or math.isnan(single) else 0.0


def fits_float32(value: object) -> bool:
    """Tell whether a float is neither infinite nor a 0 that was none, once it is a float32."""
    single = as_float32(value) if isinstance(value, float) else 0.0
    return math.isfinite(single) and (single != 0.0 or not isinstance(value, float) or value == 0.0)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(must: str, holds: Callable[[float], bool]) -> Rule:
    return Rule(f"a number {must}", lambda value: _is_number(value) and holds(value))  # type: ignore[arg-type]


def _whole(must: str, holds: Callable[[int], bool]) -> Rule:
    return Rule(f"an integer {must}", lambda value: _is_whole(value) and holds(value))  # type: ignore[arg-type]


def _or_none(rule: Rule) -> Rule:
    return Rule(f"None or {rule.must}", lambda value: value is None or rule.holds(value))


POSITIVE = _number("> 0", lambda value: value > 0)
NOT_NEGATIVE = _number(">= 0", lambda value: value >= 0)
# A decay of 1 forgets nothing, or divides by zero.
BELOW_ONE = _number("in [0, 1)", lambda value: 0 <= value < 1)
INSIDE_ONE = _number("in (0, 1)", lambda value: 0 < value < 1)
FLAG = Rule("True or False", lambda value: isinstance(value, bool))
ANY_NUMBER = _number("that is finite", lambda value: True)

KERAS_RATES = {"SGD": 0.01}
"""Learning rates that Keras starts from, where that is not 0.001."""

CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")

COMMON = {
    "learning_rate": POSITIVE,
    "weight_decay": _or_none(NOT_NEGATIVE),
    "clipnorm": _or_none(POSITIVE),
    "clipvalue": _or_none(POSITIVE),
    "global_clipnorm": _or_none(POSITIVE),
    "use_ema": FLAG,
    "ema_momentum": _number("in [0, 1]", lambda value: 0 <= value <= 1),
    "ema_overwrite_frequency": _or_none(_whole(">= 1", lambda value: value >= 1)),
    "loss_scale_factor": _or_none(POSITIVE),
    "gradient_accumulation_steps": _or_none(_whole(">= 2", lambda value: value >= 2)),
    "name": _or_none(Rule("a string", lambda value: isinstance(value, str))),
}

_NADAM = {"beta_1": BELOW_ONE, "beta_2": BELOW_ONE, "epsilon": POSITIVE}
_ADAM = {**_NADAM, "amsgrad": FLAG}

RULES: Mapping[str, Mapping[str, Rule]] = {
    "SGD": {"momentum": BELOW_ONE, "nesterov": FLAG},
    "RMSprop": {"rho": BELOW_ONE, "momentum": BELOW_ONE, "epsilon": POSITIVE, "centered": FLAG},
    "Adam": _ADAM,
    "AdamW": {**_ADAM, "weight_decay": NOT_NEGATIVE},
    "Nadam": _NADAM,
    "Adamax": _NADAM,
    "Adagrad": {"initial_accumulator_value": NOT_NEGATIVE, "epsilon": POSITIVE},
    "Adadelta": {"rho": BELOW_ONE, "epsilon": POSITIVE},
    # With beta_1 = 1 a momentum that starts at zero never moves.
    "Lion": {"beta_1": INSIDE_ONE, "beta_2": BELOW_ONE},
    "Adafactor": {
        "beta_2_decay": _number("< 0", lambda value: value < 0),
        "epsilon_1": POSITIVE,
        "epsilon_2": POSITIVE,
        "clip_threshold": POSITIVE,
        "relative_step": FLAG,
    },
    "Lamb": _NADAM,
    "Ftrl": {
        "learning_rate_power": _number("<= 0", lambda value: value <= 0),
        "initial_accumulator_value": POSITIVE,  # 0 is 0/0 where a gradient is 0
        "l1_regularization_strength": NOT_NEGATIVE,
        "l2_regularization_strength": NOT_NEGATIVE,
        "l2_shrinkage_regularization_strength": NOT_NEGATIVE,
        "beta": NOT_NEGATIVE,
    },
    "Muon": {
        "momentum": BELOW_ONE,
        "nesterov": FLAG,
        "ns_steps": _whole(">= 1", lambda value: value >= 1),
        "rms_rate": _or_none(POSITIVE),
        "adam_beta_1": BELOW_ONE,
        "adam_beta_2": BELOW_ONE,
        "adam_weight_decay": _or_none(NOT_NEGATIVE),
        "adam_lr_ratio": POSITIVE,
        "epsilon": POSITIVE,
        "exclude_layers": _or_none(Rule("a regular expression", lambda value: isinstance(value, str))),
        "exclude_embeddings": FLAG,
        "muon_a": ANY_NUMBER,
        "muon_b": ANY_NUMBER,
        "muon_c": ANY_NUMBER,
    },
    # beta_1 = 0 divides by zero.
    "ScheduleFreeAdamW": {
        "beta_1": INSIDE_ONE,
        "beta_2": BELOW_ONE,
        "epsilon": POSITIVE,
        "warmup_steps": _whole(">= 0", lambda value: value >= 0),
    },
}

KNOWN_NAMES: Mapping[str, Rule] = {
    "momentum": BELOW_ONE,
    "rho": BELOW_ONE,
    "beta_1": BELOW_ONE,
    "beta_2": BELOW_ONE,
    "epsilon": NOT_NEGATIVE,
}
"""What these arguments mean in Keras's optimizers, they mean in anybody's."""
ANYTHING_PLAIN = Rule(
    "a number, a string, True or False",
    lambda value: _is_number(value) or value is None or isinstance(value, (bool, str)),
)


def custom_rule(name: str) -> Rule:
    """Give the rule of an argument of a class that is not Keras's."""
    return {**COMMON, **KNOWN_NAMES}.get(name, ANYTHING_PLAIN)
