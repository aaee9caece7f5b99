"""Classes, BatchNorm: the 8x8 digits through two dense layers of 32, each normalized; batches of 50."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 50, "epochs": 7, "validation_batch_size": 600}
SIZES = (700, 300, 300)


def model():
    net = keras.Sequential([keras.Input((64,))])
    for _ in range(2):
        net.add(layers.Dense(32, use_bias=False))
        net.add(layers.BatchNormalization(momentum=0.9))
        net.add(layers.Activation("relu"))
    net.add(layers.Dense(10, activation="softmax"))
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    return parted(x[rows] / 16, y[rows], SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
