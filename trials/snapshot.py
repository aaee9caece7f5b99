"""What is the state of a training, as bytes and back?

Training on from a restored state gives what an uninterrupted training gives, bit for bit. The bytes are numpy's
.npz format without pickle, so that reading them from a database runs no code.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from optselect.trials.errors import SnapshotError

FORMAT = 1


@dataclass(frozen=True)
class Position:
    """Where in a trial a snapshot was taken."""

    epoch: int  # trained epochs
    phase: int  # of the configuration: 2 once its first switch has happened
    callbacks: tuple[dict[str, Any], ...] = ()  # what the user's callbacks remember, plain values only


def write_snapshot(model: Any, position: Position) -> bytes:
    """Write the variables of model and optimizer, and the position."""
    arrays = {f"variable_{index}": _to_plain(value) for index, value in enumerate(_values(model))}
    callbacks, kept = _split_arrays(position.callbacks)
    header = {"format": FORMAT, "epoch": position.epoch, "phase": position.phase, "callbacks": callbacks}
    stream = io.BytesIO()
    np.savez(stream, header=np.array(json.dumps(header)), allow_pickle=False, **arrays, **kept)
    return stream.getvalue()


def read_position(snapshot: bytes) -> Position:
    """Read where the snapshot was taken; tells which optimizer must be installed before restoring."""
    with _open(snapshot) as stored:
        header = json.loads(str(stored["header"]))
        if header["format"] != FORMAT:
            raise SnapshotError(f"A snapshot must have format {FORMAT}. Received: format {header['format']}")
        return Position(header["epoch"], header["phase"], _join_arrays(header["callbacks"], stored))


def restore_snapshot(model: Any, snapshot: bytes) -> None:
    """Assign the stored values to a model whose optimizer is installed and built."""
    variables = list(state_variables(model))
    with _open(snapshot) as stored:
        count = sum(name.startswith("variable_") for name in stored.files)
        if count != len(variables):
            raise SnapshotError(f"The snapshot must hold {len(variables)} variables. Received: {count}")
        for index, variable in enumerate(variables):
            _assign(variable, stored[f"variable_{index}"])


def state_variables(model: Any) -> Iterator[Any]:
    """Yield every variable that training reads: the model's, then those of its optimizers, each once."""
    seen: set[int] = set()  # by identity: `in` would compare Keras's variables element by element
    optimizers = [model.optimizer, *other_optimizers(model)]
    for variable in [*model.variables, *variables_in(optimizers)]:
        if id(variable) not in seen:
            seen.add(id(variable))
            yield variable


def other_optimizers(model: Any) -> list[Any]:
    """Find the optimizers that a model with a train_step of its own holds beside the one it was compiled with."""
    held = vars(model).values()
    return [one for one in held if isinstance(one, keras.optimizers.Optimizer) and one is not model.optimizer]


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


def _split_arrays(callbacks: tuple[dict[str, Any], ...]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Take the arrays out of what callbacks remember; their names stay in the header."""
    arrays: dict[str, Any] = {}

    def name(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays[key := f"callback_{len(arrays)}"] = _to_plain(value)
            return {"array": key, "dtype": str(value.dtype)}
        return {"list": [name(item) for item in value]} if isinstance(value, list) else {"value": value}

    return [{key: name(value) for key, value in memory.items()} for memory in callbacks], arrays


def _join_arrays(callbacks: list[dict[str, Any]], stored: Any) -> tuple[dict[str, Any], ...]:
    def value(named: dict[str, Any]) -> Any:
        if "array" in named:
            return stored[named["array"]].view(named["dtype"])
        return [value(item) for item in named["list"]] if "list" in named else named["value"]

    return tuple({key: value(named) for key, named in memory.items()} for memory in callbacks)


def _open(snapshot: bytes) -> Any:
    try:
        return np.load(io.BytesIO(snapshot), allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SnapshotError(
            f"A snapshot must be a whole .npz file. Received: {len(snapshot)} bytes"
        ) from error
