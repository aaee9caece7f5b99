"""Classes, small batches: two spirals, which bend the border of the classes, 2-32-32-1, batches of 10."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 10, "epochs": 8, "validation_batch_size": 400}
SIZES = (300, 200, 200)


def model():
    hidden = [layers.Dense(32, activation="relu") for _ in range(2)]
    net = keras.Sequential([keras.Input((2,)), *hidden, layers.Dense(1, activation="sigmoid")])
    return compiled(net, keras.losses.binary_crossentropy, SIZES)


def data():
    random = np.random.default_rng(5)
    y = random.integers(0, 2, sum(SIZES))
    turn = np.sqrt(random.uniform(0.05, 1, len(y))) * 2.2 * np.pi
    angle = turn + np.pi * y
    x = np.column_stack([turn * np.cos(angle), turn * np.sin(angle)]) / 4
    return parted(x + random.normal(0, 0.08, x.shape), y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
