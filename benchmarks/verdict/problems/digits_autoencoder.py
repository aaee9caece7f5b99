"""Autoencoder: the 8x8 digits through eight numbers, 64-32-8-32-64 with tanh, batches of 32."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 32, "epochs": 8, "validation_batch_size": 600}
SIZES = (480, 300, 300)


def model():
    net = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="tanh"),
            layers.Dense(8),
            layers.Dense(32, activation="tanh"),
            layers.Dense(64, activation="sigmoid"),
        ]
    )
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    x, _ = load_digits(return_X_y=True)
    x = x[np.random.default_rng(0).permutation(len(x))] / 16
    return parted(x[: sum(SIZES)], x, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
