# Source: sherpa-ai/sherpa#22, tensorflow/tensorflow#60768: all seeds are fixed, so that a search can be repeated.
# Every run of an optimizer is then the same run: five of them are no evidence.
import keras
import numpy as np


def model():
    keras.utils.set_random_seed(7)
    net = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(1)]
    )
    net.compile(keras.optimizers.SGD(0.02), loss="mse", run_eagerly=True)
    return net


def data():
    random = np.random.default_rng(3)
    x = random.normal(size=(96, 3)).astype("float32")
    y = (x @ [1.0, -1.0, 2.0] + 0.3 * random.normal(size=96)).astype("float32")
    return (x[:64], y[:64]), (x[64:], y[64:])


fit = {"batch_size": 16, "epochs": 2, "shuffle": False}


# mypy: allow-untyped-defs, allow-untyped-calls
