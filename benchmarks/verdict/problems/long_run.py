"""Classes, many epochs: sixty passes over 300 rows of four classes, of which a tenth is mislabelled, 12-32-4."""

import keras
from keras import layers
from parts import compiled, parted, standardised
from sklearn.datasets import make_classification

fit = {"batch_size": 50, "epochs": 60, "validation_batch_size": 600}
SIZES = (300, 300, 300)


def model():
    net = keras.Sequential(
        [keras.Input((12,)), layers.Dense(32, activation="relu"), layers.Dense(4, activation="softmax")]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = make_classification(
        n_samples=sum(SIZES), n_features=12, n_informative=6, n_classes=4, flip_y=0.1, random_state=17
    )
    return parted(standardised(x, SIZES[0]), y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
