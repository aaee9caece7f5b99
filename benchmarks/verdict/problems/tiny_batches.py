"""Classes, tiny batches: four overlapping clouds in six inputs, 6-24-4, two rows a batch, four epochs."""

import keras
from keras import layers
from parts import compiled, parted, standardised
from sklearn.datasets import make_blobs

fit = {"batch_size": 2, "epochs": 4, "validation_batch_size": 600}
SIZES = (160, 300, 300)


def model():
    net = keras.Sequential(
        [keras.Input((6,)), layers.Dense(24, activation="relu"), layers.Dense(4, activation="softmax")]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    x, y = make_blobs(n_samples=sum(SIZES), n_features=6, centers=4, cluster_std=6.0, random_state=7)
    train, *_ = SIZES
    return parted(standardised(x, train), y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
