"""Attention: are the first and the last token alike? Embedding, dot-product attention of the last on all, relu."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 32, "epochs": 8, "validation_batch_size": 500}
SIZES = (480, 250, 250)
TOKENS, LENGTH = 6, 6


def model():
    given = keras.Input((LENGTH,), dtype="int32")
    tokens = layers.Embedding(TOKENS, 8)(given)
    asked = layers.Dense(8)(tokens[:, -1:])
    attended = layers.Flatten()(layers.Attention()([asked, tokens]))
    joined = layers.Concatenate()([attended, layers.Flatten()(tokens)])
    hidden = layers.Dense(16, activation="relu")(joined)
    net = keras.Model(given, layers.Dense(1, activation="sigmoid")(hidden))
    return compiled(net, keras.losses.binary_crossentropy, SIZES)


def data():
    random = np.random.default_rng(21)
    x = random.integers(0, TOKENS, (sum(SIZES), LENGTH))
    y = random.integers(0, 2, len(x))
    x[y == 1, -1] = x[y == 1, 0]
    return parted(x.astype("int32"), (x[:, 0] == x[:, -1]).astype(int), SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
