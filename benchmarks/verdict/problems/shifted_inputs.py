"""Classes, ill-scaled inputs: two classes in eight inputs that lie far from 0, each between 5 and 50 deviations."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted, standardised
from sklearn.datasets import make_classification

fit = {"batch_size": 32, "epochs": 15, "validation_batch_size": 600}
SIZES = (512, 300, 300)


def model():
    net = keras.Sequential(
        [keras.Input((8,)), layers.Dense(32, activation="relu"), layers.Dense(1, activation="sigmoid")]
    )
    return compiled(net, keras.losses.binary_crossentropy, SIZES)


def data():
    x, y = make_classification(
        n_samples=sum(SIZES), n_features=8, n_informative=5, flip_y=0.05, class_sep=1.5, random_state=5
    )
    random, (train, *_) = np.random.default_rng(18), SIZES
    offsets = random.choice([-1, 1], 8) * np.geomspace(5, 50, 8)
    return parted((standardised(x, train) + random.permutation(offsets)) / 5, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
