"""scikit-learn's diabetes data, 10-64-1: small and noisy, so that tuned optimizers end up alike."""

import keras
import numpy as np
from parts import losses_of, parted
from sklearn.datasets import load_diabetes

fit = {"batch_size": 32, "epochs": 25}
SIZES = (242, 100, 100)


def model():
    net = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)]
    )
    net.compile(optimizer="sgd", **losses_of(keras.losses.mean_squared_error, SIZES))
    return net


def data():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    rows = np.random.default_rng(0).permutation(len(x))
    x, y, train = x[rows], y[rows], slice(SIZES[0])
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    y = (y - y[train].mean()) / y[train].std()
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
