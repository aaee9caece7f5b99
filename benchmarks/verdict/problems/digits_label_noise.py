"""Classes, label noise: the 8x8 digits with three training labels of ten drawn anew, dense 64-48-10."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 32, "epochs": 12, "validation_batch_size": 600}
SIZES = (640, 300, 300)


def model():
    net = keras.Sequential(
        [keras.Input((64,)), layers.Dense(48, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = load_digits(return_X_y=True)
    random, (train, *_) = np.random.default_rng(0), SIZES
    rows = random.permutation(len(x))
    wrong = (random.random(len(x)) < 0.3) & (np.arange(len(x)) < train)
    return parted(x[rows] / 16, np.where(wrong, random.integers(0, 10, len(x)), y[rows]), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
