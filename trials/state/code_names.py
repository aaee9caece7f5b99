"""Which names does the user's code read while a model is traced? Those of all but its callbacks."""

import types
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import keras


def names_read(modules: Iterable[types.ModuleType]) -> frozenset[str]:
    """Collect the names in functions and methods of modules, also of functions within functions."""
    modules = list(modules)
    users = {module.__name__ for module in modules}
    return frozenset(
        name for module in modules for code in _codes_in(vars(module), users) for name in _names(code)
    )


def _codes_in(names: dict[str, Any], users: Collection[str]) -> Iterator[types.CodeType]:
    for value in list(names.values()):
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if isinstance(value, property):
            value = value.fget
        if getattr(value, "__module__", None) not in users:
            continue
        if isinstance(value, types.FunctionType):
            yield value.__code__
        elif isinstance(value, type) and not issubclass(value, keras.callbacks.Callback):
            yield from _codes_in(dict(vars(value)), users)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            yield constant  # getattr(model, "beta"), CONFIG["beta"]
