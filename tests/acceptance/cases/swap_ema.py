"""The optimizer averages the weights, and SwapEMAWeights lets the validation see the average.

As in keras-team/keras#18978 and #18949.
"""

import keras
import numpy as np


def model():
    net = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(1)]
    )
    net.compile(keras.optimizers.RMSprop(1e-2, use_ema=True, ema_momentum=0.8), loss="mse")
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(90, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x[:60], y[:60]), (x[60:], y[60:])


fit = {"batch_size": 16, "epochs": 2, "callbacks": [keras.callbacks.SwapEMAWeights()]}
