"""Regression, LayerNorm: Friedman's third function, noisy, through two layers of 24, each normalized."""

import keras
from keras import layers
from parts import compiled, parted, standardised
from sklearn.datasets import make_friedman3

fit = {"batch_size": 32, "epochs": 8, "validation_batch_size": 600}
SIZES = (512, 300, 300)


def model():
    net = keras.Sequential([keras.Input((4,))])
    for _ in range(2):
        net.add(layers.Dense(24))
        net.add(layers.LayerNormalization())
        net.add(layers.Activation("relu"))
    net.add(layers.Dense(1))
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    x, y = make_friedman3(n_samples=sum(SIZES), noise=0.05, random_state=0)
    train, *_ = SIZES
    return parted(standardised(x, train), standardised(y, train), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
