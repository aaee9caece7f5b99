"""Embeddings, sparse gradients: the topic of twelve words out of 400, most of them rare; mean of their vectors."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 16, "epochs": 8, "validation_batch_size": 600}
SIZES = (480, 300, 300)
WORDS, TOPICS = 400, 4


def model():
    net = keras.Sequential(
        [
            keras.Input((12,), dtype="int32"),
            layers.Embedding(WORDS, 12),
            layers.GlobalAveragePooling1D(),
            layers.Dense(TOPICS, activation="softmax"),
        ]
    )
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    random = np.random.default_rng(4)
    zipf = 1 / np.arange(1, WORDS + 1)
    words = np.array([random.permutation(WORDS) for _ in range(TOPICS)])
    y = random.integers(0, TOPICS, sum(SIZES))
    # A third of the words say nothing of the topic, so that no loss ends at zero.
    spoken = np.where(
        random.random((len(y), 12)) < 1 / 3, random.integers(0, TOPICS, (len(y), 12)), y[:, None]
    )
    x = words[spoken, random.choice(WORDS, (len(y), 12), p=zipf / zipf.sum())]
    return parted(x.astype("int32"), y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
