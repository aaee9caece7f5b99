"""Convolution: the 8x8 digits by two Conv2D and one pooling, batches of 64."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 64, "epochs": 6, "validation_batch_size": 600}
SIZES = (640, 300, 300)


def model():
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(12, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    return parted(x[rows].reshape(-1, 8, 8, 1) / 16, y[rows], SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
