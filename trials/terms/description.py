"""What does a launcher know of a problem without loading Keras? The JSON that describing/describe.py writes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Literal

from optselect.trials.terms.configuration import ArgumentValue
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.installed_first import lost_note

SCHEMA = 1
LOADING = "loading_seconds"
"""In an answer beside the description: how long each part of the user's code took. It is none of the problem."""
SEEDS_CHANGE_NOTHING = (
    "Seeds change nothing: two of them give the same weights and the same order of rows, so runs on several seeds are "
    "one and the same run, and there will be no verdict. Leave out what fixes the seed in model(), such as "
    "keras.utils.set_random_seed, or let the rows be shuffled."
)


@dataclass(frozen=True)
class BaselineDescription:
    """The optimizer that the user compiled with."""

    optimizer: str  # class name, "SGD"
    arguments: Mapping[str, ArgumentValue]  # the plain ones that differ from the defaults, and learning_rate
    code: str  # "keras.optimizers.SGD(learning_rate=0.01)"
    imports: str = ""  # of classes in it that are not Keras's, a line each

    @property
    def whole_code(self) -> str:
        """The code below the imports of what is not Keras's."""
        return f"{self.imports}\n{self.code}".lstrip()


@dataclass(frozen=True)
class ParameterDescription:
    """One argument of a constructor, by its signature."""

    default: ArgumentValue  # None also where it is no plain value
    shown: str  # the default as Python writes it; empty where there is none
    is_required: bool


@dataclass(frozen=True)
class CustomDescription:
    """An optimizer class that is not Keras's."""

    reference: str  # "/home/me/my_optimizers.py:MyMomentum" or "package.module:Class"
    file: str  # its path in the bundle; empty where an installed package holds it
    parameters: Mapping[str, ParameterDescription]
    takes_more: bool  # **kwargs: Keras's common arguments too
    search_space: Mapping[str, Any] | None  # what the class itself says of its ranges
    notes: tuple[str, ...] = ()  # sentences for the user
    bases: tuple[
        str, ...
    ] = ()  # Keras's classes that it derives from, the nearest first; none in older descriptions

    @property
    def required(self) -> tuple[str, ...]:
        """The arguments without a default."""
        return tuple(name for name, parameter in self.parameters.items() if parameter.is_required)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "CustomDescription":
        """Read what asdict gave."""
        parameters = {name: ParameterDescription(**values) for name, values in given["parameters"].items()}
        bases = tuple(given.get("bases", ()))
        return cls(**{**given, "parameters": parameters, "notes": tuple(given["notes"]), "bases": bases})


@dataclass(frozen=True)
class MetricDescription:
    """The metric behind a name that fit reports."""

    name: str  # its own: without val_, without the head that it judges
    direction: Literal["minimize", "maximize", ""] = ""  # what its class says; empty where that says nothing
    is_own: bool = False  # of a class of the user's own, which may turn what its base class measures


@dataclass(frozen=True)
class VariableMark:
    """What tells the values of a variable from others, but for rounding."""

    name: str
    norm: float
    along: float  # a fixed wave: an exchange of two values is seen
    rounding: float  # the share of the norm by which another processor may differ

    def agrees(self, other: "VariableMark") -> bool:
        """Whether both mark the same values."""
        most = self.rounding * max(self.norm, other.norm)
        return abs(self.norm - other.norm) <= most and abs(self.along - other.along) <= most


@dataclass(frozen=True)
class WeightsDescription:
    """The untrained weights of seed 0, as a process without a GPU makes them."""

    sha256: str
    variables: tuple[VariableMark, ...]  # those that follow from the seed
    kept: tuple[str, ...]
    """Variables that are no constants and with which every seed begins: pre-trained ones."""

    def differing(self, other: "WeightsDescription") -> list[str]:
        """Name the variables that differ by more than rounding; Keras's names depend on what was made before."""
        pairs = zip_longest(self.variables, other.variables)
        return [(one or two).name for one, two in pairs if one is None or two is None or not one.agrees(two)]

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "WeightsDescription":
        """Read what asdict gave."""
        variables = tuple(VariableMark(**one) for one in given["variables"])
        return cls(given["sha256"], variables, tuple(given["kept"]))


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
    modules: Mapping[str, str]
    """sha256 by path relative to the problem's folder: the file and what it imports there."""
    versions: Mapping[str, str]  # of python, tensorflow, keras, numpy
    outputs: tuple[str, ...]  # names of the dense layers that give the outputs
    warnings: tuple[str, ...]  # sentences for the user
    optimizers: Mapping[str, CustomDescription] = field(default_factory=dict)  # by class name
    precision: str = "float32"  # the dtype policy of the model as a whole
    scales_loss: bool = False  # compile() has wrapped the optimizer in a LossScaleOptimizer, or the user has
    set_the_rate: tuple[str, ...] = ()  # classes of callbacks that change the learning rate
    moved: tuple[str, ...] = ()  # classes of callbacks whose files go into a folder of each trial
    files: Mapping[str, str] = field(default_factory=dict)  # sha256 by name: what model() reads
    weights: WeightsDescription | None = None  # None: described before these were looked at
    seeds_differ: bool = True  # whether two seeds begin with other weights or train in another order
    known_metrics: Mapping[str, MetricDescription] = field(default_factory=dict)
    """By what fit reports, without val_; what a callback adds has only its name, and so have all of an old study."""
    lost_modules: tuple[str, ...] = ()
    """Those of the user's in whose place an installed one of that name is imported."""
    averaging_callback: str = ""  # the class of a callback that needs use_ema=True, as SwapEMAWeights does
    schema: int = SCHEMA

    @property
    def seeds_note(self) -> str:
        """What the user must know where seeds change nothing; else empty."""
        return "" if self.seeds_differ else SEEDS_CHANGE_NOTHING

    @property
    def modules_note(self) -> str:
        """What the user must know where modules of theirs are not imported; else empty."""
        return lost_note(self.lost_modules)

    def to_json(self) -> dict[str, Any]:
        """Give the object that json.dumps writes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "ProblemDescription":
        """Read what to_json gave, or what describing/describe.py wrote: ProblemError with its message if that was an error."""
        values = {name: value for name, value in given.items() if name != LOADING}
        if "error" in values:
            raise ProblemError(values["error"])
        lists = ("metrics", "outputs", "warnings", "set_the_rate", "moved", "lost_modules")
        values |= {name: tuple(values[name]) for name in lists if name in values}
        values["baseline"] = BaselineDescription(**values["baseline"])
        values["optimizers"] = read_optimizers(values.get("optimizers", {}))
        if weights := values.get("weights"):
            values["weights"] = WeightsDescription.from_json(weights)
        known = values.get("known_metrics", {})
        values["known_metrics"] = {name: MetricDescription(**metric) for name, metric in known.items()}
        return cls(**values)


def read_optimizers(given: Mapping[str, Any]) -> dict[str, CustomDescription]:
    """Read the descriptions of classes, by name."""
    return {name: CustomDescription.from_json(values) for name, values in given.items()}


def error_json(message: str) -> dict[str, Any]:
    """Say why a problem cannot be described."""
    return {"schema": SCHEMA, "error": message}
