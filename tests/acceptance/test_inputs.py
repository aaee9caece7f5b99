"""Whatever a real user brings runs to the end through the command: by the expected step, on the curve of Keras's fit."""

import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from optselect.trials.data.splits import Arrays
from optselect.trials.optimizers.building import build_optimizer, install_optimizer
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.terms.configuration import BASELINE, Configuration, OptimizerConfig
from tests.support.commands import Shell
from tests.support.fits import fit_by_hand
from tests.support.forked import Forks
from tests.support.slow import cases

EPOCHS = 3

START = """
import numpy as np
import keras
import tensorflow as tf

random = np.random.default_rng(0)
x = random.normal(size=(50, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True).astype("float32")

def dense(*layers, **compiled):
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), *layers, keras.layers.Dense(1)])
    net.compile(optimizer="sgd", **{"loss": "mse", "metrics": ["mae"], **compiled})
    return net

def model():
    return dense()

def data():
    return (x[:37], y[:37]), (x[37:], y[37:])

fit = {"batch_size": 8, "epochs": 3}
"""


@dataclass(frozen=True)
class Brought:
    """What replaces parts of the plain problem, and how plain Keras would train it."""

    code: str
    fit: dict[str, Any] = field(default_factory=dict)  # what a person would add to fit
    arrays: bool = True
    files: dict[str, str] = field(default_factory=dict)
    trial: int = 1  # the searched one; 0 is the baseline
    step: str = "1 of 4"  # of the ladder, and the reason of any but the first


BROUGHT = {
    "dictionaries of inputs and outputs, three-way data with sample weights": Brought(
        """
def model():
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    both = keras.layers.Dense(5, activation="tanh")(keras.layers.concatenate([left, right]))
    outputs = {"sum": keras.layers.Dense(1, name="sum")(both), "sign": keras.layers.Dense(1, name="sign")(both)}
    net = keras.Model({"left": left, "right": right}, outputs)
    net.compile(optimizer="sgd", loss={"sum": "mse", "sign": "mae"}, loss_weights={"sum": 0.2, "sign": 2.0})
    return net

weight = np.linspace(0.1, 2.0, 50).astype("float32")

def data():
    def part(rows):
        inputs, outputs = {"left": x[rows, :2], "right": x[rows, 2:]}, {"sum": y[rows], "sign": np.sign(y[rows])}
        return inputs, outputs, {"sum": weight[rows], "sign": weight[rows] ** 2}
    return part(slice(37)), part(slice(37, 45)), part(slice(45, 50))
"""
    ),
    "a tf.data.Dataset, validated on a PyDataset": Brought(
        """
class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        rows = slice(37 + 8 * index, min(45 + 8 * index, 50))
        return x[rows], y[rows]

def data():
    return tf.data.Dataset.from_tensor_slices((x[:37], y[:37])).batch(8), Rows()

fit = {"epochs": 3}
""",
        arrays=False,
        step="3 of 4: the validation data is a PyDataset",
    ),
    "tuples of inputs, class weights and callbacks": Brought(
        """
def model():
    left, right = keras.Input((2,)), keras.Input((2,))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.concatenate([left, right]))
    net = keras.Model((left, right), outputs)
    net.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return net

def data():
    label = (y[:, 0] > 0).astype("int32")
    return ((x[:37, :2], x[:37, 2:]), label[:37]), ((x[37:, :2], x[37:, 2:]), label[37:])

class Quiet(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        assert "val_loss" in logs

fit = {"batch_size": 8, "epochs": 3, "class_weight": {0: 0.5, 1: 3.0}, "callbacks": [Quiet()]}
""",
        fit={"class_weight": {0: 0.5, 1: 3.0}},
    ),
    "a subclassed model, not built before its first call, with its own train_step": Brought(
        """
class Doubled(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
    def call(self, x):
        return self.dense(x)
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 2.0 * self.compute_loss(x, y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}

def model():
    net = Doubled()
    net.compile(optimizer="sgd", loss="mse")
    return net
"""
    ),
    "own loss, metric and layer in a module beside it, mixed precision, dropout": Brought(
        """
from parts import Scale, far_off, halved

def model():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return dense(Scale(), keras.layers.BatchNormalization(), keras.layers.Dropout(0.3), loss=halved, metrics=[far_off])
    finally:
        keras.config.set_dtype_policy("float32")
""",
        files={
            "parts.py": """
import keras
from keras import ops

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")
    def call(self, x):
        return x * self.factor

def halved(y, predicted):
    return 0.5 * ops.mean(ops.square(y - ops.cast(predicted, y.dtype)), axis=-1)

def far_off(y, predicted):
    return ops.mean(ops.cast(ops.abs(y - ops.cast(predicted, y.dtype)) > 0.5, "float32"), axis=-1)
"""
        },
    ),
    "a functional model with a shortcut": Brought(
        """
def model():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(6, activation="relu")(inputs)
    net = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.concatenate([hidden, inputs])))
    net.compile(optimizer="sgd", loss="huber", metrics=["mae"])
    return net
"""
    ),
    "words, embedded and read by a recurrent layer": Brought(
        """
def model():
    layers = keras.layers.Embedding(20, 4, mask_zero=True), keras.layers.GRU(3), keras.layers.Dense(1)
    net = keras.Sequential([keras.Input((6,), dtype="int32"), *layers])
    net.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return net

def data():
    words = random.integers(0, 20, (50, 6)).astype("int32")
    return (words[:37], y[:37]), (words[37:], y[37:])
"""
    ),
    "batch normalization and metrics with a state": Brought(
        """
def model():
    hidden = keras.layers.Dense(5), keras.layers.BatchNormalization(), keras.layers.Activation("tanh")
    net = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1, activation="sigmoid")])
    metrics = [keras.metrics.AUC(num_thresholds=20), keras.metrics.Recall()]
    net.compile(optimizer="sgd", loss="binary_crossentropy", metrics=metrics)
    return net

def data():
    sign = (y > 0).astype("float32")
    return (x[:37], sign[:37]), (x[37:], sign[37:])
"""
    ),
    "a PyDataset to train on": Brought(
        """
class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 5
    def __getitem__(self, index):
        rows = slice(8 * index, min(8 * index + 8, 37))
        return x[rows], y[rows]

def data():
    return Rows(), (x[37:], y[37:])

fit = {"epochs": 3, "shuffle": False}
""",
        fit={"shuffle": False},
        arrays=False,
        step="3 of 4: the train data is a PyDataset",
    ),
    "an optimizer of one's own that decides in Python, as the baseline": Brought(
        """
class Halving(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        rate, strength = learning_rate, self.momentum
        while strength > 0.3:
            rate, strength = rate / 2, strength / 2
        variable.assign_sub(gradient * rate)

def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(optimizer=Halving(0.02, momentum=0.9), loss="mse", metrics=["mae"])
    return net
""",
        trial=0,
        step="2 of 4: the optimizer's Python code decides by momentum",
    ),
}

SLOW = (
    "a tf.data.Dataset, validated on a PyDataset",
    "tuples of inputs, class weights and callbacks",
    "a subclassed model, not built before its first call, with its own train_step",
    "a functional model with a shortcut",
    "words, embedded and read by a recurrent layer",
    "batch normalization and metrics with a state",
)
"""What tests/trials has without a command, too."""


@pytest.mark.parametrize("brought", cases(BROUGHT, SLOW))
def test_it_runs_to_the_end_on_the_curve_of_fit(brought: str, at_home: Shell, forked: Forks) -> None:
    case = BROUGHT[brought]
    path = at_home.folder / "net.py"
    path.write_text(START + textwrap.dedent(case.code))
    for name, text in case.files.items():
        (at_home.folder / name).write_text(text)
    name = f"inputs-{list(BROUGHT).index(brought)}"
    flags = ("--name", name, "--optimizers", "adam", "--trials", "1", "--seeds", "0", "--in-process")
    launched = forked.run(at_home, "launch", "net.py", *flags)
    assert launched.returncode == 0, launched.stderr
    trial = forked.json(at_home, "show", name, str(case.trial))
    assert f"{trial['step']} of 4: {trial['step_reason']}".startswith(case.step)
    assert [epoch["epoch"] for epoch in trial["curve"]] == [1, 2, 3]
    arguments = {key.removeprefix("Adam."): value for key, value in trial["params"].items()}
    config = OptimizerConfig("Adam", arguments) if case.trial else OptimizerConfig(BASELINE, {})
    by_hand = keras_curve(path, case, config, trial["seed"])
    for logs, epoch in zip(by_hand, trial["curve"], strict=True):
        assert {metric: epoch[metric] for metric in logs} == logs


def keras_curve(path: Path, case: Brought, config: OptimizerConfig, seed: int) -> list[dict[str, float]]:
    """The curve of compile and fit on the same initial weights and rows."""
    before = set(sys.modules), list(sys.path)
    try:
        problem = load_problem(path)
        model = problem.initial_weights.model_of_seed(seed)
        install_optimizer(model, build_optimizer(Configuration(config).optimizer, model))
        if case.arrays:
            return list(fit_by_hand(model, problem, range(1, EPOCHS + 1), seed, **case.fit))
        return fit_as_it_is(model, problem, case)
    finally:
        sys.path[:] = before[1]
        for name in set(sys.modules) - before[0]:
            if name == "parts" or name.startswith("optselect_problem_"):
                del sys.modules[name]


def fit_as_it_is(model: Any, problem: Problem, case: Brought) -> list[dict[str, float]]:
    validation = problem.data.validation
    if isinstance(validation, Arrays):
        validation = validation.packed()
    history = model.fit(problem.data.train, validation_data=validation, epochs=EPOCHS, verbose=0, **case.fit)
    names = history.history
    return [{name: names[name][epoch] for name in names} for epoch in range(EPOCHS)]


def test_the_command_that_ran_them_needed_no_child(at_home: Shell, forked: Forks) -> None:
    """--in-process is for a debugger: a breakpoint in the problem file must be reached in this very process."""
    (at_home.folder / "net.py").write_text(START + "\nimport os\nprint('loaded by', os.getpid())\n")
    small = ("--optimizers", "sgd", "--trials", "1", "--seeds", "0", "--epochs", "1")
    flags = ("--name", "debugged", *small, "--in-process")
    done = forked.run(at_home, "launch", "net.py", *flags)
    assert done.returncode == 0, done.stderr
    loaded = {line for line in done.stdout.splitlines() if line.startswith("loaded by")}
    assert loaded == {f"loaded by {done.pid}"}
