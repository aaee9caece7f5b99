"""Regression, ill-scaled inputs: Friedman's first function, ten scales over a decade and a half, 10-64-1."""

import numpy as np
from parts import parted, regression_net
from sklearn.datasets import make_friedman1

fit = {"batch_size": 32, "epochs": 20}
SIZES = (512, 1000, 1000)


def model():
    return regression_net(SIZES)


def data():
    x, y = make_friedman1(n_samples=sum(SIZES), n_features=10, noise=0.0, random_state=0)
    scales = np.random.default_rng(1).permutation(np.logspace(-1.0, 0.5, 10))
    x = (x - x.mean(axis=0)) / x.std(axis=0) * scales
    y = (y - y.mean()) / y.std()
    return parted(x, y, SIZES)


# mypy: allow-untyped-defs, allow-untyped-calls
