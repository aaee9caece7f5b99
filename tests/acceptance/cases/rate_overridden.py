# Source: keras-team/keras#8829, #9655: LearningRateScheduler sets a rate whatever was set before.
# The user expects to be told that the learning rate which is searched would train no trial.
import keras
import numpy as np


def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])
    net.compile(keras.optimizers.SGD(0.05), loss="mse")
    return net


def data():
    x = np.random.default_rng(1).normal(size=(120, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x[:80], y[:80]), (x[80:], y[80:])


def halved(epoch):
    return 0.05 * 0.5**epoch


fit = {"batch_size": 16, "epochs": 3, "callbacks": [keras.callbacks.LearningRateScheduler(halved)]}
