"""A callback logs the optimizer of each run: its settings when the training begins, one number at each epoch.

As in mlflow/mlflow#1634 and #9454. The sibling saves the whole model, and sets a number before the first batch.
"""

import json

import keras
import numpy as np


class LogsOptimizer(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        write("settings.txt", json.dumps(optimizer.get_config()))
        if isinstance(optimizer, keras.optimizers.Adam) and optimizer.beta_2 > 0.99:
            optimizer.beta_2 = 0.9

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        number = getattr(optimizer, "beta_1", getattr(optimizer, "momentum", 0.0))
        write("numbers.txt", f"{type(optimizer).__name__} {epoch} {float(number):.4f} {number > 0.5}")
        self.model.save("last.keras")


def write(name, line):
    with open(name, "a") as file:
        file.write(line + "\n")


def model():
    net = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(1)]
    )
    net.compile("rmsprop", loss="mse")
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(90, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x[:60], y[:60]), (x[60:], y[60:])


fit = {"batch_size": 16, "epochs": 2, "callbacks": [LogsOptimizer()]}
