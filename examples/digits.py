"""A small convolutional net on the 8x8 handwritten digits of scikit-learn."""

import keras
import numpy as np
from sklearn.datasets import load_digits

fit = {"batch_size": 64, "epochs": 12}


def model():
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    # The optimizer given here is the baseline: what the search has to beat. Loss and metrics stay.
    net.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


def data():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1)

    # 1,797 images in a fixed order: 1,200 to train on, 297 to choose by, 300 to judge the choice.
    rows = np.random.default_rng(0).permutation(len(images))
    train, validation, test = rows[:1200], rows[1200:1497], rows[1497:]
    return tuple((images[part], labels[part]) for part in (train, validation, test))


# mypy: allow-untyped-defs, allow-untyped-calls
