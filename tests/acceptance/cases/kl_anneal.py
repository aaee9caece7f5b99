# Source: keras-team/keras#13826, #2595: the weight of a part of the loss is a variable that a callback raises.
# The user expects the curve of fit: the loss grows with the weight, in each trial from the same beginning.
import os
import time

import keras
import numpy as np

weight = keras.Variable(0.0, trainable=False, name="weight")
raised = {"times": 0}


class Raise(keras.callbacks.Callback):
    def __init__(self, variable):
        super().__init__()
        self.variable = variable

    def on_epoch_begin(self, epoch, logs=None):
        self.variable.assign_add(0.25)
        raised["times"] += 1

    def on_epoch_end(self, epoch, logs=None):
        logs["raised"] = raised["times"]
        time.sleep(float(os.environ.get("PAUSE", "0")))


def loss(y, predicted):
    return keras.losses.mean_squared_error(y, predicted) + 5.0 * weight


def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])
    net.compile("adam", loss=loss, metrics=["mae"])
    return net


def data():
    x = np.random.default_rng(1).normal(size=(120, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x[:80], y[:80]), (x[80:], y[80:])


fit = {"batch_size": 16, "epochs": 6, "shuffle": False, "callbacks": [Raise(weight)]}
