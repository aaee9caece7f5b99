"""Several targets, NaN where a label is missing, and a loss that leaves those out.

As in keras-team/keras#1628, #9549 and pull request #18049.
"""

import keras
import numpy as np
from keras import ops


def mean_of_known(y, predicted):
    known = ops.cast(ops.logical_not(ops.isnan(y)), predicted.dtype)
    error = ops.square(ops.where(ops.isnan(y), ops.zeros_like(y), y) - predicted)
    return ops.sum(known * error, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)


def model():
    net = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)]
    )
    net.compile("rmsprop", loss=mean_of_known)
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(90, 4)).astype("float32")
    y = (x @ random.normal(size=(4, 3))).astype("float32")
    y[random.random(size=y.shape) < 0.4] = np.nan
    return (x[:60], y[:60]), (x[60:], y[60:])


fit = {"batch_size": 16, "epochs": 2}
