"""How does a learning rate change while a model trains? A schedule of Keras's own where it has one.

Keras's linear and exponential decays know no warm-up; WarmedUp puts one before any schedule.
"""

from collections.abc import Iterator
from typing import Any

import keras

from optselect.trials.terms.configuration import Schedule

NUMBERS: dict[str, tuple[str, ...]] = {
    "CosineDecay": ("initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps"),
    "PolynomialDecay": ("initial_learning_rate", "decay_steps", "end_learning_rate"),
    "ExponentialDecay": ("initial_learning_rate", "decay_steps", "decay_rate"),
    "WarmedUp": ("warmup_target", "warmup_steps"),
}
"""What a schedule of build_schedule calculates with, by the attribute that holds it."""


@keras.saving.register_keras_serializable(package="optselect")
class WarmedUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A rate that rises from 0 to `warmup_target` in `warmup_steps` steps, and then follows a schedule.

    Args:
        then: a LearningRateSchedule that counts from the end of the warm-up; None: the rate stays.
    """

    def __init__(self, warmup_target: float, warmup_steps: int, then: Any = None) -> None:
        super().__init__()
        self.warmup_target, self.warmup_steps, self.then = warmup_target, warmup_steps, then

    def __call__(self, step: Any) -> Any:
        """Give the rate of a step, counted from 0."""
        target = keras.ops.convert_to_tensor(self.warmup_target)
        steps = keras.ops.cast(self.warmup_steps, target.dtype)
        now = keras.ops.cast(step, target.dtype)
        after = target if self.then is None else self.then(keras.ops.maximum(now - steps, 0.0))
        return keras.ops.where(now < steps, target * now / steps, after)

    def get_config(self) -> dict[str, Any]:
        """Called by Keras when a model is saved."""
        then = None if self.then is None else keras.saving.serialize_keras_object(self.then)
        return {"warmup_target": self.warmup_target, "warmup_steps": self.warmup_steps, "then": then}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmedUp":
        """Called by Keras when a model is loaded."""
        then = config.pop("then")
        return cls(**config, then=None if then is None else keras.saving.deserialize_keras_object(then))


WarmedUp.__module__ = "optselect.trials.schedules"  # saved models and users' scripts keep that name


def build_schedule(schedule: Schedule, learning_rate: float) -> Any:
    """Make what an optimizer takes as its learning rate; `learning_rate` is the highest one."""
    schedules = keras.optimizers.schedules
    end, warmup = schedule.end_factor, schedule.warmup_steps
    rest = max(1, schedule.steps - warmup)
    if schedule.kind == "cosine":
        if not warmup:
            return schedules.CosineDecay(learning_rate, rest, alpha=end)
        return schedules.CosineDecay(0.0, rest, alpha=end, warmup_target=learning_rate, warmup_steps=warmup)
    then: Any = None
    if schedule.kind == "linear":
        then = schedules.PolynomialDecay(learning_rate, rest, learning_rate * end)
    elif schedule.kind == "exponential":
        then = schedules.ExponentialDecay(learning_rate, rest, end)
    if warmup:
        return WarmedUp(learning_rate, warmup, then)
    return learning_rate if then is None else then


def numbers_in(schedule: Any, path: str) -> Iterator[tuple[str, float]]:
    """Yield what a schedule of build_schedule calculates with, by the path of its attribute."""
    for name in NUMBERS[type(schedule).__name__]:
        value = getattr(schedule, name)
        if isinstance(value, (int, float)):
            yield f"{path}.{name}", float(value)
    if isinstance(schedule, WarmedUp) and schedule.then is not None:
        yield from numbers_in(schedule.then, f"{path}.then")


def shape_of(schedule: Any) -> tuple[str, ...]:
    """Tell what a program must know of a schedule: its class, what it warms up to, whether it warms up at all.

    >>> shape_of(build_schedule(Schedule("linear", 100, warmup_steps=5), 0.1))
    ('WarmedUp', 'PolynomialDecay')
    >>> shape_of(build_schedule(Schedule("cosine", 100), 0.1))
    ('CosineDecay', 'at once')
    """
    if isinstance(schedule, WarmedUp):
        return ("WarmedUp", *(() if schedule.then is None else (type(schedule.then).__name__,)))
    at_once = isinstance(schedule, keras.optimizers.schedules.CosineDecay) and schedule.warmup_target is None
    return (type(schedule).__name__, *(("at once",) if at_once else ()))
