"""Regression, many epochs: a noisy sum of sines, 1-48-48-1 on 64 rows, all in one batch, 80 epochs."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 64, "epochs": 80, "validation_batch_size": 400}
SIZES = (64, 200, 200)


def model():
    hidden = [layers.Dense(48, activation="elu") for _ in range(2)]
    net = keras.Sequential([keras.Input((1,)), *hidden, layers.Dense(1)])
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    random = np.random.default_rng(16)
    x = random.uniform(-2, 2, (sum(SIZES), 1))
    y = np.sin(2 * x) + 0.5 * np.sin(5 * x + 1) + random.normal(0, 0.1, x.shape)
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
