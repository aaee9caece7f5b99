"""What may data() give, and is it usable?

Arrays that Keras would read as they are become tensors, of the same numbers, and what the user made may go: rows
lie in memory once. Other arrays are kept for Keras to read in its own way; tf.data.Dataset and PyDataset pass through.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.terms.errors import ProblemError

SPLITS = ("train", "validation", "test")
ALIGNMENT = 64
"""Bytes; TensorFlow's kernels read so much at once."""


@dataclass(frozen=True)
class Arrays:
    """One split in memory: arrays, or lists, tuples and dicts of arrays for several inputs or outputs."""

    x: Any
    y: Any
    sample_weight: Any = None

    @property
    def rows(self) -> int:
        """The number of rows that every array has."""
        return int(next(leaf for _, leaf in named_leaves(self)).shape[0])

    def packed(self) -> tuple[Any, ...]:
        """Give the tuple that Model.fit takes as validation_data."""
        return (self.x, self.y) if self.sample_weight is None else (self.x, self.y, self.sample_weight)

    def head(self, rows: int) -> "Arrays":
        """Give the first rows."""
        return self.mapped(partial(_first_rows, rows))

    def as_tensors(self) -> "Arrays":
        """Give the same with tensors in place of the arrays that Keras would read as they are."""
        return self.mapped(_tensor_of)

    def mapped(self, function: Callable[[Any], Any]) -> "Arrays":
        """Give the same with what a function makes of each array."""
        return Arrays(*(_map(function, part) for part in (self.x, self.y, self.sample_weight)))


Split = Any  # Arrays, tf.data.Dataset or keras.utils.PyDataset; the last two are Any to the type checker


@dataclass(frozen=True)
class Data:
    """What data() gave, checked."""

    train: Split
    validation: Split
    test: Split | None = None
    is_mapped: bool = False
    """Whether its arrays are maps of files that all processes of the machine read."""

    def splits(self) -> Iterator[tuple[str, Split]]:
        """Yield the name and the content of each split that is there."""
        for name in SPLITS:
            if (split := getattr(self, name)) is not None:
                yield name, split


def read_data(given: object) -> Data:
    """Check what data() returned; an error says what is wrong without naming the file."""
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) not in (2, 3):
        raise ProblemError(
            f"data() must return (train, validation) or (train, validation, test). Received: {_describe(given)}"
        )
    return Data(*(_read_split(split, name) for split, name in zip(given, SPLITS, strict=False)))


def _read_split(split: object, name: str) -> Split:
    if isinstance(split, (tf.data.Dataset, keras.utils.PyDataset)):
        _check_batches(split, name)
        return split
    if inspect.isgenerator(split) or inspect.isgeneratorfunction(split) or isinstance(split, Iterator):
        raise ProblemError(
            f"The {name} data cannot be a generator: it is used up after one training, a study needs many. "
            "Write a keras.utils.PyDataset, or tf.data.Dataset.from_generator(function, output_signature=...)"
        )
    if not isinstance(split, (tuple, list)) or len(split) not in (2, 3):
        raise ProblemError(
            f"The {name} data must be (x, y) or (x, y, sample_weight) arrays, a tf.data.Dataset or a "
            f"keras.utils.PyDataset. Received: {_describe(split)}"
        )
    arrays = Arrays(*split)
    _check_arrays(arrays, name)
    return arrays.as_tensors()


def _check_batches(split: Any, name: str) -> None:
    if batch_count(split) == 0:
        raise ProblemError(
            f"The {name} data must hold at least one batch. Received: an empty {type(split).__name__}"
        )


def batch_count(split: Any) -> int | float | None:
    """Count the batches of a Dataset or PyDataset: None where unknown, infinity where it never ends."""
    if isinstance(split, tf.data.Dataset):
        count = int(split.cardinality())
        return math.inf if count == tf.data.INFINITE_CARDINALITY else None if count < 0 else count
    count = split.num_batches
    return math.inf if count is None else int(count)


def _check_arrays(arrays: Arrays, name: str) -> None:
    leaves = list(named_leaves(arrays))
    for place, leaf in leaves:
        _check_leaf(leaf, f"{name} {place}")
        _check_finite(leaf, f"{name} {place}", may_miss=place.startswith("y"))
    sizes = {f"{place} has {leaf.shape[0]}": int(leaf.shape[0]) for place, leaf in leaves}
    if len(set(sizes.values())) > 1:
        raise ProblemError(
            f"All {name} arrays must have the same number of rows. Received: {', '.join(sizes)}"
        )
    if not leaves or 0 in sizes.values():
        raise ProblemError(f"The {name} data must hold at least one row. Received: no rows")


def _check_leaf(leaf: Any, place: str) -> None:
    if not hasattr(leaf, "shape") or (not hasattr(leaf, "dtype") and not hasattr(leaf, "dtypes")):
        raise ProblemError(
            f"{place} must be an array; numpy.asarray(...) makes one. Received: {_describe(leaf)}"
        )
    if len(leaf.shape) == 0:
        raise ProblemError(f"{place} must have rows. Received: an array without dimensions")
    if (
        isinstance(leaf, np.ndarray)
        and leaf.dtype == object
        and not all(isinstance(v, str) for v in leaf.flat)
    ):
        raise ProblemError(
            f"{place} must hold numbers of one dtype. Received: dtype=object, shape={leaf.shape}"
        )


def _check_finite(leaf: Any, place: str, may_miss: bool) -> None:
    """Refuse NaN and infinities; a target may be NaN where it is missing: the loss may leave it out.

    Whether it does is tried in describing/missing.py.
    """
    values = float_values(leaf)
    if values is None:
        return
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if may_miss:
        bad -= np.count_nonzero(np.isnan(values))
    if bad:
        way = "" if may_miss else ". Fill what is missing in data(); a tf.data.Dataset may hold it"
        raise ProblemError(
            f"{place} must hold finite numbers only. Received: {bad} values that are "
            f"{'infinite' if may_miss else 'NaN or infinite'}{way}"
        )


def float_values(leaf: Any) -> Any:
    """Read an array of floats; None for other types and for kinds that numpy cannot read in place."""
    if isinstance(leaf, (tf.SparseTensor, tf.RaggedTensor)) or hasattr(leaf, "tocoo"):
        return None
    values = np.asarray(leaf)
    if values.dtype == object and hasattr(leaf, "dtypes"):  # a DataFrame of mixed columns: Keras will judge
        return None
    return values if values.dtype.kind in "fc" else None


def named_leaves(arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Yield each array with a name for messages: "x", "x['image']", "y[1]", "sample_weight"."""
    for part in ("x", "y", "sample_weight"):
        yield from _walk(getattr(arrays, part), part)


def _walk(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key in sorted(tree, key=str):
            yield from _walk(tree[key], f"{name}[{key!r}]")
    elif isinstance(tree, (list, tuple)):
        for index, item in enumerate(tree):
            yield from _walk(item, f"{name}[{index}]")
    elif tree is not None:
        yield name, tree


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _map(function, item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(function, item) for item in tree)
    return None if tree is None else function(tree)


def _first_rows(rows: int, leaf: Any) -> Any:
    if isinstance(leaf, tf.SparseTensor):
        size = [min(rows, int(leaf.shape[0])), *leaf.shape[1:]]
        return tf.sparse.slice(leaf, [0] * len(size), size)
    return leaf[:rows]


def _tensor_of(leaf: Any) -> Any:
    """Copy a plain array whose type Keras keeps; what it converts, floats of other sizes, stays what it is."""
    if type(leaf) is not np.ndarray or not leaf.dtype.isnative:
        return leaf
    if leaf.dtype.kind not in "biu" and leaf.dtype != keras.config.floatx():
        return leaf
    if leaf.dtype.kind not in "biuf":  # bfloat16
        return tf.constant(leaf)
    # Not tf.constant: it copies twice, and what TensorFlow's own allocator once took it keeps.
    return tensor_over(aligned_copy(leaf))


def tensor_over(array: np.ndarray[Any, Any]) -> Any:
    """Give a tensor on an array's own memory, which must begin at a multiple of ALIGNMENT and change no more."""
    with tf.device("CPU"):  # what a training needs of it on a GPU, row_order.py brings there
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def aligned_copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Copy an array to a place where a tensor can lie over it."""
    space = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -space.ctypes.data % ALIGNMENT
    copy: np.ndarray[Any, Any] = space[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _describe(value: object) -> str:
    """Name a wrong value shortly: its type, and length or shape where it has one."""
    if value is None:
        return "None"
    kind = type(value).__name__
    if isinstance(value, (tuple, list)):
        return f"a {kind} of {len(value)} ({', '.join(type(item).__name__ for item in value[:4])})"
    shape = getattr(value, "shape", None)
    return f"{kind} of shape {tuple(shape)}" if shape is not None else kind
