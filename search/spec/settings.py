"""What do a trial's settings mean to Keras? A class of the study and its arguments become a configuration.

Settings are what a person reads and the tables keep: {"learning_rate": 0.1, "schedule": "cosine"} of Adam, or
{"switch_fraction": 0.4, "momentum": 0.9, "second_learning_rate": 0.01} of SGD_to_Adam.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optselect.search.spec.dimension import Choice, keras_arguments
from optselect.search.spec.study_spec import StudySpec
from optselect.search.spec.switching import EPOCH, FRACTION, SECOND, SwitchSpec, epoch_of, halves
from optselect.trials.terms.configuration import (
    SCHEDULES,
    Configuration,
    OptimizerConfig,
    Schedule,
    Switch,
    configuration_code,
)

SCHEDULE_KEYS = ("schedule", "warmup_fraction", "end_factor")
FOUND_RATE = "second_learning_rate"
"""Among the numbers of a run: what the rule of SWATS found."""
LEAST_EXPONENTIAL_END = 1e-3
"""An exponential decay never reaches 0: where end_factor says 0 it ends here."""


@dataclass(frozen=True)
class Length:
    """How long a training is."""

    epochs: int
    steps_per_epoch: int | None  # None where the problem does not say

    @property
    def steps(self) -> int | None:
        return None if self.steps_per_epoch is None else self.steps_per_epoch * self.epochs

    def after(self, epoch: int) -> "Length":
        """What is left of it."""
        return dataclasses.replace(self, epochs=self.epochs - epoch)


def configuration_of(
    spec: StudySpec, optimizer: str, arguments: Mapping[str, Choice], length: Length
) -> Configuration:
    """Make what the trainer takes of a trial's settings."""
    switch = spec.switch_of(optimizer)
    if switch is None:
        return Configuration(optimizer_of(spec, optimizer, arguments, length))
    epoch = epoch_of(float(arguments[FRACTION] or 0.0), length.epochs)
    first, second = halves(arguments)
    later = Switch(
        epoch,
        optimizer_of(spec, switch.second, second, length.after(epoch)),
        keeps_slots=switch.slots == "keep",
        estimates_rate=switch.rate == "swats",
    )
    return Configuration(optimizer_of(spec, switch.first, first, length), (later,))


def optimizer_of(
    spec: StudySpec, optimizer: str, arguments: Mapping[str, Choice], length: Length
) -> OptimizerConfig:
    """One optimizer; its schedule covers the whole length."""
    own = {name: value for name, value in arguments.items() if name not in SCHEDULE_KEYS}
    if optimizer == "ScheduleFreeAdamW":
        given = {
            name: value for name, value in arguments.items() if name != "schedule" and name != "end_factor"
        }
        return OptimizerConfig(optimizer, keras_arguments(given, length.steps))
    schedule = schedule_of(arguments, length.steps)
    return OptimizerConfig(optimizer, own, schedule, module=spec.module_of(optimizer))


def schedule_of(arguments: Mapping[str, Choice], steps: int | None) -> Schedule | None:
    """The schedule that settings speak of; None for a rate that never changes.

    >>> schedule_of({"schedule": "cosine", "warmup_fraction": 0.1}, 200)
    Schedule(kind='cosine', steps=200, warmup_steps=20, end_factor=0.0)
    >>> schedule_of({"schedule": "constant"}, 200)
    """
    if not any(name in arguments for name in SCHEDULE_KEYS) or steps is None:
        return None
    kind = next(known for known in SCHEDULES if known == arguments.get("schedule", "constant"))
    warmup = min(round(float(arguments.get("warmup_fraction") or 0.0) * steps), steps - 1)
    if kind == "constant" and warmup == 0:
        return None
    end = float(arguments.get("end_factor") or 0.0)
    return Schedule(kind, steps, warmup, max(end, LEAST_EXPONENTIAL_END) if kind == "exponential" else end)


def with_epoch(switch: SwitchSpec | None, arguments: Mapping[str, Choice], epochs: int) -> dict[str, Choice]:
    """The settings as they are kept: of a switch also the epoch."""
    if switch is None:
        return dict(arguments)
    return {**arguments, EPOCH: epoch_of(float(arguments[FRACTION] or 0.0), epochs)}


def settings_code(
    spec: StudySpec, optimizer: str, arguments: Mapping[str, Choice], steps_per_epoch: int | None
) -> str:
    """A trial's settings as code to paste."""
    return configuration_code(
        configuration_of(spec, optimizer, arguments, Length(spec.epochs, steps_per_epoch))
    )


def in_order(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The learning rate first; of a switch the first optimizer's, the epoch, the second one's. jsonb keeps no order.

    >>> list(in_order({"switch_epoch": 4, "momentum": 0.9, "second_learning_rate": 0.1, "learning_rate": 0.2}))
    ['learning_rate', 'momentum', 'switch_epoch', 'second_learning_rate']
    """

    def place(name: str) -> tuple[bool, bool, bool]:
        is_second, is_moment = name.startswith(SECOND), name in (EPOCH, FRACTION)
        return is_second, is_moment, not name.endswith("learning_rate")

    kept = [name for name in arguments if name != FRACTION or EPOCH not in arguments]
    return {name: arguments[name] for name in sorted(kept, key=place)}
