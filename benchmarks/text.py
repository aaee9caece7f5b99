"""Which character comes next? The texts of Python's own help, 32 characters at a time: a problem as a user writes it."""

from pydoc_data.topics import topics

import keras
import numpy as np

fit = {"batch_size": 64, "epochs": 3}

LENGTH = 32
CHARACTERS = (
    "\n !\"'()*,-./0123456789:;=[]_`abcdefghijklmnopqrstuvwxyz"  # capitals become small, all else a space
)


def model():
    net = keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            keras.layers.Embedding(len(CHARACTERS), 16),
            keras.layers.GRU(32),
            keras.layers.Dense(len(CHARACTERS), activation="softmax"),
        ]
    )
    net.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


def data():
    text = "".join(topics[name] for name in sorted(topics)).lower()
    codes = np.array([max(CHARACTERS.find(character), 1) for character in text[:400_000]], "int32")
    windows = np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)[:: LENGTH + 1]
    rows = np.random.default_rng(0).permutation(len(windows))[:2500]
    x, y = windows[rows, :LENGTH], windows[rows, LENGTH]
    return (x[:2000], y[:2000]), (x[2000:], y[2000:])


# mypy: allow-untyped-defs, allow-untyped-calls
