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
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.state.snapshot import variables_in

PLAIN = (bool, int, float, complex, str, bytes, type(None))
OF_KERAS = (keras.Layer, keras.Metric, keras.Optimizer, tf.Module, keras.random.SeedGenerator)
"""Of these the variables count, whoever wrote the class."""
CONTAINERS = (dict, list, set, collections.deque, bytearray)
MOST_ITEMS = 10_000
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
        return Content(value) if value.flags.writeable and not isinstance(value, np.memmap) else None
    if isinstance(value, CONTAINERS):
        return Elements(value) if len(value) <= MOST_ITEMS and not _is_of_python(value) else None
    if isinstance(value, (random.Random, np.random.Generator, np.random.RandomState)):
        return None if _is_unseeded(value) else Numbers(value)
    if isinstance(value, types.CellType):
        return Cell(value)
    if isinstance(value, keras.Layer):
        return LayerAttributes(value)
    if isinstance(value, (types.ModuleType, type)):
        return Names(value) if _is_of(value, users) else None
    return Attributes(value) if has_open_attributes(value, users) else None


def parts_of(value: Any, users: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield what a value refers to, each with the way that leads there; not what lies in sets or in others' objects."""
    if isinstance(value, (list, tuple, collections.deque)):
        if len(value) <= MOST_ITEMS:
            yield from ((f"[{place}]", item) for place, item in enumerate(value))
    elif isinstance(value, dict):
        if len(value) <= MOST_ITEMS and not _is_of_python(value):
            yield from ((f"[{key!r}]", item) for key, item in value.items() if _is_plain_key(key))
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
    elif isinstance(value, OF_KERAS):
        yield from _parts_of_keras(value)
        if has_open_attributes(value, users):
            yield from ((f".{name}", item) for name, item in attributes_of(value).items())
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
    if isinstance(
        value, (type, types.ModuleType, types.FunctionType, keras.Layer, keras.Optimizer, tf.Tensor)
    ):
        return False
    if type(value).__module__ in users or isinstance(value, (types.SimpleNamespace, argparse.Namespace)):
        return True
    if isinstance(value, tf.Module):
        return False
    held = getattr(value, "__dict__", None)
    return isinstance(held, dict) and bool(held) and all(isinstance(item, ADDED) for item in held.values())


def _is_of_python(value: Any) -> bool:
    """Tell the dictionaries in which Python itself keeps modules and their names."""
    return value is sys.modules or (isinstance(value, dict) and "__builtins__" in value)


def _is_plain_key(key: Any) -> bool:
    return isinstance(key, PLAIN) or (isinstance(key, tuple) and all(map(_is_plain_key, key)))


def _is_unseeded(generator: Any) -> bool:
    """Tell a generator that is another one after each import: numpy then draws 128 bits for it."""
    if not isinstance(generator, np.random.Generator):
        return False
    entropy = getattr(generator.bit_generator.seed_seq, "entropy", 0)
    return isinstance(entropy, int) and entropy >= 2**96


def _is_of(value: Any, users: Collection[str]) -> bool:
    return (value.__name__ if isinstance(value, types.ModuleType) else value.__module__) in users


def attributes_of(value: Any) -> dict[str, Any]:
    """Give an instance's attributes, those in slots too."""
    slots = [name for name in slots_of(type(value)) if hasattr(value, name)]
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


def slots_of(owner: type) -> list[str]:
    """Give the names that a class and its bases keep in slots."""
    return [name for one in owner.__mro__ for name in _slots(one)]


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


class ReadWhole:
    """What is compared by its readings."""

    def read(self) -> Any:
        raise NotImplementedError

    def is_at(self, reading: Any) -> bool:
        return _are_same(self.read(), reading)


@dataclass(frozen=True)
class Elements(ReadWhole):
    """A list, a dictionary, a set or another of Python's containers."""

    container: Any

    def read(self) -> Any:
        if isinstance(self.container, dict):
            return {key: kept(item) for key, item in self.container.items()}
        return self._kind(self.container)

    def write(self, reading: Any) -> None:
        if self.is_at(reading):
            return
        # By Python's own methods: a class may follow what is put in, as Keras's containers of layers do.
        self._kind.clear(self.container)
        if isinstance(self.container, (dict, set)):
            self._kind.update(
                self.container,
                {key: kept(item) for key, item in reading.items()} if isinstance(reading, dict) else reading,
            )
        else:
            self._kind.extend(self.container, reading)

    @property
    def _kind(self) -> Any:
        return next(kind for kind in CONTAINERS if isinstance(self.container, kind))


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
class Cell(ReadWhole):
    """What a function and the one around it share: `nonlocal`."""

    cell: Any

    def read(self) -> Any:
        return {"content": _content_of(self.cell)}

    def write(self, reading: Any) -> None:
        if "content" in reading and reading["content"] is not _content_of(self.cell):
            self.cell.cell_contents = reading["content"]


@dataclass(frozen=True)
class Attributes(ReadWhole):
    """The attributes of an instance."""

    instance: Any

    def read(self) -> Any:
        return {name: kept(item) for name, item in attributes_of(self.instance).items()}

    def write(self, reading: Any) -> None:
        # Past what a class of the user's does when an attribute is set: it was set in this way once already.
        _put_back(attributes_of(self.instance), reading, self._set, self._delete)

    def _set(self, name: str, item: Any) -> None:
        if hasattr(self.instance, "__dict__") and name not in slots_of(type(self.instance)):
            vars(self.instance)[name] = item
        else:
            object.__setattr__(self.instance, name, item)

    def _delete(self, name: str) -> None:
        if name in getattr(self.instance, "__dict__", {}):
            del vars(self.instance)[name]
        else:
            object.__delattr__(self.instance, name)


@dataclass(frozen=True)
class Names(ReadWhole):
    """The names of a module, or what a class holds for all its instances."""

    owner: Any

    def read(self) -> Any:
        return {name: kept(item) for name, item in _names_of(self.owner).items()}

    def write(self, reading: Any) -> None:
        _put_back(
            _names_of(self.owner),
            reading,
            lambda name, item: setattr(self.owner, name, item),
            lambda name: delattr(self.owner, name),
        )


@dataclass(frozen=True)
class LayerAttributes:
    """What a layer or model holds under public names, a rate of dropout, a best loss, and what of it is trained."""

    layer: Any

    def read(self) -> Any:
        public = {name: item for name, item in vars(self.layer).items() if self._is_users(name)}
        return {**public, TRAINED: (self.layer._trainable, *self._flags())}

    def is_at(self, reading: Any) -> bool:
        return _are_same({**self.read(), TRAINED: None}, {**reading, TRAINED: None}) and (
            self.read()[TRAINED] == reading[TRAINED]
        )

    def write(self, reading: Any) -> None:
        now = self.read()
        for name in [name for name in now if name not in reading and isinstance(now[name], ADDED)]:
            delattr(self.layer, name)
        for name, item in reading.items():
            if name != TRAINED and not (name in now and _is_same(now[name], item)):
                setattr(self.layer, name, item)
        if (trained := reading.get(TRAINED, now[TRAINED])) != now[TRAINED]:
            self._set_trained(*trained)

    def _is_users(self, name: str) -> bool:
        return not name.startswith("_") and name not in KERAS_KEEPS

    def _flags(self) -> list[bool]:
        return [variable.trainable for variable in self.layer._trainable_variables]

    def _set_trained(self, is_trainable: bool, *flags: bool) -> None:
        # Not by `trainable`, which sets that of all layers within, too: each of them has a holder of its own.
        object.__setattr__(self.layer, "_trainable", is_trainable)
        for variable, flag in zip(self.layer._trainable_variables, flags, strict=False):
            variable.trainable = flag


TRAINED = "what is trained"
"""The key of a layer's own flag and of those of its variables."""
ADDED = (*PLAIN, list, tuple, dict, set, np.ndarray, np.generic)
"""What a callback adds to a model, and a new trial takes away again; all else under a new name is Keras's."""


def kept(item: Any) -> Any:
    """Give what a reading keeps of an item: an iterator as a copy, for going on with it would use it up."""
    if isinstance(item, itertools.cycle):
        return copy.deepcopy(item)
    return copy.copy(item) if isinstance(item, ITERATORS) else item


def _are_same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(_is_same(item, other[key]) for key, item in one.items())
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
        # Names with an underscore are Keras's, but for variables, of which Keras keeps none under a name of its own.
        users = {
            name: item
            for name, item in vars(value).items()
            if not name.startswith("_") or isinstance(item, (keras.Variable, tf.Variable))
        }
        yield from ((f".{name}", item) for name, item in users.items() if name not in OF_KERAS_TRAINING)
        inner = value._flatten_layers(include_self=False, recursive=False)
        yield from ((f"<layer {place}>", layer) for place, layer in enumerate(inner))


def _names_of(owner: Any) -> dict[str, Any]:
    """What a module or class holds under names of its own, apart from Python's and from the modules within."""
    within = getattr(owner, "__name__", "")
    return {
        name: item
        for name, item in vars(owner).items()
        if not (name.startswith("__") and name.endswith("__"))
        if not (isinstance(item, types.ModuleType) and sys.modules.get(f"{within}.{name}") is item)
    }


def _content_of(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _slots(one: type) -> Iterator[str]:
    """Yield the slots of a class alone, private ones under the names that Python gives them."""
    slots = vars(one).get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if name.startswith("__") and not name.endswith("__"):
            yield f"_{one.__name__.lstrip('_')}{name}"
        elif name not in ("__dict__", "__weakref__"):
            yield name
