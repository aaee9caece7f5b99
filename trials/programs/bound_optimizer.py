"""How does one optimizer object serve many trials? Its numbers are bound, its slots begin anew each time.

To the user's callbacks it is the optimizer of the one trial: they read plain numbers, and what they assign before the
first batch counts, as in fit, which traces its step only then. The next trial finds nothing of it.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.optimizers.building import innermost, note_in_compile_config
from optselect.trials.programs.hyperparameter import Reading, put, sign_of
from optselect.trials.programs.structure import (
    BUILD_ONLY,
    NoProgram,
    Values,
    bind,
    holder_of,
    is_plain,
    take_apart,
    values_of,
)
from optselect.trials.state.snapshot import variables_in
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig

TRACKING = ("_self_", "_tf_", "_obj_")
"""How the names of attributes begin that TensorFlow keeps for itself, and makes when it needs them."""

MakeOptimizer = Callable[[], Any]
Attributes = dict[str, Any]


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
        own = vars(innermost(optimizer))
        self._build_only = {name: own[name] for name in BUILD_ONLY & own.keys()}
        if not optimizer.built:
            # Now and not in the traced step: there ScheduleFreeAdamW would copy the weights anew at every step.
            with self.reading.on():
                optimizer.build(model.trainable_variables)
        self.slots = list(_slots(optimizer, model))
        self._first_values = [_first_value(slot) for slot in self.slots]
        self._follows_weights = self._first_values_follow_weights(make)
        self._rates = [(one, one._learning_rate) for one in _optimizers_in(optimizer)]
        holders = [*_optimizers_in(optimizer), *(holder_of(optimizer, name)[0] for name in self.defaults)]
        self._holders = list({id(holder): holder for holder in holders}.values())
        self._placed: Attributes = {}  # by name, what show() writes
        self._first: list[tuple[frozenset[str], Attributes]] = []  # of each holder, when it was shown first
        self._shown: list[Attributes] = []

    def serves(self, config: OptimizerConfig) -> bool:
        """Tell whether the signs that Python asked for are those of this configuration."""
        if self._has_other_rate():
            return False  # a callback has put a schedule into it
        if not self.reading.asked:
            return True
        return self._has_the_signs_of(self._values(values_of(config)))

    def put_in_place(self, config: OptimizerConfig, make: MakeOptimizer) -> None:
        """Become the model's optimizer for a trial."""
        self._model.optimizer = self.optimizer
        note_in_compile_config(self._model, self.optimizer)
        self.place(config, make)

    def place(self, config: OptimizerConfig, make: MakeOptimizer) -> None:
        """Begin anew with the numbers of a configuration, on the weights that the model holds now."""
        self.begin(config, make)
        self.show()

    def begin(self, config: OptimizerConfig, make: MakeOptimizer) -> None:
        """Let the variables begin anew; the optimizer goes on to hold other plain numbers, as a check wants it.

        A program that is traced with the right ones in reach might serve no other trial, and nobody would see it.
        """
        given = values_of(config)
        self.taken: dict[str, float] = {}
        built = self._build_arguments(config)
        self._placed = {
            **self._values(given),
            **{self._prefix + name: value for name, value in built.items()},
        }
        for name, variable in self._numbers.items():
            variable.assign(self._placed[name])
        for slot, value in zip(self.slots, self._first_values, strict=True):
            slot.value.assign(value, read_value=False)
        if self._follows_weights or any(built[name] != self._build_only[name] for name in built):
            self._copy_slots(make())
        for name, rate in given.items():
            *path, attribute = name.split(".")
            if attribute == "learning_rate":
                functools.reduce(getattr, path, innermost(self.optimizer)).learning_rate = rate

    def show(self) -> None:
        """Let the optimizer hold the plain numbers that were placed, and nothing that callbacks left in it."""
        if not self._first:
            self._first = [(frozenset(vars(holder)), _plain(vars(holder))) for holder in self._holders]
        for holder, (names, plain) in zip(self._holders, self._first, strict=True):
            for name in vars(holder).keys() - names:
                if not name.startswith(TRACKING):
                    object.__delattr__(holder, name)
            for name, value in plain.items():
                put(holder, name, value)
        for name, value in self._placed.items():
            holder, attribute = holder_of(self.optimizer, name)
            is_count = isinstance(getattr(holder, attribute), int)  # the steps of a schedule
            put(holder, attribute, int(value) if is_count else float(value))
        self._shown = [_plain(vars(holder)) for holder in self._holders]

    def take_up(self) -> None:
        """Let what callbacks have assigned count, before the first batch.

        Raises NoProgram for what is part of the program.
        """
        if self._model.optimizer is not self.optimizer or self._has_other_rate():
            raise NoProgram("a callback puts another optimizer or schedule in place when a training begins")
        changed = dict(self._changed())
        if not changed:
            return
        values = {**self._placed, **changed}
        numbers = {name: values[name] for name in self._numbers}
        others = [name for name, value in changed.items() if not (name in numbers and type(value) is float)]
        if others or not self._has_the_signs_of(numbers):
            names = ", ".join(sorted(others or changed))
            raise NoProgram(f"a callback sets {names} of the optimizer when a training begins")
        self.take({name: numbers[name] for name in changed})

    def take(self, values: Values) -> None:
        """Let these numbers count in place of those that were placed."""
        for name, value in values.items():
            self._numbers[name].assign(value)
        self.taken = dict(values)

    def _changed(self) -> Iterator[tuple[str, Any]]:
        """Yield what is not as it was shown, by the names of values where it is one."""
        names = {}
        for name in self._placed:
            holder, attribute = holder_of(self.optimizer, name)
            names[id(holder), attribute] = name
        for holder, shown in zip(self._holders, self._shown, strict=True):
            for attribute, value in shown.items():
                now = getattr(holder, attribute, None)
                if now is not value and repr(now) != repr(value):
                    yield names.get((id(holder), attribute), attribute), now

    def _has_other_rate(self) -> bool:
        return any(one._learning_rate is not rate for one, rate in self._rates)

    def _has_the_signs_of(self, values: Values) -> bool:
        asked = {self._prefix + name for name in self.reading.asked} & values.keys()
        return all(sign_of(values[name]) == sign_of(self.defaults[name]) for name in asked)

    def _build_arguments(self, config: OptimizerConfig) -> Attributes:
        """Give what a configuration says to build(), by attribute; where it says nothing, Keras's default holds."""
        if config.custom_class is not None:
            return {}
        if config.optimizer == BASELINE:
            return self._build_only
        defaults = inspect.signature(getattr(keras.optimizers, config.optimizer)).parameters
        return {name: config.arguments.get(name, defaults[name].default) for name in self._build_only}

    def _values(self, given: Values) -> dict[str, float]:
        placed = {self._prefix + name: value for name, value in given.items()}
        return {name: placed.get(name, value) for name, value in self.defaults.items()}

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


def _plain(attributes: Mapping[str, Any]) -> Attributes:
    """Those that a user may read as numbers, words or flags; the rest belongs to Keras."""
    return {
        name: value
        for name, value in attributes.items()
        if is_plain(value) and not name.startswith((*TRACKING, "_trainable"))
    }


def _optimizers_in(optimizer: Any) -> Iterator[Any]:
    """An optimizer and those that it holds."""
    yield optimizer
    for held in vars(optimizer).values():
        if isinstance(held, keras.optimizers.Optimizer):
            yield from _optimizers_in(held)
