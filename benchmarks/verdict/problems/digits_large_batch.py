"""Classes, large batches: the 8x8 digits, dense 64-32-32-10, two batches of 500 an epoch, 40 epochs."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 500, "epochs": 40, "validation_batch_size": 600}
SIZES = (1000, 300, 300)


def model():
    hidden = [layers.Dense(32, activation="relu") for _ in range(2)]
    net = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, activation="softmax")])
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    return parted(x[rows] / 16, y[rows], SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
