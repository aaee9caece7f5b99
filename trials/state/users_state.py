"""What does the user's code remember from one training to the next? Nothing: here it begins anew with each.

The callbacks, the modules of the problem, what data() gave and the model's own attributes are one graph of objects: a
callback and a loss share a variable, two callbacks share a list. Copies would cut these ties, and a loss would never
see what a callback changes. So nothing is copied: what each object holds is noted once and put back before each
training, as if the problem had just been imported. What cannot be noted, an open file or a writer, is left alone.
"""

import logging
import re
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

from optselect.trials.state.callbacks import not_remembered
from optselect.trials.state.changing import (
    PLAIN,
    Cell,
    Content,
    Elements,
    Holder,
    Value,
    holder_of,
    parts_of,
)
from optselect.trials.state.code_names import names_read
from optselect.trials.state.snapshot import state_variables
from optselect.trials.terms.user_code import is_users

log = logging.getLogger(__name__)

MOST_BYTES = 8 * 2**20
"""Of the arrays that are noted, the smaller ones first: larger ones are the data."""
MOST_OBJECTS = 20_000
"""So many are noted; a warning says where there are more."""

Tree = dict[str, Any]
"""A value as a snapshot holds it: {"value": 1.5}, {"array": ...}, {"list": [...]}, {"dict": [[key, value], ...]}."""
Memory = Mapping[str, Tree]
"""By the way that leads to an object: what it holds."""


@dataclass(frozen=True)
class UsersCode:
    """Where everything begins that a training may change besides its model."""

    module: ModuleType
    path: Path  # of the problem file
    callbacks: tuple[Any, ...]
    splits: tuple[Any, ...]  # of the data

    def state(self, model: Any = None) -> "UsersState":
        """Note what all of it holds now; with a model also what its layers do."""
        modules = self.modules()
        roots: list[tuple[str, Any]] = [
            (f"callbacks[{place}]", one) for place, one in enumerate(self.callbacks)
        ]
        roots += [(f"data[{place}]", one) for place, one in enumerate(self.splits)]
        roots += [(f"module {module.__name__}", module) for module in modules]
        if model is not None:
            roots.append(("model", model))
        but = () if model is None else state_variables(model)
        return UsersState.of(roots, {module.__name__ for module in modules}, but)

    @cached_property
    def names_read(self) -> frozenset[str]:
        """The names that the user's code reads while a model is traced, that of its callbacks apart."""
        return names_read(self.modules())

    def modules(self) -> list[ModuleType]:
        """The problem file and the modules of its folder that are loaded now."""
        folder = self.path.parent
        # A copy is made at once, while another thread may import: the one that carries curves to MLflow.
        beside = {
            name: module
            for name, module in sys.modules.copy().items()
            # Not by getattr, which would make a lazy module load.
            if isinstance(file := getattr(module, "__dict__", {}).get("__file__"), str)
            if file.startswith(str(folder)) and is_users(Path(file).resolve(), folder)
            if not name.startswith(("optselect", "__main__"))
        }
        return [self.module, *(module for _, module in sorted(beside.items()))]


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
            try:
                parts, holder = list(parts_of(what, users)), holder_of(what, users)
            except Exception:  # an object that does not bear to be looked at is left alone
                log.debug("%s is left alone", name, exc_info=True)
                continue
            waiting.extend((name + way, part) for way, part in parts if not isinstance(part, PLAIN))
            if holder is not None:
                found.append((name, what, holder))
            if len(found) > MOST_OBJECTS:
                log.warning(
                    "the problem holds more objects than begin anew with each trial (%d)", MOST_OBJECTS
                )
                break
        return cls(tuple(held for one in _without_data(found) if (held := _read(*one)) is not None))

    def with_new_modules(self, code: UsersCode) -> "UsersState":
        """Give the same with the modules that were loaded since, and what they refer to, as they are now."""
        known = {held.name for held in self.held}
        new = tuple(way for one in code.modules() if (way := f"module {one.__name__}") not in known)
        if not new:
            return self
        ours = {id(held.what) for held in self.held}
        later = [one for one in code.state().held if one.name.startswith(new) and id(one.what) not in ours]
        return UsersState((*self.held, *later))

    def restore(self) -> None:
        """Let everything hold again what it held."""
        for held in self.held:
            try:
                held.holder.write(held.reading)
            except Exception as error:  # noqa: BLE001 - whatever a user's object raises when it is set
                log.warning("%s cannot begin anew with each trial: %s", held.name, error)

    def changed(self, read: frozenset[str]) -> str:
        """Name something that holds another plain value now and that a model's code reads, or nothing.

        `read` are the names in the user's code. Variables do not count, for each step reads them anew.
        """
        for held in self.held:
            if isinstance(held.holder, Value) or held.holder.is_at(held.reading):
                continue
            for name in _changed_names(held):
                if name in read or (isinstance(held.what, keras.Layer) and name in held.reading):
                    return name
        return ""

    # --- as part of a snapshot ---

    def changes(self) -> Memory:
        """Give what holds something else now, and all that callbacks hold, as far as it is plain."""
        noted: dict[str, Tree] = {}
        for held in self.held:
            try:
                tree = self._change(held)
            except Exception:  # an object that does not bear to be read, or a circle
                log.debug("%s is no part of the snapshot", held.name, exc_info=True)
                continue
            if tree is not None:
                noted[held.name] = tree
        return noted

    def _change(self, held: Held) -> Tree | None:
        now = held.holder.read()
        if isinstance(held.what, keras.callbacks.Callback):
            left_out = not_remembered(held.what)
            return self._tree(
                {n: i for n, i in now.items() if n not in left_out and not self._is_data(held, n, i)}
            )
        if held.holder.is_at(held.reading):
            return None
        if isinstance(held.what, dict) or not isinstance(now, dict):
            return self._tree(now)
        other = {name: item for name, item in now.items() if item is not held.reading.get(name, self)}
        trees = {name: self._tree(item) for name, item in other.items()}
        return {
            "dict": [[{"value": name}, tree] for name, tree in trees.items() if tree is not None],
            "left": [name for name, tree in trees.items() if tree is None],
            "gone": [name for name in held.reading if name not in now],
        }

    def _is_data(self, held: Held, name: str, item: Any) -> bool:
        """Tell what a callback was given and has not changed: a container or array that is not even held."""
        is_given = item is held.reading.get(name, self) and not isinstance(item, PLAIN)
        return is_given and id(item) not in self._names

    def apply(self, memory: Memory) -> None:
        """Let everything hold what a snapshot noted.

        To be called after the callbacks' on_train_begin; what they have opened stays open.
        """
        for held in self.held:
            tree = memory.get(held.name)
            if isinstance(held.what, keras.callbacks.Callback):
                if tree is not None:
                    now = held.holder.read()
                    held.holder.write({**now, **self._value(tree, now)})
            elif tree is None or "left" not in tree:
                held.holder.write(held.reading if tree is None else self._value(tree, held.holder.read()))
            else:
                held.holder.write(self._with_changes(held, tree))

    def _with_changes(self, held: Held, tree: Tree) -> dict[str, Any]:
        now = held.holder.read()
        kept = {name: now[name] for name in tree["left"] if name in now}
        first = {name: item for name, item in held.reading.items() if name not in tree["gone"]}
        return {**first, **kept, **self._value({"dict": tree["dict"]}, now)}

    @cached_property
    def _names(self) -> Mapping[int, str]:
        return {id(held.what): held.name for held in self.held}

    @cached_property
    def _objects(self) -> Mapping[str, Any]:
        return {held.name: held.what for held in self.held}

    def _tree(self, value: Any, around: tuple[int, ...] = ()) -> Tree | None:
        """Give a value as a snapshot holds it; None for one that it cannot hold, such as one that holds itself."""
        if id(value) in self._names:
            return {"known": self._names[id(value)]}
        if value is None or type(value) in (bool, int, float, str):
            return {"value": value}
        if isinstance(value, (np.ndarray, np.generic, tf.Tensor)):
            return _tree_of_array(value)
        if id(value) in around:
            return None
        around = (*around, id(value))
        if isinstance(value, Mapping):
            pairs = [(self._tree(key), self._tree(item, around)) for key, item in value.items()]
            return {"dict": [[key, item] for key, item in pairs if key is not None and item is not None]}
        for kind, container in SEQUENCES.items():
            if isinstance(value, container):
                items = [self._tree(item, around) for item in value]
                return None if any(item is None for item in items) else {kind: items}
        return None

    def _value(self, tree: Tree, place: Any = None) -> Any:
        """Read what _tree gave.

        A container in its place that was made since is filled, for it may be shared, bounded or have a default.
        """
        kind = next(iter(tree))
        content = tree[kind]
        if kind == "known":
            return self._objects.get(content)
        if kind == "dict":
            before = place if isinstance(place, Mapping) else {}
            names = [self._value(key) for key, _ in content]
            pairs = zip(names, (item for _, item in content), strict=True)
            return self._filled(place, {name: self._value(item, before.get(name)) for name, item in pairs})
        if kind in SEQUENCES:
            return self._filled(place, SEQUENCES[kind](self._value(item) for item in content))
        if kind == "number":
            return content["array"][()]
        return tf.constant(content["array"]) if kind == "tensor" else content

    def _filled(self, place: Any, content: Any) -> Any:
        """Let a container hold what one like it holds, unless it is one that has its own entry."""
        if not isinstance(place, type(content)) or isinstance(content, tuple) or id(place) in self._names:
            return content
        Elements(place).write(content)
        return place


def _tree_of_array(value: Any) -> Tree | None:
    array = np.asarray(value)
    if array.dtype.kind not in "biufcV" or array.dtype.names is not None:
        return None
    if isinstance(value, np.ndarray):
        return {"array": array}
    return {"number" if isinstance(value, np.generic) else "tensor": {"array": array}}


def _changed_names(held: Held) -> list[str]:
    now = held.holder.read()
    if isinstance(held.holder, Cell) or isinstance(held.what, dict) or not isinstance(now, dict):
        return [last_name(held.name)]
    left_out = not_remembered(held.what) if isinstance(held.what, keras.callbacks.Callback) else ()
    return [
        name
        for name, item in now.items()
        if isinstance(item, (*PLAIN, tuple)) and name not in left_out
        if repr(item) != repr(held.reading.get(name))
    ]


def last_name(way: str) -> str:
    """Give the last name on the way to an object.

    >>> last_name("module my_problem.CONFIG['a'][0]"), last_name("callbacks[0].weights"), last_name("module m.f<beta>")
    ('CONFIG', 'weights', 'beta')
    """
    names = re.findall(r"[^\W\d]\w*", re.sub(r"\[[^\]]*\]", " ", way))
    return names[-1] if names else ""


def _read(name: str, what: Any, holder: Holder) -> Held | None:
    """Note what an object holds; None where it does not bear to be read, such as a variable without a value yet."""
    try:
        return Held(name, what, holder, holder.read())
    except Exception:
        log.debug("%s is left alone", name, exc_info=True)
        return None


SEQUENCES: Mapping[str, Any] = {"list": list, "tuple": tuple, "set": set, "deque": deque, "bytes": bytearray}


def _without_data(found: list[tuple[str, Any, Holder]]) -> Iterator[tuple[str, Any, Holder]]:
    """Leave out the arrays that are too large to be anything but data, in the order in which they were found."""
    sizes = sorted((what.nbytes, name) for name, what, holder in found if isinstance(holder, Content))
    left, small = MOST_BYTES, set()
    for size, name in sizes:
        if (left := left - size) >= 0:
            small.add(name)
    return (one for one in found if not isinstance(one[2], Content) or one[0] in small)
