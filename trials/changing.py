"""Which objects of the user's code can change while a model trains, and how are they read and put back?

Each kind reads what an object holds at this moment, one level deep, and puts such a reading back into the very same
object. What an object refers to is an object of its own (users_state.py goes from one to the next).
"""

import argparse
import collections
import copy
import functools
import itertools
import pickle
import random
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.snapshot import variables_in

PLAIN = (bool, int, float, complex, str, bytes, type(None))
MOST_ITEMS = 100_000
"""A list or dictionary with more of them is data, and is left alone."""
ITERATORS = tuple(type(one) for one in (iter(()), iter([]), iter({}), iter(range(0)), itertools.count()))
"""Of Python's own iterators those that people keep; a copy goes on from the same place."""
OF_KERAS_TRAINING = frozenset({"optimizer", "train_function", "test_function", "predict_function", "history"})
"""Attributes of a model that fit sets."""
KERAS_KEEPS = OF_KERAS_TRAINING | {
    "built",
    "compiled",
    "name",
    "loss",
    "loss_weights",
    "run_eagerly",
    "jit_compile",
    "steps_per_execution",
    "unrolled_steps_per_execution",
    "stop_training",
    "stop_evaluating",
    "stop_predicting",
}
"""Plain attributes of layers and models that are Keras's own affair."""


class Holder(Protocol):
    """One object that can change."""

    def read(self) -> Any:
        """Give what it holds now; a later change of the object does not reach the reading."""

    def write(self, reading: Any) -> None:
        """Let it hold a reading again."""

    def is_at(self, reading: Any) -> bool:
        """Tell whether it holds a reading still."""


def holder_of(value: Any, users: Collection[str]) -> Holder | None:
    """Tell how a value is read and put back; None where it cannot change or nobody knows how.

    Args:
        users: names of the user's modules.
    """
    if isinstance(value, (keras.Variable, tf.Variable)):
        return Value(value)
    if isinstance(value, np.ndarray):
        return Content(value) if value.flags.writeable else None
    if isinstance(value, (dict, list, set, collections.deque, bytearray)):
        return Elements(value) if len(value) <= MOST_ITEMS else None
    if isinstance(value, (random.Random, np.random.Generator, np.random.RandomState)):
        return Numbers(value)
    if isinstance(value, types.CellType):
        return Cell(value)
    if isinstance(value, keras.Layer):
        return LayerAttributes(value)
    if isinstance(value, (types.ModuleType, type)):
        return Names(value) if _is_of(value, users) else None
    return Attributes(value) if has_open_attributes(value, users) else None


def parts_of(value: Any, users: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield what a value refers to, each with the way that leads there from the value."""
    if isinstance(value, (list, tuple, collections.deque)):
        if len(value) <= MOST_ITEMS:
            yield from ((f"[{place}]", item) for place, item in enumerate(value))
    elif isinstance(value, dict):
        if len(value) <= MOST_ITEMS:
            yield from ((f"[{key!r}]", item) for key, item in value.items() if isinstance(key, PLAIN))
    elif isinstance(value, types.FunctionType):
        if value.__module__ in users:
            yield from _parts_of_function(value)
    elif isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, types.MethodType):
        yield from ((".__self__", value.__self__), (".__func__", value.__func__))
    elif isinstance(value, (staticmethod, classmethod)):
        yield ".__func__", value.__func__
    elif isinstance(value, types.CellType):
        yield ".content", _content_of(value)
    elif isinstance(
        value, (keras.Layer, keras.Metric, keras.Optimizer, tf.Module, keras.random.SeedGenerator)
    ):
        yield from _parts_of_keras(value)
    elif isinstance(value, (types.ModuleType, type)):
        if _is_of(value, users):
            yield from ((f".{name}", item) for name, item in _names_of(value).items())
    elif has_open_attributes(value, users):
        yield ".__class__", type(value)
        yield from ((f".{name}", item) for name, item in attributes_of(value).items())


def has_open_attributes(value: Any, users: Collection[str]) -> bool:
    """Tell whether an instance's attributes are the user's affair: of a class of theirs, or a bag of plain values."""
    if isinstance(value, (keras.callbacks.Callback, keras.losses.Loss, keras.utils.PyDataset)):
        return True
    if isinstance(value, (type, types.ModuleType, types.FunctionType, tf.Module, tf.Tensor)):
        return False
    if type(value).__module__ in users or isinstance(value, (types.SimpleNamespace, argparse.Namespace)):
        return True
    held = getattr(value, "__dict__", None)
    simple = (*PLAIN, list, tuple, dict, set, np.ndarray, np.generic)
    return isinstance(held, dict) and bool(held) and all(isinstance(item, simple) for item in held.values())


def _is_of(value: Any, users: Collection[str]) -> bool:
    return (value.__name__ if isinstance(value, types.ModuleType) else value.__module__) in users


def attributes_of(value: Any) -> dict[str, Any]:
    """Give an instance's attributes, those in slots too."""
    slots = [name for one in type(value).__mro__ for name in _slots(one) if hasattr(value, name)]
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


# --- the kinds -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """A variable of Keras or TensorFlow."""

    variable: Any

    def read(self) -> Any:
        return tf.identity(
            self.variable.value if isinstance(self.variable, keras.Variable) else self.variable
        )

    def is_at(self, reading: Any) -> bool:
        return np.asarray(self.read()).tobytes() == np.asarray(reading).tobytes()

    def write(self, reading: Any) -> None:
        self.variable.assign(reading)


@dataclass(frozen=True)
class Content:
    """An array of numpy."""

    array: Any

    def read(self) -> Any:
        return self.array.copy()

    def is_at(self, reading: Any) -> bool:
        return bool(self.array.tobytes() == reading.tobytes())

    def write(self, reading: Any) -> None:
        self.array[...] = reading


@dataclass(frozen=True)
class Elements:
    """A list, a dictionary, a set or another of Python's containers."""

    container: Any

    def read(self) -> Any:
        if isinstance(self.container, dict):
            return {key: kept(item) for key, item in self.container.items()}
        plain = next(
            kind for kind in (list, set, collections.deque, bytearray) if isinstance(self.container, kind)
        )
        return plain(self.container)

    def is_at(self, reading: Any) -> bool:
        return _are_same(self.read(), reading)

    def write(self, reading: Any) -> None:
        if self.is_at(reading):
            return
        self.container.clear()
        if isinstance(self.container, dict):
            self.container.update({key: kept(item) for key, item in reading.items()})
        elif isinstance(self.container, set):
            self.container.update(reading)
        else:
            self.container.extend(reading)


@dataclass(frozen=True)
class Numbers:
    """A generator of random numbers."""

    generator: Any

    def read(self) -> Any:
        if isinstance(self.generator, random.Random):
            return self.generator.getstate()
        if isinstance(self.generator, np.random.RandomState):
            return self.generator.get_state()
        return copy.deepcopy(self.generator.bit_generator.state)

    def is_at(self, reading: Any) -> bool:
        return pickle.dumps(self.read()) == pickle.dumps(reading)

    def write(self, reading: Any) -> None:
        if isinstance(self.generator, random.Random):
            self.generator.setstate(reading)
        elif isinstance(self.generator, np.random.RandomState):
            self.generator.set_state(reading)
        else:
            self.generator.bit_generator.state = reading


@dataclass(frozen=True)
class Cell:
    """What a function and the one around it share: `nonlocal`."""

    cell: Any

    def read(self) -> Any:
        return {"content": _content_of(self.cell)}

    def is_at(self, reading: Any) -> bool:
        return _are_same(self.read(), reading)

    def write(self, reading: Any) -> None:
        if reading["content"] is not _content_of(self.cell):
            self.cell.cell_contents = reading["content"]


@dataclass(frozen=True)
class Attributes:
    """The attributes of an instance."""

    instance: Any

    def read(self) -> Any:
        return {name: kept(item) for name, item in attributes_of(self.instance).items()}

    def is_at(self, reading: Any) -> bool:
        return _are_same(self.read(), reading)

    def write(self, reading: Any) -> None:
        # Past what a class of the user's does when an attribute is set: it was set in this way once already.
        _put_back(attributes_of(self.instance), reading, self._set, self._delete)

    def _set(self, name: str, item: Any) -> None:
        object.__setattr__(self.instance, name, item)

    def _delete(self, name: str) -> None:
        object.__delattr__(self.instance, name)


@dataclass(frozen=True)
class Names:
    """The names of a module, or what a class holds for all its instances."""

    owner: Any

    def read(self) -> Any:
        return {name: kept(item) for name, item in _names_of(self.owner).items()}

    def is_at(self, reading: Any) -> bool:
        return _are_same(self.read(), reading)

    def write(self, reading: Any) -> None:
        _put_back(
            _names_of(self.owner),
            reading,
            lambda name, item: setattr(self.owner, name, item),
            lambda name: delattr(self.owner, name),
        )


@dataclass(frozen=True)
class LayerAttributes:
    """The plain attributes of a layer or model, as far as they were there: a rate of dropout, `trainable`."""

    layer: Any

    def read(self) -> Any:
        plain = {name: item for name, item in vars(self.layer).items() if self._is_users(name, item)}
        return {"trainable": self.layer.trainable, **plain}

    def is_at(self, reading: Any) -> bool:
        return _are_same(self.read(), reading)

    def write(self, reading: Any) -> None:
        now = self.read()
        for name, item in reading.items():
            if name in now and not _is_same(now[name], item):
                setattr(self.layer, name, item)

    def _is_users(self, name: str, item: Any) -> bool:
        return isinstance(item, PLAIN) and not name.startswith("_") and name not in KERAS_KEEPS


def kept(item: Any) -> Any:
    """Give what a reading keeps of an item: an iterator as a copy, for going on with it would use it up."""
    return copy.copy(item) if isinstance(item, ITERATORS) else item


def _are_same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_is_same(item, other[key]) for key, item in one.items())
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other)


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    is_plain = type(one) is type(other) and isinstance(one, PLAIN)
    return is_plain and repr(one) == repr(other)  # NaN is NaN


def _put_back(
    now: Mapping[str, Any],
    reading: Mapping[str, Any],
    put: Callable[[str, Any], None],
    drop: Callable[[str], None],
) -> None:
    for name in [name for name in now if name not in reading]:
        drop(name)
    for name, item in reading.items():
        if name not in now or not _is_same(now[name], item):
            put(name, kept(item))


# --- what refers to what -------------------------------------------------------------------------------


def _parts_of_function(function: Any) -> Iterator[tuple[str, Any]]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    yield from ((f"<{name}>", cell) for name, cell in cells)
    yield from ((f"<default {place}>", item) for place, item in enumerate(function.__defaults__ or ()))
    yield from ((f"<{name}>", item) for name, item in (function.__kwdefaults__ or {}).items())
    yield "<attributes>", vars(function)


def _parts_of_keras(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the variables; of a layer also what a class of the user's has put into it, and the layers within."""
    variables = value.variables if hasattr(value, "variables") else variables_in(vars(value))
    if isinstance(value, keras.Optimizer):
        variables = variables_in(value)
    yield from ((f"<variable {place}>", variable) for place, variable in enumerate(variables))
    if isinstance(value, keras.Layer):
        shown = {name: item for name, item in vars(value).items() if not name.startswith("_")}
        yield from ((f".{name}", item) for name, item in shown.items() if name not in OF_KERAS_TRAINING)
        inner = value._flatten_layers(include_self=False, recursive=False)
        yield from ((f"<layer {place}>", layer) for place, layer in enumerate(inner))


def _names_of(owner: Any) -> dict[str, Any]:
    """What a module or class holds under names of its own, apart from Python's."""
    return {
        name: item
        for name, item in vars(owner).items()
        if not (name.startswith("__") and name.endswith("__"))
    }


def _content_of(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _slots(one: type) -> tuple[str, ...]:
    slots = vars(one).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(name for name in slots if not name.startswith("__"))
