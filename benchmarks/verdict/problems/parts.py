"""How do a trial's epochs score validation and test rows at once? By two metrics over one validation split.

A test split is scored after the training only, by a call of Keras that costs as much as a whole training of these
small nets. Here the target carries a second column that says to which part a row belongs.
"""

import keras
import numpy as np


def parted(x, y, sizes):
    """Split rows into training data and one validation split of two parts, marked 1 and 2."""
    train, *_ = sizes
    part = np.repeat([0, 1, 2], sizes)
    target = np.stack([y[: sum(sizes)], part], axis=1).astype("float32")
    return (x[:train], target[:train]), (x[train : sum(sizes)], target[train:])


def losses_of(loss, sizes):
    """The loss over all rows, and the metrics `chosen` and `judged`, its means over the parts 1 and 2."""
    _, *parts = sizes

    def whole(target, predicted):
        return loss(target[:, :1], predicted)

    def mean_over(part):
        def metric(target, predicted):
            belongs = keras.ops.cast(target[:, 1] == part, predicted.dtype)
            return loss(target[:, :1], predicted) * belongs * (sum(parts) / parts[part - 1])

        metric.__name__ = ("chosen", "judged")[part - 1]
        return metric

    return {"loss": whole, "metrics": [mean_over(1), mean_over(2)]}
