"""What do the problems share? Nets, and scores on validation and test rows at once: two metrics over one split.

A test split is scored after the training only, by a call of Keras that costs as much as a whole training of these
small nets. Here the target carries a further column that says to which part a row belongs.
"""

import keras
import numpy as np


def regression_net(sizes):
    """The net 10-64-1 that two problems share, compiled."""
    layers = [keras.Input((10,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)]
    return compiled(keras.Sequential(layers), keras.losses.mean_squared_error, sizes)


def compiled(net, loss, sizes):
    """The net with the optimizer that the tables call the user's own."""
    net.compile(optimizer="sgd", **losses_of(loss, sizes))
    return net


def standardised(values, rows):
    """The values with mean 0 and deviation 1 in each column over the first rows, those of the training."""
    return (values - values[:rows].mean(axis=0)) / values[:rows].std(axis=0)


def parted(x, y, sizes):
    """Split rows into training data and one validation split of two parts, marked 1 and 2."""
    train, *_ = sizes
    part = np.repeat([0, 1, 2], sizes)
    target = np.column_stack([y[: sum(sizes)], part]).astype("float32")
    return (x[:train], target[:train]), (x[train : sum(sizes)], target[train:])


def losses_of(loss, sizes):
    """The loss over all rows, and the metrics `chosen` and `judged`, its means over the parts 1 and 2."""
    _, *parts = sizes

    def whole(target, predicted):
        return loss(target[:, :-1], predicted)

    def mean_over(part):
        def metric(target, predicted):
            belongs = keras.ops.cast(target[:, -1] == part, predicted.dtype)
            return loss(target[:, :-1], predicted) * belongs * (sum(parts) / parts[part - 1])

        metric.__name__ = ("chosen", "judged")[part - 1]
        return metric

    return {"loss": whole, "metrics": [mean_over(1), mean_over(2)]}


# mypy: allow-untyped-defs, allow-untyped-calls
