"""Regression, ill-scaled inputs: all inputs are about a hundredth, as in SI units, so weights must grow, 8-48-1."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted, standardised

fit = {"batch_size": 32, "epochs": 14, "validation_batch_size": 600}
SIZES = (512, 300, 300)


def model():
    net = keras.Sequential([keras.Input((8,)), layers.Dense(48, activation="relu"), layers.Dense(1)])
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    random, (train, *_) = np.random.default_rng(31), SIZES
    x = random.normal(size=(sum(SIZES), 8))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + random.normal(0, 0.3, len(x))
    return parted(x / 100, standardised(y[:, None], train)[:, 0], SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
