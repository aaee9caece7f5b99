# Source: no report; a sibling of rate_overridden.py: ReduceLROnPlateau sets a rate that a schedule holds.
# The user expects to be told before the study that the two exclude each other.
import keras
import numpy as np


def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])
    net.compile("sgd", loss="mse")
    return net


def data():
    x = np.random.default_rng(1).normal(size=(120, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x[:80], y[:80]), (x[80:], y[80:])


plateau = keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=9.0, factor=0.5)
fit = {"batch_size": 16, "epochs": 4, "shuffle": False, "callbacks": [plateau]}
