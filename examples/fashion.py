"""Which piece of clothing is on the picture? 784 pixels, one hidden layer, ten classes (Fashion-MNIST)."""

import gzip
from pathlib import Path

import keras
import numpy as np

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # apt install dataset-fashion-mnist

fit = {"batch_size": 128, "epochs": 10}


def model():
    net = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    # The optimizer given here is the baseline: what the search has to beat. Loss and metrics stay.
    optimizer = keras.optimizers.RMSprop(learning_rate=1e-4, rho=0.9, epsilon=1e-7)
    net.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return net


def data():
    (images, labels), (test_images, test_labels) = read_images()
    # The first 10,000 of the 60,000 images to train on, the next 2,000 to choose by: enough for a quick study.
    # The 10,000 test images are the data's own; they only judge the choice.
    train = prepared(images[:10_000], labels[:10_000])
    validation = prepared(images[10_000:12_000], labels[10_000:12_000])
    return train, validation, prepared(test_images, test_labels)


def prepared(images, labels):
    """Pixels from 0 to 1, a label as ten zeros and ones."""
    pixels = images.reshape(-1, 784).astype("float32") / 255
    return pixels, keras.utils.to_categorical(labels, 10)


def read_images():
    if DEBIAN.is_dir():
        return read_debian("train"), read_debian("t10k")
    try:
        return keras.datasets.fashion_mnist.load_data()  # from the internet, 30 MB, once
    except Exception as error:
        raise RuntimeError(
            "Fashion-MNIST is neither here nor can it be downloaded: run apt install dataset-fashion-mnist, "
            "or let keras.datasets.fashion_mnist.load_data() reach the internet once"
        ) from error


def read_debian(part):
    """Images and labels in their original format: a header of 16 or 8 bytes, then one byte for each value."""
    with gzip.open(DEBIAN / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(DEBIAN / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


# mypy: allow-untyped-defs, allow-untyped-calls
