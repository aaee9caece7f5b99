"""Classes, few epochs: three noisy classes in 20 inputs, 20-32-3, two epochs of 150 batches of 8."""

import keras
from keras import layers
from parts import compiled, parted
from sklearn.datasets import make_classification

fit = {"batch_size": 8, "epochs": 2, "validation_batch_size": 800}
SIZES = (1200, 400, 400)


def model():
    net = keras.Sequential(
        [keras.Input((20,)), layers.Dense(32, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = make_classification(
        n_samples=sum(SIZES), n_features=20, n_informative=8, n_classes=3, flip_y=0.05, random_state=3
    )
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
