"""A recurrent layer keeps its state from batch to batch; a callback resets it when an epoch begins.

As in keras-team/keras#20327 and tensorflow/tensorflow#86310.
"""

import keras
import numpy as np


class Resets(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.layers[0].reset_state()


def model():
    layers = keras.layers.GRU(4, stateful=True), keras.layers.Dense(1)
    net = keras.Sequential([keras.Input(batch_shape=(10, 5, 2)), *layers])
    net.compile("rmsprop", loss="mse")
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(60, 5, 2)).astype("float32")
    y = x.sum(axis=(1, 2))[:, None]
    return (x[:40], y[:40]), (x[40:], y[40:])


fit = {"batch_size": 10, "epochs": 2, "shuffle": False, "callbacks": [Resets()]}
