"""Regression, dropout: diabetes by the mean absolute error, 10-64-1 with a third dropped, batches of 8."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted, standardised
from sklearn.datasets import load_diabetes

fit = {"batch_size": 8, "epochs": 9, "validation_batch_size": 200}
SIZES = (242, 100, 100)


def model():
    net = keras.Sequential(
        [keras.Input((10,)), layers.Dense(64, activation="relu"), layers.Dropout(0.3), layers.Dense(1)]
    )
    return compiled(net, keras.losses.mean_absolute_error, SIZES)


def data():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    rows, (train, *_) = np.random.default_rng(0).permutation(len(x)), SIZES
    return parted(standardised(x[rows], train), standardised(y[rows], train), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
