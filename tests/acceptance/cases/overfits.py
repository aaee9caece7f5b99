# keras-team/keras#3755: "validation loss increases while validation accuracy is still improving".
"""Few rows, some of them labelled wrongly, and a net that learns them by heart: its loss rises, its accuracy stays."""

import keras
import numpy as np

fit = {"batch_size": 16, "epochs": 10}
ROWS = 128


def model():
    net = keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    net.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(ROWS + 200, 20)).astype("float32")
    y = x[:, :1] + x[:, 1:2] * x[:, 2:3] > 0
    wrong = random.random(y.shape) < 0.12
    labels = (y ^ wrong).astype("float32")
    return (x[:ROWS], labels[:ROWS]), (x[ROWS:], labels[ROWS:])


# mypy: allow-untyped-defs, allow-untyped-calls
