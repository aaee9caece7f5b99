"""What does the user's code remember from one training to the next? Nothing: here it begins anew with each.

The callbacks, the modules of the problem, what data() gave and the model's own attributes are one graph of objects: a
callback and a loss share a variable, two callbacks share a list. Copies would cut these ties, and a loss would never
see what a callback changes. So nothing is copied: what each object holds is noted once and put back before each
training, as if the problem had just been imported. What cannot be noted, an open file or a writer, is left alone.
"""

import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.callbacks import not_remembered
from optselect.trials.changing import Content, Holder, holder_of, parts_of
from optselect.trials.snapshot import state_variables
from optselect.trials.user_code import is_users

MOST_BYTES = 8 * 2**20
"""Of the arrays that are noted, the smaller ones first: larger ones are the data."""
Tree = dict[str, Any]
"""A value as a snapshot holds it: {"value": 1.5}, {"array": ...}, {"list": [...]}, {"dict": [[key, value], ...]}."""
Memory = Mapping[str, Tree]
"""By the way that leads to an object: what it holds."""


def callback_name(place: int) -> str:
    """Give the name of a callback by its place in fit."""
    return f"callbacks[{place}]"


@dataclass(frozen=True)
class UsersCode:
    """Where everything begins that a training may change besides its model."""

    module: ModuleType
    path: Path  # of the problem file
    callbacks: tuple[Any, ...]
    splits: tuple[Any, ...]  # of the data

    def state(self, model: Any = None) -> "UsersState":
        """Note what all of it holds now; with a model also what its layers do."""
        modules = self._modules()
        roots: list[tuple[str, Any]] = [
            (callback_name(place), one) for place, one in enumerate(self.callbacks)
        ]
        roots += [(f"data[{place}]", one) for place, one in enumerate(self.splits)]
        roots += [(f"module {module.__name__}", module) for module in modules]
        if model is not None:
            roots.append(("model", model))
        but = () if model is None else state_variables(model)
        return UsersState.of(roots, {module.__name__ for module in modules}, but)

    def _modules(self) -> list[ModuleType]:
        """The problem file and the modules of its folder that are loaded now."""
        folder = self.path.parent
        beside = [
            module
            for module in list(sys.modules.values())
            if (file := getattr(module, "__file__", None)) and str(file).startswith(str(folder))
            if is_users(Path(file).resolve(), folder) and not module.__name__.startswith("optselect")
        ]
        return [self.module, *sorted(beside, key=lambda module: module.__name__)]


@dataclass(frozen=True)
class Held:
    """One object that can change, with what it held."""

    name: str  # the way that leads to it, the same in every process that loads the problem
    what: Any
    holder: Holder
    reading: Any


@dataclass(frozen=True)
class UsersState:
    """What every object that can change held at one moment."""

    held: tuple[Held, ...]

    @classmethod
    def of(
        cls, roots: Iterable[tuple[str, Any]], users: Collection[str], but: Iterable[Any] = ()
    ) -> "UsersState":
        """Go from the roots to all that they refer to; `but` are objects that begin anew by other means."""
        seen = {id(one): one for one in but}
        found, waiting = [], deque(roots)
        while waiting:
            name, what = waiting.popleft()
            if id(what) in seen:
                continue
            seen[id(what)] = what
            if (holder := holder_of(what, users)) is not None:
                found.append((name, what, holder))
            waiting.extend((name + way, part) for way, part in parts_of(what, users))
        return cls(tuple(Held(*one, one[2].read()) for one in _without_data(found)))

    def restore(self) -> None:
        """Let everything hold again what it held."""
        for held in self.held:
            held.holder.write(held.reading)

    # --- as part of a snapshot ---

    def changes(self) -> Memory:
        """Give what holds something else now, and all that callbacks hold, as far as it is plain."""
        noted: dict[str, Tree] = {}
        for held in self.held:
            now = held.holder.read()
            if isinstance(held.what, keras.callbacks.Callback):
                now = {name: item for name, item in now.items() if name not in not_remembered(held.what)}
            elif held.holder.is_at(held.reading):
                continue
            if (tree := self._tree(now)) is not None:
                noted[held.name] = tree
        return noted

    def apply(self, memory: Memory) -> None:
        """Let everything hold what a snapshot noted, after the callbacks' on_train_begin: what they opened stays open."""
        for held in self.held:
            is_callback = isinstance(held.what, keras.callbacks.Callback)
            tree = memory.get(held.name) or (None if is_callback else self._tree(held.reading))
            if tree is None:
                continue
            wanted, now = self._value(tree), held.holder.read()
            if isinstance(now, dict):
                wanted = {**(now if is_callback else self._not_plain(now)), **wanted}
            held.holder.write(wanted)

    def _not_plain(self, reading: Mapping[str, Any]) -> dict[str, Any]:
        return {name: item for name, item in reading.items() if self._tree(item) is None}

    @cached_property
    def _names(self) -> Mapping[int, str]:
        return {id(held.what): held.name for held in self.held}

    @cached_property
    def _objects(self) -> Mapping[str, Any]:
        return {held.name: held.what for held in self.held}

    def _tree(self, value: Any) -> Tree | None:
        """Give a value as a snapshot holds it; None for one that it cannot hold."""
        if id(value) in self._names:
            return {"known": self._names[id(value)]}
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return {"value": value}
        if isinstance(value, (np.ndarray, tf.Tensor)):
            array = np.asarray(value)
            return {"array": array} if array.dtype.kind in "biufcV" and array.dtype.names is None else None
        if isinstance(value, Mapping):
            pairs = [(self._tree(key), self._tree(item)) for key, item in value.items()]
            return {"dict": [[key, item] for key, item in pairs if key is not None and item is not None]}
        for kind, container in SEQUENCES.items():
            if isinstance(value, container):
                items = [self._tree(item) for item in value]
                return None if any(item is None for item in items) else {kind: items}
        return None

    def _value(self, tree: Tree) -> Any:
        """Read what _tree gave."""
        ((kind, content),) = [(kind, tree[kind]) for kind in tree if kind != "dtype"]
        if kind == "known":
            return self._objects.get(content)
        if kind == "dict":
            return {self._value(key): self._value(item) for key, item in content}
        if kind in SEQUENCES:
            return SEQUENCES[kind](self._value(item) for item in content)
        return content


SEQUENCES: Mapping[str, Any] = {"list": list, "tuple": tuple, "set": set, "deque": deque, "bytes": bytearray}


def _without_data(found: list[tuple[str, Any, Holder]]) -> Iterator[tuple[str, Any, Holder]]:
    """Leave out the arrays that are too large to be anything but data, in the order in which they were found."""
    sizes = sorted((what.nbytes, name) for name, what, holder in found if isinstance(holder, Content))
    left, small = MOST_BYTES, set()
    for size, name in sizes:
        if (left := left - size) >= 0:
            small.add(name)
    return (one for one in found if not isinstance(one[2], Content) or one[0] in small)
