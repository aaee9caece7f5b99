"""GRU: is the weighted sum of six tokens positive, later ones counting more? Embedding and eight units."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 32, "epochs": 6, "validation_batch_size": 500}
SIZES = (384, 250, 250)
TOKENS, LENGTH = 12, 6


def model():
    net = keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(TOKENS, 6),
            layers.GRU(8, unroll=True),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return compiled(net, keras.losses.binary_crossentropy, SIZES)


def data():
    random = np.random.default_rng(3)
    x = random.integers(0, TOKENS, (sum(SIZES), LENGTH)).astype("int32")
    weights = random.normal(size=TOKENS)
    y = weights[x] @ np.linspace(0.5, 1.5, LENGTH) > 0
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
