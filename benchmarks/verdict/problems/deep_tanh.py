"""Regression, deep tanh: Friedman's second function through five tanh layers of 24, batches of 64."""

import keras
from keras import layers
from parts import compiled, parted, standardised
from sklearn.datasets import make_friedman2

fit = {"batch_size": 64, "epochs": 16, "validation_batch_size": 600}
SIZES = (640, 300, 300)


def model():
    hidden = [layers.Dense(24, activation="tanh") for _ in range(5)]
    net = keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(1)])
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    x, y = make_friedman2(n_samples=sum(SIZES), noise=30.0, random_state=0)
    train, *_ = SIZES
    return parted(standardised(x, train), standardised(y, train), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
