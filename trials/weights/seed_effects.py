"""What does a seed decide of a training? The weights at its beginning, the order of rows, or nothing at all."""

from itertools import islice, zip_longest
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.data.row_order import order_of_rows
from optselect.trials.data.splits import Arrays
from optselect.trials.problem.loading import Problem
from optselect.trials.training.watch import SeededPython
from optselect.trials.weights.weight_marks import FIRST_SEED, SECOND_SEED, Beginnings

MOST_BATCHES = 4
"""Of batches that are read to see whether their order changes: one that shuffles changes the first."""
MOST_NAMES = 3


def rows_differ(problem: Problem) -> bool:
    """Tell whether two seeds, or two trainings, see the rows in another order or otherwise augmented."""
    train, shuffle = problem.data.train, bool(problem.fit.get("shuffle", True))
    if isinstance(train, Arrays):
        orders = [order_of_rows(seed, 1, train.rows, shuffle) for seed in (FIRST_SEED, SECOND_SEED)]
        # Where a batch holds all rows their order changes nothing but the rounding of sums.
        return (problem.batch_size or 0) < train.rows and not np.array_equal(orders[0], orders[1])
    if isinstance(train, tf.data.Dataset):  # it does not know our seeds: if it shuffles, then in each pass
        return not _same(*(list(islice(train, MOST_BATCHES)) for _ in range(2)))
    if shuffle and (train.num_batches or 0) > 1:  # fit puts the batches into an order of its own
        return True
    return not _same(*(_batches_of_seed(train, seed) for seed in (FIRST_SEED, SECOND_SEED)))


def _batches_of_seed(train: Any, seed: int) -> list[Any]:
    """Read a PyDataset as it is in an epoch and in the next one."""
    SeededPython(seed).on_epoch_begin(0)
    numbers = range(min(train.num_batches or MOST_BATCHES, MOST_BATCHES))
    first = [train[number] for number in numbers]
    train.on_epoch_end()
    return first + [train[number] for number in numbers]


def _same(one: Any, other: Any) -> bool:
    pairs = zip_longest(keras.tree.flatten(one), keras.tree.flatten(other))
    return all(np.array_equal(np.asarray(first), np.asarray(second)) for first, second in pairs)


def unsteady_note(beginnings: Beginnings) -> str:
    """What the user must know where weights do not follow from the seed; else empty."""
    if not beginnings.unsteady:
        return ""
    return (
        f"The weights of {listed(beginnings.unsteady)} do not follow from the seed: model() draws them from a generator "
        "that nothing seeds, and another machine begins with others. Draw them by keras.random or numpy.random."
    )


def listed(names: tuple[str, ...]) -> str:
    """Name the first few.

    >>> listed(("a", "b")), listed(("a", "b", "c", "d", "e"))
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
