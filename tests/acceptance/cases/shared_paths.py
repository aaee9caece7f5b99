# Source: keras-team/keras#19179, keras-tuner#277: callbacks with one fixed path for all trials.
# The user expects that no trial begins with another one's weights, and that no file is written by two of them.
import os

import keras
import numpy as np


class Notes(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        os.makedirs("out", exist_ok=True)
        with open("out/notes.txt", "a") as file:
            file.write(f"{logs['loss']}\n")


def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])
    net.compile("adam", loss="mse")
    return net


def data():
    x = np.random.default_rng(1).normal(size=(120, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x[:80], y[:80]), (x[80:], y[80:])


fit = {
    "batch_size": 16,
    "epochs": 3,
    "shuffle": False,
    "callbacks": [
        keras.callbacks.BackupAndRestore("out/backup"),
        keras.callbacks.ModelCheckpoint("out/epoch-{epoch}.keras"),
        keras.callbacks.CSVLogger("out/log.csv"),
        Notes(),
    ],
}
