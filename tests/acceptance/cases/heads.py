# keras-team/autokeras#1596, keras-team/keras-tuner#464: the direction of val_<head>_accuracy was taken to be "min".
# mypy: allow-untyped-defs, allow-untyped-calls
"""Two heads whose names hold words of metrics: error_type (a fault?) and accident (an accuracy?)."""

import keras
import numpy as np

fit = {"batch_size": 32, "epochs": 3}


def nll(labels, chances):
    return keras.losses.binary_crossentropy(labels, chances)


def model():
    records = keras.Input((6,))
    hidden = keras.layers.Dense(8, activation="relu")(records)
    kind = keras.layers.Dense(3, activation="softmax", name="error_type")(hidden)
    accident = keras.layers.Dense(1, activation="sigmoid", name="accident")(hidden)
    net = keras.Model(records, [kind, accident])
    losses = ["sparse_categorical_crossentropy", "binary_crossentropy"]
    net.compile("adam", loss=losses, metrics=[["accuracy"], [nll]])
    return net


def data():
    x = np.random.default_rng(4).normal(size=(192, 6)).astype("float32")
    kinds, accidents = x[:, :3].argmax(axis=1), (x[:, 4:5] > 0).astype("float32")
    return (x[:128], (kinds[:128], accidents[:128])), (x[128:], (kinds[128:], accidents[128:]))
