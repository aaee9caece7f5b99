"""Problem files for the tests of trials/, written and loaded as a user's would be."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from optselect.trials.problem.loading import Problem, load_problem

WriteProblem = Callable[..., Path]
MakeProblem = Callable[..., Problem]

PREAMBLE = """
import keras
import numpy as np
import tensorflow as tf

RUN_EAGERLY = True  # quicker than tracing, for trainings of a few steps

random = np.random.default_rng(7)
x = random.normal(size=(50, 4)).astype("float32")
y = (x @ [1.0, -2.0, 0.5, 0.0] + 0.1 * random.normal(size=50)).astype("float32")

def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dense(1)])
    net.compile(optimizer=keras.optimizers.SGD(0.02), loss="mse", metrics=["mae"], run_eagerly=RUN_EAGERLY)
    return net

def data():
    return (x[:37], y[:37]), (x[37:45], y[37:45]), (x[45:], y[45:])

fit = {"batch_size": 16, "epochs": 3}
"""


@pytest.fixture(autouse=True)
def _own_imports() -> Iterator[None]:
    """Give each test the modules and the path of before: problems leave their folders on sys.path."""
    path, modules = sys.path[:], dict(sys.modules)
    yield
    sys.path[:] = path
    for name in [name for name, module in sys.modules.items() if modules.get(name) is not module]:
        # Libraries that were loaded lazily stay: they cannot be loaded twice in one process.
        if name.startswith("optselect_problem_") or (
            name not in modules and _is_temporary(sys.modules[name])
        ):
            del sys.modules[name]
    sys.modules.update(modules)


def _is_temporary(module: object) -> bool:
    return "pytest-" in str(getattr(module, "__file__", ""))


@pytest.fixture
def write_problem(tmp_path: Path) -> WriteProblem:
    """Write a problem file: the preamble's, with what is given in place of its parts."""

    def write(source: str = "", preamble: str = PREAMBLE, name: str = "my_problem.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(preamble + source)
        return path

    return write


@pytest.fixture
def make_problem(write_problem: WriteProblem) -> MakeProblem:
    """Write and load a problem."""

    def make(source: str = "", epochs: int | None = None) -> Problem:
        return load_problem(write_problem(source), epochs)

    return make
