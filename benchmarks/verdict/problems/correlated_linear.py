"""Linear model, ill-scaled inputs: twelve inputs that share most of their variance; conditioned as 1 to 10,000."""

import keras
import numpy as np
from keras import layers
from parts import compiled, parted

fit = {"batch_size": 16, "epochs": 20, "validation_batch_size": 800}
SIZES = (320, 400, 400)
INPUTS = 12


def model():
    net = keras.Sequential([keras.Input((INPUTS,)), layers.Dense(1)])
    return compiled(net, keras.losses.mean_squared_error, SIZES)


def data():
    random = np.random.default_rng(12)
    rotation, _ = np.linalg.qr(random.normal(size=(INPUTS, INPUTS)))
    hidden = random.normal(size=(sum(SIZES), INPUTS))
    x = hidden * np.logspace(0.5, -1.5, INPUTS) @ rotation
    y = hidden @ random.normal(size=INPUTS) / np.sqrt(INPUTS) + random.normal(0, 0.2, len(x))
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
