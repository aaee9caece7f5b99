"""How do the training processes of a machine hold their rows once between them? In files that each of them reads.

The first to come writes what it has loaded; the others find the same there, and all let their own go. Rows to train
and to validate on are mapped: the system keeps one copy of pages that are only read. Test rows are read batch by
batch, whenever a model is scored on them, and stay in no process.
"""

import logging
import math
import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import filelock
import keras
import numpy as np
import tensorflow as tf

from optselect.trials.data.kept_rows import MOST_BYTES, write_array
from optselect.trials.data.row_order import read_arrays
from optselect.trials.data.splits import Arrays, Data, Split, tensor_over
from optselect.trials.data.unused_folders import forget_unused
from optselect.trials.programs.sources import Streamed
from optselect.trials.terms.own_files import make_folder

log = logging.getLogger(__name__)

LEAST_SHARED_BYTES = 2**20
"""Less is not worth a file."""
MOST_SHARED_BYTES = 2**30
"""More would soon push the weights, which lie beside it, off the disk."""
COMPARED_AT_ONCE = 2**24
"""Bytes; comparing takes memory of its own."""


def share_rows(data: Data, folder: Path, test_batch_size: int) -> Data:
    """Give the same data with its tensors in files below `folder`; where that cannot be, as it is.

    Of data that is mapped already only the test rows are left there.
    """
    size = sum(tensor.dtype.size * int(tf.size(tensor)) for tensor in _tensors(data))
    if not data.is_mapped and not LEAST_SHARED_BYTES <= size <= MOST_SHARED_BYTES:
        return data
    try:
        make_folder(folder)
        os.utime(folder)  # in use
        with filelock.FileLock(folder / "lock", mode=0o600):
            train, validation = data.train, data.validation
            if not data.is_mapped:
                train = _shared(train, folder / "train")
                validation = _shared(validation, folder / "validation")
            shared = Data(train, validation, _left_there(data.test, folder / "test", test_batch_size))
        forget_unused(folder.parent, MOST_BYTES, but=folder)
    except OSError as error:
        log.warning("each training process holds its own rows: %s", error)
        return data
    return shared


def _tensors(data: Data) -> Iterator[Any]:
    for _, split in data.splits():
        if isinstance(split, Arrays):
            yield from filter(_is_tensor, keras.tree.flatten(split.packed()))


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, tf.Tensor) and leaf.dtype != tf.string


def _shared(split: Split, name: Path) -> Split:
    """Put each tensor over a file's own pages."""
    numbers = count(1)

    def shared(leaf: Any) -> Any:
        if not _is_tensor(leaf):
            return leaf
        lying = _lying(leaf, name.with_name(f"{name.name}-{next(numbers)}.npy"))
        return leaf if lying is None else tensor_over(lying)  # .npy files align what they hold

    return split.mapped(shared) if isinstance(split, Arrays) else split


def _left_there(split: Split | None, name: Path, batch_size: int) -> Split | None:
    """Give batches that are read when they are asked for, as evaluate would cut and convert them."""
    if not isinstance(split, Arrays):
        return split
    tensors = read_arrays(split, batch_size)
    leaves = keras.tree.flatten(tensors)
    if not all(map(_is_tensor, leaves)):
        return split
    files = [name.with_name(f"{name.name}-{number}.npy") for number in range(1, len(leaves) + 1)]
    lying = [_lying(leaf, file) for leaf, file in zip(leaves, files, strict=True)]
    if any(one is None for one in lying):
        return split
    return Streamed(
        _read_piecewise(files, lying, tensors, batch_size), math.ceil(split.rows / batch_size), False
    )


def _read_piecewise(files: Sequence[Path], lying: Sequence[Any], tensors: Any, batch_size: int) -> Any:
    streams = [file.open("rb") for file in files]  # stay readable whoever removes the files

    def read(batch: Any) -> list[np.ndarray[Any, Any]]:
        first = int(batch) * batch_size
        return [_rows(stream, one, first, batch_size) for stream, one in zip(streams, lying, strict=True)]

    def batch_of(number: Any) -> Any:
        parts = tf.numpy_function(read, [number], [one.dtype for one in lying], stateful=False)
        for part, one in zip(parts, lying, strict=True):
            part.set_shape([None, *one.shape[1:]])
        return keras.tree.pack_sequence_as(tensors, parts)

    batches = tf.data.Dataset.range(math.ceil(len(lying[0]) / batch_size))
    return batches.map(tf.autograph.experimental.do_not_convert(batch_of))


def _rows(stream: Any, lying: np.memmap[Any, Any], first: int, most: int) -> np.ndarray[Any, Any]:
    """Read some rows without touching the pages of the map, which would count as this process's."""
    rows, row_bytes = min(most, len(lying) - first), lying.nbytes // len(lying)
    read = os.pread(stream.fileno(), rows * row_bytes, lying.offset + first * row_bytes)
    return np.frombuffer(read, lying.dtype).reshape(rows, *lying.shape[1:])


def _lying(tensor: Any, file: Path) -> Any:
    """Map a file that holds the tensor's very bytes, written now if nobody has; None if it holds others."""
    own = np.asarray(tensor)
    try:
        if not file.exists():
            write_array(file, own)
        lying = np.load(file, mmap_mode="c", allow_pickle=False)
    except ValueError:  # no whole file: a disk lost something
        file.unlink()
        return None
    is_same = (lying.dtype, lying.shape) == (own.dtype, own.shape) and _same_bytes(lying, own)
    # Anew: no page was read of it.
    return np.load(file, mmap_mode="c", allow_pickle=False) if is_same else None


def _same_bytes(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    one, other = one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8)
    parts = (slice(start, start + COMPARED_AT_ONCE) for start in range(0, one.size, COMPARED_AT_ONCE))
    return all(np.array_equal(one[part], other[part]) for part in parts)
