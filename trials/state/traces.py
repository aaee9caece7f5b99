"""What does a call of data() leave behind besides its rows, and can another process do without the call?

Rows may be read from files in place of data() only where nothing else differs then. Random generators that it drew
from are put where they stood after it, and so is Keras's count of names. Anything else that it changed, a global
variable that model() reads, a seed of TensorFlow, the working folder, cannot be had without the call.
"""

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from tensorflow.python.eager import context

from optselect.trials.state.changing import Numbers
from optselect.trials.state.keras_names import count_names_from, counted_names
from optselect.trials.state.users_state import UsersCode, UsersState

Memory = Mapping[str, Any]
"""As JSON holds it: the names that Keras has counted, and the states of generators by the way that leads to each."""


@dataclass(frozen=True)
class Left:
    """What a call of data() has left behind."""

    changed: str  # something that cannot be had without the call; empty where there is nothing
    memory: Memory  # what must be put back where data() is not called


@dataclass(frozen=True)
class Traces:
    """What there was before data() was called."""

    state: UsersState
    surroundings: Mapping[str, object]

    @classmethod
    def before(cls, code: UsersCode) -> "Traces":
        """Look at everything that data() might change."""
        return cls(code.state(), _surroundings())

    def left(self) -> Left:
        """Tell, at once after the call, what it has left behind."""
        generators = {name: _as_json(holder.read()) for name, holder in self._generators()}
        return Left(self._changed(), {"names": dict(counted_names()), "generators": generators})

    def _changed(self) -> str:
        for held in self.state.held:
            if not isinstance(held.holder, Numbers) and not held.holder.is_at(held.reading):
                return held.name
        now = _surroundings()
        return next((name for name, value in self.surroundings.items() if now[name] != value), "")

    def put_back(self, memory: Memory) -> None:
        """Let this process stand where one stands that has called data()."""
        count_names_from(memory["names"])
        for name, holder in self._generators():
            if name in memory["generators"]:
                holder.write(_from_json(memory["generators"][name]))

    def _generators(self) -> Iterator[tuple[str, Numbers]]:
        yield "random", Numbers(random._inst)
        yield "numpy.random", Numbers(np.random.mtrand._rand)
        yield from ((one.name, one.holder) for one in self.state.held if isinstance(one.holder, Numbers))


def _surroundings() -> dict[str, object]:
    return {
        "the working folder": os.getcwd(),
        "the environment": dict(os.environ),
        "the seed of TensorFlow": context.global_seed(),
        "Keras's configuration": (
            keras.config.floatx(),
            keras.config.epsilon(),
            keras.config.image_data_format(),
            keras.config.dtype_policy().name,
        ),
    }


def _as_json(state: Any) -> Any:
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": state.dtype.str}
    if isinstance(state, tuple):
        return {"tuple": [_as_json(one) for one in state]}
    if isinstance(state, dict):
        return {"dict": {name: _as_json(one) for name, one in state.items()}}
    return {"value": state.item() if isinstance(state, np.generic) else state}


def _from_json(tree: Mapping[str, Any]) -> Any:
    if "array" in tree:
        return np.array(tree["array"], np.dtype(tree["dtype"]))
    if "tuple" in tree:
        return tuple(_from_json(one) for one in tree["tuple"])
    return {name: _from_json(one) for name, one in tree["dict"].items()} if "dict" in tree else tree["value"]
