"""Classes, ill-scaled inputs: digits with their pixels as a camera gives them, 0 to 255, 64-32-10."""

import keras
from keras import layers
from parts import compiled, parted
from sklearn.datasets import load_digits

fit = {"batch_size": 32, "epochs": 8, "validation_batch_size": 600}
SIZES = (600, 300, 300)


def model():
    net = keras.Sequential(
        [keras.Input((64,)), layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = load_digits(return_X_y=True)
    return parted(x * (255 / 16), y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
