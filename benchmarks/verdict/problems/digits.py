"""Classes: scikit-learn's 8x8 digits, dense 64-32-10; several optimizers tie at the top, others stay behind."""

import keras
import numpy as np
from parts import losses_of, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 32, "epochs": 10}
SIZES = (1000, 397, 400)


def model():
    net = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    net.compile(optimizer="sgd", **losses_of(keras.losses.sparse_categorical_crossentropy, SIZES))
    return net


def data():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    return parted(x[rows] / 16, y[rows], SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
