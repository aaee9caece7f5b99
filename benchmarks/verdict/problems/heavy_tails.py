"""Regression, ill-scaled inputs: six lognormal inputs as they are, a few of them thirty times the rest."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted, standardised

fit = {"batch_size": 32, "epochs": 15, "validation_batch_size": 800}
SIZES = (512, 400, 400)


def model():
    net = keras.Sequential([keras.Input((6,)), layers.Dense(48, activation="relu"), layers.Dense(1)])
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    random = np.random.default_rng(14)
    logarithms = random.normal(size=(sum(SIZES), 6))
    y = logarithms[:, 0] + logarithms[:, 1] * logarithms[:, 2] + np.sin(2 * logarithms[:, 3])
    y += random.normal(0, 0.2, len(y))
    train, *_ = SIZES
    return parted(np.exp(logarithms), standardised(y, train), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
