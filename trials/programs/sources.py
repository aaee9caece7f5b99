"""Where does a compiled epoch take its batches from?

From tensors that lie in memory: arrays always; a tf.data.Dataset if it is small enough and gives the same batches
each time it is read. One that shuffles or augments anew for each epoch, or is large, is read anew as the graph runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

from optselect.trials.programs.structure import NoProgram

MOST_BYTES = 2 * 2**30
"""A Dataset beyond this is read anew in each epoch."""
MOST_SIZED_RUNS = 3
"""Sizes of batches in a row that XLA compiles one by one; a smaller last batch makes two."""
INDEX = tf.int64


@dataclass(frozen=True)
class Run:
    """Batches that one loop of an epoch's graph goes through."""

    stop: int  # the first batch after them
    batch: Callable[[Any, Any], Any]  # of a feed and the batch's number, in the graph


@dataclass(frozen=True)
class Resident:
    """Rows as tensors, and where batches begin and end; an epoch feeds the order of the rows."""

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
    def feed_spec(self) -> Any:
        """What an epoch feeds: all rows in their order."""
        return tf.TensorSpec([self.rows], INDEX)

    def as_they_lie(self) -> Any:
        """Give the feed that keeps the order of the data."""
        return tf.range(self.rows, dtype=INDEX)

    def runs(self, sized: bool) -> list[Run]:
        """Give all batches as one run whose sizes stay open, as in fit, or `sized`: a run for each size."""
        if not sized:
            return [Run(self.batches, self._batch)]
        sizes = [stop - start for start, stop in pairwise(self.bounds)]
        ends = [
            place
            for place in range(1, len(sizes) + 1)
            if sizes[place - 1 : place] != sizes[place : place + 1]
        ]
        if len(ends) > MOST_SIZED_RUNS:
            raise NoProgram(f"the sizes of its batches change {len(ends) - 1} times an epoch", step=3)
        return [Run(stop, partial(self._sized_batch, start, stop)) for start, stop in pairwise([0, *ends])]

    def _batch(self, feed: Any, step: Any) -> Any:
        bounds = tf.constant(self.bounds, INDEX)
        return self._gathered(feed[bounds[step] : bounds[step + 1]])

    def _sized_batch(self, first: int, stop: int, feed: Any, step: Any) -> Any:
        """Take a line of a matrix of rows: a slice whose place is not known has no size that XLA would know."""
        start, size = self.bounds[first], self.bounds[first + 1] - self.bounds[first]
        lines = tf.reshape(feed[start : self.bounds[stop]], [stop - first, size])
        return self._gathered(tf.gather(lines, step - first))

    def _gathered(self, rows: Any) -> Any:
        return keras.tree.map_structure(
            lambda tensor: None if tensor is None else tf.gather(tensor, rows), self.tensors
        )


@dataclass(frozen=True)
class Streamed:
    """A Dataset that is read while the epoch runs; an epoch feeds an iterator."""

    dataset: Any
    batches: int
    goes_on: bool  # it never ends: an epoch begins where the last one stopped, as in fit

    @property
    def feed_spec(self) -> Any:
        """What an epoch feeds: an iterator of these batches."""
        return tf.data.IteratorSpec(self.dataset.element_spec)

    def as_they_lie(self) -> Any:
        """Give a new iterator."""
        return iter(self.dataset)

    def runs(self, sized: bool) -> list[Run]:
        """Give all batches as one run, which reads the next one each time; XLA cannot read."""
        if sized:
            raise NoProgram("the Dataset is read as the training runs, which XLA cannot", step=3)
        return [Run(self.batches, lambda feed, step: feed.get_next())]


Source = Resident | Streamed


def array_source(tensors: Any, rows: int, batch_size: int, steps: int | None) -> Resident:
    """Cut what read_arrays gave into batches; raises NoProgram for sparse arrays."""
    if not all(isinstance(leaf, tf.Tensor) for leaf in _leaves(tensors)):
        raise NoProgram("sparse or ragged arrays are cut batch by batch", step=3)
    batches = min(steps or math.inf, math.ceil(rows / batch_size))
    bounds = (min(batch * batch_size, rows) for batch in range(int(batches) + 1))
    return Resident(tensors, tuple(bounds))


def dataset_source(dataset: Any, class_weight: Any, steps: int | None) -> Source:
    """Read a Dataset twice to see whether it can be resident; raises NoProgram where fit must count its batches."""
    read = TFDatasetAdapter(dataset, class_weight=class_weight).get_tf_dataset()
    count = int(read.cardinality())
    if count == tf.data.INFINITE_CARDINALITY:
        assert steps is not None, "checked when the problem was loaded"
        return Streamed(read, steps, goes_on=True)
    batches = _batches_in_memory(read)
    if batches is not None:
        count = len(batches)
    if count < 0:
        raise NoProgram("the Dataset is large and does not say how many batches it has", step=3)
    if steps not in (None, count):
        # fit goes on with the same pass through the data in the next epoch, and warns where it ends
        raise NoProgram(f"an epoch takes {steps} of the Dataset's {count} batches", step=3)
    if batches is None or not _repeats(read, batches):
        return Streamed(read, count, goes_on=False)
    return _joined(batches) or Streamed(read, count, goes_on=False)


def _batches_in_memory(dataset: Any) -> Sequence[Any] | None:
    """Read all batches; None where they are more than plain tensors, or too many."""
    batches, size = [], 0
    for batch in dataset:
        leaves = _leaves(batch)
        if not all(isinstance(leaf, tf.Tensor) and leaf.shape.rank for leaf in leaves):
            return None
        size += sum(leaf.dtype.size * int(tf.size(leaf)) for leaf in leaves)
        if size > MOST_BYTES:
            return None
        batches.append(batch)
    return batches


def _repeats(dataset: Any, batches: Sequence[Any]) -> bool:
    pairs = zip_longest(batches, dataset)
    return all(one is not None and other is not None and _equal(one, other) for one, other in pairs)


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(_leaves(one), _leaves(other), strict=True)
    return all(_same(first.numpy(), second.numpy()) for first, second in pairs)


def _same(one: Any, other: Any) -> bool:
    """Two NaNs are the same: a target that is missing."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" and other.dtype.kind == "f")


def _joined(batches: Sequence[Any]) -> Resident | None:
    """Put the batches one behind the other; None where their shapes differ."""
    sizes = [int(_leaves(batch)[0].shape[0]) for batch in batches]
    try:
        tensors = keras.tree.map_structure(lambda *leaves: tf.concat(leaves, axis=0), *batches)
    except (tf.errors.InvalidArgumentError, ValueError):
        return None
    return Resident(tensors, (0, *np.cumsum(sizes).tolist()))


def _leaves(tree: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(tree) if leaf is not None]
