"""Convolution over time: which of three frequencies has a noisy wave of 24 steps? Two Conv1D, batches of 32."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 32, "epochs": 7, "validation_batch_size": 500}
SIZES = (448, 250, 250)
STEPS = 24


def model():
    net = keras.Sequential(
        [
            keras.Input((STEPS, 1)),
            layers.Conv1D(8, 5, activation="relu"),
            layers.Conv1D(8, 5, strides=2, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    random = np.random.default_rng(7)
    rows = (sum(SIZES), 1)
    y = random.integers(0, 3, sum(SIZES))
    cycles = np.array([0.12, 0.18, 0.27])[y, None] * np.arange(STEPS) + random.uniform(0, 1, rows)
    x = np.sin(2 * np.pi * cycles) * random.uniform(0.5, 1.5, rows) + random.normal(0, 0.6, (len(y), STEPS))
    return parted(x[:, :, None], y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
