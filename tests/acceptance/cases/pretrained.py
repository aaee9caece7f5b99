# Source: sherpa-ai/sherpa#22 (which weights a trial begins with). A base is loaded and frozen, a new head trained:
# the base must be the same in every trial of a study, whatever happens to its file meanwhile.
import keras
import numpy as np


def base():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh")])


def model():
    lower = base()
    lower.load_weights("base.weights.h5")
    lower.trainable = False
    net = keras.Sequential([lower, keras.layers.Dense(1)])
    net.compile("sgd", loss="mse", run_eagerly=True)
    return net


def data():
    x = np.linspace(-1.0, 1.0, 48, dtype="float32").reshape(16, 3)
    return (x, x.sum(axis=1)), (x, x.sum(axis=1))


if __name__ == "__main__":
    base().save_weights("base.weights.h5")


# mypy: allow-untyped-defs, allow-untyped-calls
