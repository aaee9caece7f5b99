"""Linear model, sparse counts: 120 words of which a text has ten, a logistic regression in batches of 20."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 20, "epochs": 12, "validation_batch_size": 600}
SIZES = (500, 300, 300)
WORDS = 120


def model():
    net = keras.Sequential([keras.Input((WORDS,)), layers.Dense(1, activation="sigmoid")])
    return compiled(net, keras.losses.binary_crossentropy, SIZES)


def data():
    random = np.random.default_rng(63)
    chances = random.dirichlet(np.full(WORDS, 0.5))
    x = random.multinomial(10, chances, size=sum(SIZES))
    odds = x @ random.normal(0, 1.2, WORDS)
    odds -= np.median(odds)
    return parted(x, (random.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(int), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
