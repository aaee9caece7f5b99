"""Linear model, large batches: softmax regression on the digits' raw pixels, 0 to 16, batches of 250."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 250, "epochs": 30, "validation_batch_size": 600}
SIZES = (1000, 300, 300)


def model():
    net = keras.Sequential([keras.Input((64,)), layers.Dense(10, activation="softmax")])
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    return parted(x[rows], y[rows], SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
