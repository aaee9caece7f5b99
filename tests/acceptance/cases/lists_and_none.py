# Source: own: several inputs as a list, weights for one of two outputs only, None for the other.
import keras
import numpy as np


def model():
    left, right = keras.Input((3,)), keras.Input((2,))
    hidden = keras.layers.Dense(6, activation="tanh")(keras.layers.Concatenate()([left, right]))
    outputs = [keras.layers.Dense(1, name=name)(hidden) for name in ("one", "other")]
    net = keras.Model([left, right], outputs)
    net.compile("adam", loss=["mse", "mae"])
    return net


def data():
    random = np.random.default_rng(2)
    left, right = random.normal(size=(120, 3)), random.normal(size=(120, 2))
    one, other = left.sum(axis=1), right.sum(axis=1)
    weights = random.uniform(0.5, 1.5, size=120)

    def part(rows):
        return [left[rows], right[rows]], [one[rows], other[rows]], [weights[rows], None]

    return part(slice(0, 80)), part(slice(80, None))


fit = {"batch_size": 32, "epochs": 2}
