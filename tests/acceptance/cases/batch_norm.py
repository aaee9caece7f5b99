# tensorflow/tensorflow#36446: a val_loss of 302, then of 4991, while the loss falls to 0.05; with BatchNormalization.
"""Three normalized layers on few rows: in the first epochs their moving averages say nothing of the data."""

import keras
import numpy as np

fit = {"batch_size": 16, "epochs": 6}


def model():
    net = keras.Sequential(
        [keras.Input((4,)), *normalized(), *normalized(), *normalized(), keras.layers.Dense(1)]
    )
    net.compile(keras.optimizers.Adam(0.1), loss="mse")
    return net


def normalized():
    return [keras.layers.Dense(32, use_bias=False), keras.layers.BatchNormalization(), keras.layers.ReLU()]


def data():
    random = np.random.default_rng(7)
    x = random.normal(size=(48, 4)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5], [0.0]], "float32")
    return (x[:32], y[:32]), (x[32:], y[32:])


# mypy: allow-untyped-defs, allow-untyped-calls
