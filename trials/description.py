"""What does a launcher know of a problem without loading Keras? The JSON that describe.py writes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optselect.trials.configuration import ArgumentValue
from optselect.trials.errors import ProblemError

SCHEMA = 1


@dataclass(frozen=True)
class BaselineDescription:
    """The optimizer that the user compiled with."""

    optimizer: str  # class name, "SGD"
    arguments: Mapping[str, ArgumentValue]  # the plain ones that differ from the defaults, and learning_rate
    code: str  # "keras.optimizers.SGD(learning_rate=0.01)"


@dataclass(frozen=True)
class ProblemDescription:
    """A problem as one sees it from outside."""

    name: str  # the file's stem
    path: str
    metrics: tuple[str, ...]  # as fit reports them, each epoch: "loss", "val_loss", "mae", ...
    inputs: Mapping[str, str]  # by split, shapes and dtypes as text
    rows: Mapping[str, int | None]  # by split, None where unknown
    batch_size: int | None  # None where the data comes in batches
    epochs: int
    steps_per_epoch: int | None  # None where unknown
    parameters: int  # weights of the model, trainable or not
    baseline: BaselineDescription
    data_hash: str  # sha256, with the prefix "first-batch:" where only that was read
    modules: Mapping[
        str, str
    ]  # sha256 by path relative to the problem's folder: the file and what it imports there
    versions: Mapping[str, str]  # of python, tensorflow, keras, numpy
    outputs: tuple[str, ...]  # names of the dense layers that give the outputs
    warnings: tuple[str, ...]  # sentences for the user
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Give the object that json.dumps writes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "ProblemDescription":
        """Read what to_json gave, or what describe.py wrote: ProblemError with its message if that was an error."""
        values = dict(given)
        if "error" in values:
            raise ProblemError(values["error"])
        values |= {name: tuple(values[name]) for name in ("metrics", "outputs", "warnings")}
        return cls(**{**values, "baseline": BaselineDescription(**values["baseline"])})


def error_json(message: str) -> dict[str, Any]:
    """Say why a problem cannot be described."""
    return {"schema": SCHEMA, "error": message}
