# A sibling of keras-team/autokeras#1596: metrics of the user's own, whose names tell nothing, or not what their class does.
# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="misc"
"""A metric with any name that derives from Keras's, one that turns what it derives from, and one of a mean of whatever."""

import keras
import numpy as np

fit = {"batch_size": 16, "epochs": 1}


class Excess(keras.metrics.MeanSquaredError):
    pass


class Missed(keras.metrics.BinaryAccuracy):
    """1 - accuracy."""

    def result(self):
        return 1 - super().result()


class Watched(keras.Model):
    """Reports the mean of its answers beside its metrics."""

    def __init__(self):
        super().__init__()
        self.answer = keras.layers.Dense(1, activation="sigmoid")
        self.spread = keras.metrics.Mean(name="spread")

    def call(self, rows):
        return self.answer(rows)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.spread.update_state(y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def model():
    net = Watched()
    net.compile("adam", loss="mse", metrics=[Excess(name="excess"), Missed(name="error_rate")])
    return net


def data():
    x = np.random.default_rng(1).normal(size=(48, 3)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")
    return (x[:32], y[:32]), (x[32:], y[32:])
