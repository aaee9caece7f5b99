"""Regression, few noisy rows: scikit-learn's diabetes data, 10-64-1, where tuned optimizers end up alike."""

import numpy as np
from parts import parted, regression_net
from sklearn.datasets import load_diabetes

fit = {"batch_size": 32, "epochs": 25}
SIZES = (242, 100, 100)


def model():
    return regression_net(SIZES)


def data():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    rows = np.random.default_rng(0).permutation(len(x))
    x, y, train = x[rows], y[rows], slice(SIZES[0])
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    y = (y - y[train].mean()) / y[train].std()
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
