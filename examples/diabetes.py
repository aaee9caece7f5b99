"""A small regression: how far has a patient's diabetes progressed after a year? (scikit-learn's diabetes data)"""

import keras
import numpy as np
from sklearn.datasets import load_diabetes

fit = {"batch_size": 32, "epochs": 25}


def model():
    net = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    # The optimizer given here is the baseline: what the search has to beat. Loss and metrics stay.
    net.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return net


def data():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    rows = np.random.default_rng(0).permutation(len(x))  # a fixed split: every trial sees the same rows
    # 442 rows: 352 to train on, and the other 90 in two halves. Trials are chosen by the validation rows, so only
    # rows that no choice has ever seen can tell how good the chosen one is.
    train, validation, test = rows[:352], rows[352:397], rows[397:]

    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    y = (y - y[train].mean()) / y[train].std()
    return (x[train], y[train]), (x[validation], y[validation]), (x[test], y[test])


# mypy: allow-untyped-defs, allow-untyped-calls
