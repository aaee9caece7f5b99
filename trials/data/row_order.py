"""In which order do the rows of an epoch come?

The order follows from seed and epoch alone, so that all optimizers of a seed see the same batches and a resumed
trial repeats what an uninterrupted one would have seen. Kept for good: changing it changes every result.
"""

import math
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Keras has no public way to ask how fit would read these arrays; the bounds on its version keep this import true.
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from optselect.trials.data.splits import Arrays


def order_of_rows(seed: int, epoch: int, rows: int, shuffle: bool) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give the rows of an epoch (counted from 1) in the order of training."""
    if not shuffle:
        return np.arange(rows, dtype=np.int64)
    return np.random.default_rng((seed, epoch)).permutation(rows).astype(np.int64)


def read_arrays(arrays: Arrays, batch_size: int, class_weight: Any = None) -> Any:
    """Give what fit would read: (x, y) or (x, y, sample_weight), trees of tensors, or of Keras's sparse wrappers."""
    adapter = ArrayDataAdapter(
        arrays.x, arrays.y, arrays.sample_weight, batch_size=batch_size, class_weight=class_weight
    )
    sliceable = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="tensorflow")
    return keras.tree.map_structure(_as_tensor, keras.tree.lists_to_tuples(sliceable))


class TrainingRows:
    """The training arrays as Keras reads them, read once, and their batches epoch by epoch."""

    def __init__(
        self, arrays: Arrays, batch_size: int, class_weight: Any, shuffle: bool, steps: int | None
    ) -> None:
        self._rows, self._batch_size, self._shuffle = arrays.rows, batch_size, shuffle
        # A steps_per_epoch of the user's takes the first batches of each epoch's order.
        self.steps = min(steps or math.inf, math.ceil(arrays.rows / batch_size))
        self.tensors = read_arrays(arrays, batch_size, class_weight)

    def batches(self, seed: int, first_epoch: int, last_epoch: int) -> Any:
        """Give one tf.data.Dataset of all batches of these epochs, self.steps for each."""
        epochs = tf.data.Dataset.range(first_epoch, last_epoch + 1)
        # Converting them by autograph would look through all modules, whose pages forks share until they are touched.
        rows = tf.autograph.experimental.do_not_convert(partial(self._batches_of_rows, seed))
        gather = tf.autograph.experimental.do_not_convert(self._gather)
        return (
            epochs.flat_map(rows)
            .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
            .with_options(_plain_options())
            .prefetch(tf.data.AUTOTUNE)
        )

    def _batches_of_rows(self, seed: int, epoch: Any) -> Any:
        def order(epoch: Any) -> Any:
            return order_of_rows(seed, int(epoch), self._rows, self._shuffle)

        rows = tf.numpy_function(order, [epoch], tf.int64, stateful=False)
        rows.set_shape([self._rows])
        return tf.data.Dataset.from_tensor_slices(rows).batch(self._batch_size).take(self.steps)

    def _gather(self, rows: Any) -> Any:
        def gather(tensor: Any) -> Any:
            if isinstance(tensor, array_slicing.TensorflowSparseWrapper):
                return array_slicing.slice_tensorflow_sparse_wrapper(tensor, rows)
            if isinstance(tensor, (list, tuple, dict)):
                return None  # tells traverse to go on into the structure
            return tensor if tensor is None else tf.gather(tensor, rows, axis=0)

        return keras.tree.traverse(gather, self.tensors)


def _as_tensor(value: Any) -> Any:
    if isinstance(value, tf.Tensor):
        return tf.identity(value)  # where the training runs: on a GPU a copy, else the same memory
    return tf.constant(value) if isinstance(value, np.ndarray) else value


def _plain_options() -> Any:
    options = tf.data.Options()
    # As in Keras's own pipeline for arrays: the default rewrites cost more than they bring.
    options.experimental_optimization.apply_default_optimizations = False
    return options
