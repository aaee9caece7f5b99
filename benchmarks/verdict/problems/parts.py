"""What do the problems share? A net, and scores on validation and test rows at once: two metrics over one split.

A test split is scored after the training only, by a call of Keras that costs as much as a whole training of these
small nets. Here the target carries a second column that says to which part a row belongs.
"""

import keras
import numpy as np


def regression_net(sizes):
    """The net 10-64-1 that two problems share, compiled."""
    net = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)]
    )
    net.compile(optimizer="sgd", **losses_of(keras.losses.mean_squared_error, sizes))
    return net


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
