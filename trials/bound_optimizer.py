"""How does one optimizer object serve many trials? Its numbers are bound, its slots begin anew each time."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.configuration import OptimizerConfig
from optselect.trials.hyperparameter import Reading, sign_of
from optselect.trials.optimizers import innermost
from optselect.trials.snapshot import variables_in
from optselect.trials.structure import BUILD_ONLY, Values, bind, take_apart, values_of

MakeOptimizer = Callable[[], Any]


class BoundOptimizer:
    """An optimizer whose numbers are read from variables, built on a model's weights."""

    def __init__(
        self,
        optimizer: Any,
        model: Any,
        make: MakeOptimizer,
        structural: frozenset[str],
        is_scheduled: bool = False,
    ) -> None:
        """Take a fresh optimizer apart and build it; `make` gives further ones of its structure.

        Raises NoProgram for an optimizer that cannot be bound.
        """
        self.optimizer, self._model = optimizer, model
        structure = take_apart(optimizer, structural, is_scheduled=is_scheduled)
        self.defaults = structure.values
        self.reading = Reading()
        self._numbers = bind(optimizer, structure.values, self.reading)
        self._prefix = "inner_optimizer." * (optimizer is not innermost(optimizer))
        self._build_only = {name: getattr(innermost(optimizer), name, None) for name in BUILD_ONLY}
        if not optimizer.built:
            # Now and not in the traced step: there ScheduleFreeAdamW would copy the weights anew at every step.
            optimizer.build(model.trainable_variables)
        self.slots = list(_slots(optimizer, model))
        self._first_values = [_first_value(slot) for slot in self.slots]
        self._follows_weights = self._first_values_follow_weights(make)

    def serves(self, config: OptimizerConfig) -> bool:
        """Tell whether the signs that Python asked for are those of this configuration."""
        if not self.reading.asked:
            return True
        values = self._values(values_of(config))
        asked = {self._prefix + name for name in self.reading.asked} & values.keys()
        return all(sign_of(values[name]) == sign_of(self.defaults[name]) for name in asked)

    def place(self, config: OptimizerConfig, make: MakeOptimizer) -> None:
        """Begin anew with the numbers of a configuration, on the weights that the model holds now."""
        given = values_of(config)
        for name, value in self._values(given).items():
            self._numbers[name].assign(value)
        for slot, value in zip(self.slots, self._first_values, strict=True):
            slot.value.assign(value, read_value=False)
        if self._follows_weights or self._has_other_build(config):
            self._copy_slots(make())
        for name, rate in given.items():
            *path, attribute = name.split(".")
            if attribute == "learning_rate":
                functools.reduce(getattr, path, innermost(self.optimizer)).learning_rate = rate

    def _values(self, given: Values) -> dict[str, float]:
        placed = {self._prefix + name: value for name, value in given.items()}
        return {name: placed.get(name, value) for name, value in self.defaults.items()}

    def _has_other_build(self, config: OptimizerConfig) -> bool:
        return any(
            config.arguments.get(name, value) != value for name, value in self._build_only.items() if value
        )

    def _copy_slots(self, fresh: Any) -> None:
        fresh.build(self._model.trainable_variables)
        for slot, source in zip(self.slots, _slots(fresh, self._model), strict=True):
            slot.assign(source)

    def _first_values_follow_weights(self, make: MakeOptimizer) -> bool:
        """Tell whether an optimizer built on other weights starts with other slots, as ScheduleFreeAdamW does.

        Of a class that is not Keras's also one with other numbers.
        """
        weights = [variable.value for variable in self._model.trainable_variables]
        kept = [tf.identity(weight) for weight in weights]
        for weight in weights:
            weight.assign(weight + tf.ones_like(weight))
        fresh = make()
        fresh.build(self._model.trainable_variables)
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)
        rates = {id(one._learning_rate) for one in _optimizers_in(fresh)}  # placed with each configuration
        others = [None if id(slot) in rates else slot.numpy() for slot in _slots(fresh, self._model)]
        return any(
            other is not None and not np.array_equal(first.numpy(), other)
            for first, other in zip(self._first_values, others, strict=True)
        )


def _first_value(slot: Any) -> Any:
    """Copy what a slot begins with; the zeros of most are the same tensor for all programs of a process."""
    value = slot.value
    if value.numpy().reshape(-1).view(np.uint8).any():
        return tf.identity(value)
    return _zeros(tuple(value.shape), value.dtype)


@functools.lru_cache(maxsize=64)
def _zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    return tf.zeros(shape, dtype)


def _slots(optimizer: Any, model: Any) -> list[Any]:
    """All variables of an optimizer, each once, in an order that follows from its class."""
    found = {id(variable): variable for variable in variables_in(optimizer)}
    known = {id(variable) for variable in model.trainable_variables}
    return [variable for key, variable in found.items() if key not in known]


def _optimizers_in(optimizer: Any) -> Iterator[Any]:
    """An optimizer and those that it holds."""
    yield optimizer
    for held in vars(optimizer).values():
        if isinstance(held, keras.optimizers.Optimizer):
            yield from _optimizers_in(held)
