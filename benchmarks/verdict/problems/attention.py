"""Attention: which of three kinds are most of eight tokens? Embedding, one block of self-attention, LayerNorm."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 32, "epochs": 6, "validation_batch_size": 500}
SIZES = (480, 250, 250)
KINDS, TOKENS, LENGTH = 3, 12, 8


def model():
    given = keras.Input((LENGTH,), dtype="int32")
    tokens = layers.Embedding(TOKENS, 8)(given)
    attended = layers.Add()([tokens, layers.MultiHeadAttention(num_heads=2, key_dim=4)(tokens, tokens)])
    mean = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(attended))
    net = keras.Model(given, layers.Dense(KINDS, activation="softmax")(mean))
    return compiled(net, keras.losses.sparse_categorical_crossentropy, SIZES)


def data():
    random, shape = np.random.default_rng(9), (sum(SIZES), LENGTH)
    kinds = random.integers(0, KINDS, shape)
    x = kinds + KINDS * random.integers(0, TOKENS // KINDS, shape)
    y = (kinds[:, :, None] == np.arange(KINDS)).sum(axis=1).argmax(axis=1)
    return parted(x.astype("int32"), y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
