"""Which data can lie in memory as tensors, so that a compiled epoch takes its batches from there?

Arrays always; a tf.data.Dataset if it is small enough and gives the same batches each time it is read. One that
shuffles or augments anew for each epoch must be read anew.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

from optselect.trials.structure import NoProgram

MOST_BYTES = 2 * 2**30
"""A Dataset beyond this is read anew in each epoch."""


@dataclass(frozen=True)
class Resident:
    """Rows as tensors, and where batches begin and end."""

    tensors: Any  # what a batch holds, (x, y) or (x, y, sample_weight), each a tree of tensors with all rows
    bounds: tuple[int, ...]  # of the batches, in rows; one more than there are batches

    @property
    def batches(self) -> int:
        """The number of batches of an epoch."""
        return len(self.bounds) - 1

    @property
    def rows(self) -> int:
        """The number of rows of all arrays, those beyond the last batch too."""
        return int(_leaves(self.tensors)[0].shape[0])

    @property
    def batch_size(self) -> int | None:
        """Rows of each batch but the last; None where batches differ."""
        sizes = [end - begin for begin, end in pairwise(self.bounds)]
        regular = all(size == sizes[0] for size in sizes[:-1]) and sizes[-1] <= sizes[0]
        return sizes[0] if regular else None


def resident_arrays(tensors: Any, rows: int, batch_size: int, steps: int | None) -> Resident:
    """Cut what read_arrays gave into batches; raises NoProgram for sparse arrays."""
    if not all(isinstance(leaf, tf.Tensor) for leaf in _leaves(tensors)):
        raise NoProgram("sparse or ragged arrays are cut batch by batch", step=3)
    batches = min(steps or math.inf, math.ceil(rows / batch_size))
    bounds = (min(batch * batch_size, rows) for batch in range(int(batches) + 1))
    return Resident(tensors, tuple(bounds))


def resident_dataset(dataset: Any, class_weight: Any, steps: int | None) -> Resident:
    """Read a Dataset twice; raises NoProgram where it is too large, endless, or not the same both times."""
    read = TFDatasetAdapter(dataset, class_weight=class_weight).get_tf_dataset()
    batches = _read_batches(read)
    if steps is not None and steps != len(batches):
        # fit goes on with the same pass through the data in the next epoch
        raise NoProgram(f"an epoch takes {steps} of the Dataset's {len(batches)} batches", step=3)
    for one, other in zip_longest(batches, read):
        if one is None or other is None or not _equal(one, other):
            raise NoProgram("the Dataset gives other batches each time it is read", step=3)
    sizes = [int(_leaves(batch)[0].shape[0]) for batch in batches]
    try:
        tensors = keras.tree.map_structure(lambda *leaves: tf.concat(leaves, axis=0), *batches)
    except (tf.errors.InvalidArgumentError, ValueError) as error:
        raise NoProgram("the Dataset's batches have different shapes", step=3) from error
    return Resident(tensors, (0, *np.cumsum(sizes).tolist()))


def _read_batches(dataset: Any) -> Sequence[Any]:
    batches, size = [], 0
    for batch in dataset:
        leaves = _leaves(batch)
        if not all(isinstance(leaf, tf.Tensor) and leaf.shape.rank for leaf in leaves):
            raise NoProgram("the Dataset's batches are not plain tensors", step=3)
        size += sum(leaf.dtype.size * int(tf.size(leaf)) for leaf in leaves)
        if size > MOST_BYTES:
            raise NoProgram(f"the Dataset is larger than {MOST_BYTES / 2**30:g} GB", step=3)
        batches.append(batch)
    return batches


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(_leaves(one), _leaves(other), strict=True)
    return all(np.array_equal(first.numpy(), second.numpy()) for first, second in pairs)


def _leaves(tree: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(tree) if leaf is not None]
