"""Whatever is drawn, optimizer, numbers, small model and callbacks: the program trains as compile and fit do.

A few examples, always the same ones; `make property` draws many and new ones.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.programs.structure import known_in_fit
from optselect.trials.terms.configuration import (
    BELOW_ONE,
    FLAG,
    INSIDE_ONE,
    NOT_NEGATIVE,
    POSITIVE,
    RULES,
    OptimizerConfig,
    Rule,
)
from optselect.trials.terms.outcome import Outcome
from tests.support.fits import (
    SEED,
    Recorder,
    allowed_ulps,
    compiled,
    curve_ulps,
    fit_by_keras,
    state_in,
    train,
    ulps,
)
from tests.trials.conftest import PREAMBLE

Arguments = dict[str, Any]

SHORT, LONG = 2, 4
"""Epochs: what a callback decides at the end of one is felt in those after it."""
BLOCK = "block.weights.h5"

PROBLEM = """
from pathlib import Path

loss_weight = keras.Variable(1.0, trainable=False)

def weighted_loss(y, predicted):
    return loss_weight * keras.losses.get("{loss}")(y, predicted)

class Reweight(keras.callbacks.Callback):
    def __init__(self, weight, factor):
        super().__init__()
        self.weight, self.factor = weight, factor

    def on_epoch_end(self, epoch, logs=None):
        self.weight.assign(self.weight * self.factor)

class StopByLogs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = logs["val_loss"] > logs["loss"]

def block():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.BatchNormalization()])

def pretrained(trainable):
    part = block()
    part.load_weights(Path(__file__).with_name("block.weights.h5"))
    part.trainable = trainable
    return part

def model(optimizer="sgd"):
    net = keras.Sequential([keras.Input((4,)), {layers} keras.layers.Dense(1)])
    net.compile(optimizer, {compiled_loss}, metrics=["mae"])
    return net

fit = {{"batch_size": {batch_size}, "epochs": {epochs}, "callbacks": [{callbacks}]}}
"""
LAYERS = st.one_of(
    st.builds('keras.layers.Dense({}, "{}")'.format, st.integers(1, 8), st.sampled_from(("relu", "tanh"))),
    st.builds(
        "keras.layers.BatchNormalization(momentum={}, scale={}, trainable={})".format,
        st.floats(0.1, 0.99),
        st.booleans(),
        st.booleans(),
    ),
    st.builds("keras.layers.Dropout({}, seed=1)".format, st.floats(0.1, 0.6)),
)
FIRST_LAYERS: tuple[list[str], ...] = ([], ["pretrained(trainable=False)"], ["pretrained(trainable=True)"])
MONITORED = st.sampled_from(("loss", "val_loss", "val_mae"))
CALLBACKS = st.one_of(
    st.builds(
        'keras.callbacks.EarlyStopping("{}", patience={}, restore_best_weights={})'.format,
        MONITORED,
        st.integers(0, 2),
        st.booleans(),
    ),
    st.builds(
        'keras.callbacks.ReduceLROnPlateau("{}", factor={}, patience=1, min_delta={})'.format,
        MONITORED,
        st.floats(0.1, 0.9),
        st.floats(0, 1),
    ),
    st.builds(
        "keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * {})".format, st.floats(0.3, 1.5)
    ),
    st.just(
        'keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(gap=logs["val_loss"] - logs["loss"]))'
    ),
    st.just("StopByLogs()"),
)


# It changes a variable of the module by what it holds: each training must begin with it as it was written.
REWEIGHTING = st.builds("Reweight(loss_weight, {})".format, st.floats(0.5, 1.5))


@st.composite
def problems(draw: Callable[..., Any]) -> str:
    """The source of a problem: a model, perhaps with a part whose weights come from a file, and callbacks."""
    changes_loss = draw(st.lists(REWEIGHTING, max_size=1))
    callbacks = [*draw(st.lists(CALLBACKS, max_size=2)), *changes_loss]
    loss = draw(st.sampled_from(("mse", "mae", "huber")))
    layers = [*draw(st.sampled_from(FIRST_LAYERS)), *draw(st.lists(LAYERS, max_size=3))]
    return PROBLEM.format(
        loss=loss,
        compiled_loss="weighted_loss" if changes_loss else f'"{loss}"',
        layers="".join(f"{layer}, " for layer in layers),
        batch_size=draw(st.integers(3, 40)),
        epochs=LONG if callbacks else SHORT,
        callbacks=", ".join(callbacks),
    )


# By what an argument must be; what is something else stays at Keras's default.
FLOATS: Mapping[int, st.SearchStrategy[float]] = {
    id(BELOW_ONE): st.floats(0.05, 0.9999),
    id(INSIDE_ONE): st.floats(0.05, 0.9999),
    id(POSITIVE): st.floats(-8, -1).map(lambda exponent: 10.0**exponent),
    id(NOT_NEGATIVE): st.floats(1e-4, 0.3),
}
COMMON: tuple[st.SearchStrategy[Arguments], ...] = (
    st.just({}),
    st.builds(lambda value: {"clipnorm": value}, st.floats(0.01, 2)),
    st.builds(lambda value: {"clipvalue": value}, st.floats(0.001, 0.5)),
    st.builds(lambda value: {"global_clipnorm": value}, st.floats(0.01, 2)),
    st.builds(lambda value: {"weight_decay": value}, st.floats(1e-4, 0.3)),
    st.builds(lambda value: {"use_ema": True, "ema_momentum": value}, st.floats(0.1, 0.999)),
    st.just({"gradient_accumulation_steps": 2}),
)


@dataclass(frozen=True)
class Pair:
    """Two trials of one optimizer that differ in their numbers only."""

    name: str
    first: Arguments
    second: Arguments


@st.composite
def pairs(draw: Callable[..., Any]) -> Pair:
    name = draw(st.sampled_from(sorted(RULES)))
    drawn = {
        argument: rule for argument, rule in RULES[name].items() if id(rule) in FLOATS and draw(st.booleans())
    }
    flags = {argument: draw(st.booleans()) for argument, rule in RULES[name].items() if rule is FLAG}
    common = COMMON[draw(st.integers(0, len(COMMON) - 1))]
    first, second = ({**flags, **_numbers(draw, drawn), **draw(common)} for _ in "12")
    return Pair(name, first, second)


def _numbers(draw: Callable[..., Any], rules: Mapping[str, Rule]) -> Arguments:
    numbers = {argument: draw(FLOATS[id(rule)]) for argument, rule in rules.items()}
    return {"learning_rate": draw(st.floats(1e-4, 0.1)), **numbers}


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a problem beside the file of weights that its model may load."""
    weights = tmp_path_factory.mktemp("pretrained") / BLOCK
    save_block(weights)

    def write_problem(source: str) -> Path:
        folder = tmp_path_factory.mktemp("drawn")
        shutil.copy(weights, folder)
        (folder / "drawn_problem.py").write_text(PREAMBLE + source)
        return folder / "drawn_problem.py"

    return write_problem


def save_block(target: Path) -> None:
    """Weights that no initializer gives: block()'s, with means and variances of a training elsewhere."""
    block = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.BatchNormalization()]
    )
    random = np.random.default_rng(5)
    block.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in block.get_weights()])
    block.save_weights(target)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(source=problems(), pair=pairs())
def test_program_of_any_optimizer_and_model_trains_as_fit_does(
    write: Callable[[str], Path], source: str, pair: Pair
) -> None:
    path = write(source)
    problem, programs, recorder = load_problem(path), Programs(), Recorder()
    train(problem, pair.name, arguments=pair.first, programs=programs)
    built = programs.built
    result = train(problem, pair.name, recorder, arguments=pair.second, programs=programs)

    in_program = known_in_fit(OptimizerConfig(pair.name, pair.second))
    assert result.step is not None
    # Where a step may round in another way, the check may find that a drawn model makes too much of it.
    is_refused = bool(allowed_ulps(pair.name, pair.second)) and "differs from fit" in result.step.reason
    assert is_refused or result.step.number == (2 if in_program else 1), result.step
    if not in_program and not is_refused:
        assert programs.built == built, "the second trial found the program of the first"
    assume(result.outcome is Outcome.COMPLETE)
    curve, state = train_by_keras(load_problem(path), pair)  # loaded anew: its module is as it was written
    # Exact is exact; where a step may round in another way, a drawn model makes more of it than a plain one.
    allowed = 32 * allowed_ulps(pair.name, pair.second)
    assert curve_ulps(curve, result.curve) <= allowed
    assert max(map(ulps, state_in(recorder.last), state)) <= allowed


def train_by_keras(problem: Problem, pair: Pair) -> tuple[list[dict[str, float]], list[np.ndarray[Any, Any]]]:
    """As the user would, with the second numbers, on a problem that nothing has trained on."""
    model = compiled(problem, pair.name, pair.second, loss=problem.make_model().loss, metrics=["mae"])
    start = problem.initial_weights.model_of_seed(SEED)
    assert all(map(np.array_equal, loaded_into(start), loaded_into(model))), (
        "a seed decides the other layers only"
    )
    curve, state = fit_by_keras(model, problem)
    # A callback logs the rate that it finds, which one before it may have changed; ours is what the epoch had. What
    # the next epoch has is in the state.
    return [{name: logs[name] for name in logs if name != "learning_rate"} for logs in curve], state


def loaded_into(model: Any) -> list[np.ndarray[Any, Any]]:
    """The weights of the block that came from a file, if the model has one."""
    blocks = [layer for layer in model.layers if isinstance(layer, keras.Sequential)]
    return [weight for block in blocks for weight in block.get_weights()]
