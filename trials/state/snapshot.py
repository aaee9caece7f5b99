"""What is the state of a training, as bytes and back?

Training on from a restored state gives what an uninterrupted training gives, bit for bit. The bytes are numpy's
.npz format without pickle, so that reading them from a database runs no code.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from optselect.trials.terms.errors import SnapshotError

FORMAT = 1


@dataclass(frozen=True)
class Position:
    """Where in a trial a snapshot was taken."""

    epoch: int  # trained epochs
    phase: int  # of the configuration: 2 once its first switch has happened
    memory: Mapping[str, Any] = field(default_factory=dict)  # of the user's code, as users_state.py gives it
    first_loss: float = math.nan  # the mean training loss of the first epoch; NaN where nobody knows it
    taken: Mapping[str, float] | None = None
    """The optimizer's numbers that callbacks had set before the first batch."""


def write_snapshot(model: Any, position: Position) -> bytes:
    """Write the variables of model and optimizer, and the position."""
    arrays = {f"variable_{index}": _to_plain(value) for index, value in enumerate(_values(model))}
    kept: dict[str, Any] = {}
    memory = {name: _without_arrays(tree, kept) for name, tree in position.memory.items()}
    header = {"format": FORMAT, "epoch": position.epoch, "phase": position.phase, "memory": memory}
    header["first_loss"], header["taken"] = position.first_loss, position.taken
    stream = io.BytesIO()
    np.savez(stream, header=np.array(json.dumps(header)), allow_pickle=False, **arrays, **kept)
    return stream.getvalue()


def read_position(snapshot: bytes) -> Position:
    """Read where the snapshot was taken; tells which optimizer must be installed before restoring."""
    with _open(snapshot) as stored:
        header = json.loads(str(stored["header"]))
        if header["format"] != FORMAT:
            raise SnapshotError(f"A snapshot must have format {FORMAT}. Received: format {header['format']}")
        memory = header.get("memory") or _of_callbacks(header.get("callbacks", ()))
        whole = {name: _with_arrays(tree, stored) for name, tree in memory.items()}
        first_loss, taken = header.get("first_loss", math.nan), header.get("taken")
        return Position(header["epoch"], header["phase"], whole, first_loss, taken)


def restore_snapshot(model: Any, snapshot: bytes) -> None:
    """Assign the stored values to a model whose optimizer is installed and built."""
    variables = list(state_variables(model))
    with _open(snapshot) as stored:
        count = sum(name.startswith("variable_") for name in stored.files)
        if count == len(variables) - len(states_kept_between_batches(model)):
            variables = variables[:count]  # of a release that did not know of them
        if count != len(variables):
            raise SnapshotError(f"The snapshot must hold {len(variables)} variables. Received: {count}")
        for index, variable in enumerate(variables):
            _assign(variable, stored[f"variable_{index}"])


def state_variables(model: Any) -> Iterator[Any]:
    """Yield every variable that training reads, each once: the model's, those of its optimizers, kept states."""
    seen: set[int] = set()  # by identity: `in` would compare Keras's variables element by element
    optimizers = [model.optimizer, *other_optimizers(model)]
    for variable in [*model.variables, *variables_in(optimizers), *states_kept_between_batches(model)]:
        if id(variable) not in seen:
            seen.add(id(variable))
            yield variable


def other_optimizers(model: Any) -> list[Any]:
    """Find the optimizers that a model with a train_step of its own holds beside the one it was compiled with."""
    held = vars(model).values()
    return [one for one in held if isinstance(one, keras.optimizers.Optimizer) and one is not model.optimizer]


def states_kept_between_batches(model: Any) -> list[Any]:
    """Find the states of recurrent layers with stateful=True, which Keras does not list among a model's variables."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
    return [state for layer in layers if layer.stateful for state in keras.tree.flatten(layer.states or [])]


def variables_in(value: Any) -> Iterator[Any]:
    """Yield the variables in a value, those of an optimizer with the ones that Keras itself forgets.

    Nadam's _u_product and Adafactor's dummies are not in optimizer.variables.
    """
    if isinstance(value, keras.Variable):
        yield value
    elif isinstance(value, keras.optimizers.Optimizer):
        yield from value.variables
        for held in vars(value).values():
            yield from variables_in(held)
    elif isinstance(value, dict):
        for item in value.values():
            yield from variables_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from variables_in(item)


def _values(model: Any) -> Iterator[np.ndarray[Any, Any]]:
    for variable in state_variables(model):
        yield variable.numpy()


def _to_plain(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """View types that .npz does not know, such as bfloat16, as integers of the same size."""
    value = np.asarray(value)
    return value if value.dtype.kind in "biufc" else value.view(f"u{value.dtype.itemsize}")


def _assign(variable: Any, value: np.ndarray[Any, Any]) -> None:
    current = np.asarray(variable.numpy())
    if value.shape != current.shape or value.dtype.itemsize != current.dtype.itemsize:
        raise SnapshotError(
            f"{variable.path} must have shape {current.shape} and dtype {current.dtype}. "
            f"Received: shape {value.shape}, dtype {value.dtype}"
        )
    variable.assign(value if value.dtype == current.dtype else value.view(current.dtype))


def _without_arrays(tree: Any, arrays: dict[str, Any]) -> Any:
    """Take the arrays out of what the user's code remembers; their names stay in the header."""
    if isinstance(tree, dict) and "array" in tree:
        arrays[key := f"kept_{len(arrays)}"] = _to_plain(tree["array"])
        return {"array": key, "dtype": str(tree["array"].dtype)}
    if isinstance(tree, dict):
        return {kind: _without_arrays(content, arrays) for kind, content in tree.items()}
    return [_without_arrays(item, arrays) for item in tree] if isinstance(tree, list) else tree


def _with_arrays(tree: Any, stored: Any) -> Any:
    if isinstance(tree, dict) and "array" in tree:
        return {"array": stored[tree["array"]].view(tree["dtype"])}
    if isinstance(tree, dict):
        return {kind: _with_arrays(content, stored) for kind, content in tree.items()}
    return [_with_arrays(item, stored) for item in tree] if isinstance(tree, list) else tree


def _of_callbacks(callbacks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Read what a snapshot of version 0.1 remembers: the attributes of each callback by its place."""
    return {
        f"callbacks[{place}]": {"dict": [[{"value": name}, tree] for name, tree in memory.items()]}
        for place, memory in enumerate(callbacks)
    }


def _open(snapshot: bytes) -> Any:
    try:
        return np.load(io.BytesIO(snapshot), allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SnapshotError(
            f"A snapshot must be a whole .npz file. Received: {len(snapshot)} bytes"
        ) from error
