"""clear_session() stands at the head of the function that builds the model.

As a review of optuna/optuna#489 asks, and in keras-team/keras-tuner#395.
"""

import keras
import numpy as np
from keras.utils import clear_session


def model():
    clear_session()
    hidden = keras.layers.Dense(6, activation="relu"), keras.layers.Dropout(0.2)
    net = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1, "sigmoid", dtype="float32")])
    metrics = [keras.metrics.AUC(num_thresholds=20), keras.metrics.Precision()]
    net.compile("rmsprop", loss="binary_crossentropy", metrics=metrics)
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(90, 4)).astype("float32")
    y = (x.sum(axis=1, keepdims=True) > 0).astype("float32")
    return (x[:60], y[:60]), (x[60:], y[60:])


fit = {"batch_size": 16, "epochs": 2}
