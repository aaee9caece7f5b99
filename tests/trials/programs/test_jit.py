"""Programs that XLA compiles: close to fit, never mixed with others, and taken only where they pay."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.describing.describe import describe
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs import jit, self_check
from optselect.trials.programs.cache import Programs
from optselect.trials.programs.jit import choose_jit, convolution_in
from optselect.trials.terms.errors import ProblemError
from tests.support.fits import SEED, Recorder, fit_by_hand, largest_difference, train
from tests.trials.conftest import MakeProblem, WriteProblem

SLOW = pytest.mark.slow
COMPILED = """
RUN_EAGERLY = False
"""
DROPOUT = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dropout(0.5),
                            keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
CONVOLUTION = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Reshape((4, 1)), keras.layers.Conv1D(2, 2),
                            keras.layers.Flatten(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
WORDS = """
class Spells(keras.layers.Layer):
    def call(self, x):
        lengths = tf.strings.length(tf.strings.as_string(x[:, :1]))
        return x + 0.0 * tf.cast(lengths, "float32")
def model():
    net = keras.Sequential([keras.Input((4,)), Spells(), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
STREAMED = (
    COMPILED
    + """
def data():
    train = tf.data.Dataset.from_tensor_slices((x[:37], y[:37])).shuffle(37, seed=1).batch(16)
    return train, tf.data.Dataset.from_tensor_slices((x[37:], y[37:])).batch(8)
"""
)


@pytest.fixture
def make_xla(write_problem: WriteProblem) -> MakeProblem:
    """Write and load a problem whose models XLA compiles."""

    def make(source: str = "", epochs: int | None = None) -> Problem:
        return load_problem(write_problem(source), epochs, jit=True)

    return make


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("Adam", {"learning_rate": 0.01, "beta_2": 0.99, "weight_decay": 0.01}),
        pytest.param("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}, marks=SLOW),
        pytest.param("RMSprop", {"learning_rate": 0.01, "momentum": 0.5, "centered": True}, marks=SLOW),
        pytest.param("Lion", {"learning_rate": 0.001}, marks=SLOW),
    ],
)
def test_an_epoch_that_xla_compiles_is_within_rounding_of_fit(
    make_xla: MakeProblem, optimizer: str, arguments: dict[str, Any]
) -> None:
    problem, recorder = make_xla(COMPILED), Recorder()
    result = train(problem, optimizer, recorder, arguments=arguments)
    assert result.jit and result.step is not None and result.step.number == 1
    problem.decide_jit(False)
    model = problem.initial_weights.model_of_seed(SEED)
    model.optimizer = getattr(keras.optimizers, optimizer)(**arguments)
    curve = fit_by_hand(model, problem, [1, 2, 3])
    assert largest_difference(curve, result.curve) < 1e-4 * max(
        abs(v) for logs in curve for v in logs.values()
    )


def test_dropout_draws_what_keras_draws_under_xla(make_xla: MakeProblem) -> None:
    """Its masks are other ones than without XLA, but the self-check, against fit with XLA, passes."""
    result = train(make_xla(DROPOUT))
    assert result.step is not None and result.step.number == 1, result.step


def test_the_check_sees_a_number_that_is_not_bound(
    make_xla: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "optselect.trials.programs.bound_optimizer.BoundOptimizer._values",
        lambda self, given: dict(self.defaults),
    )
    arguments = {"learning_rate": 0.01, "beta_1": 0.8}
    result = train(make_xla(COMPILED), "Adam", arguments=arguments)
    assert result.step is not None and result.step.number == 4
    assert "differs from fit" in result.step.reason and result.jit


def test_the_tolerance_is_of_the_mean() -> None:
    agree, other = self_check._agree_on_the_mean, np.full(1000, 0.1, "float32")
    turned = other.copy()
    turned[0] += 0.02
    assert agree(turned, other) and not agree(other * np.float32(1.01), other)
    assert not agree(np.full(2, math.nan, "float32"), np.ones(2, "float32"))
    assert not agree(np.array([1], "int64"), np.array([2], "int64"))


def test_what_reads_its_data_as_it_runs_is_trained_by_kerass_own_xla(make_xla: MakeProblem) -> None:
    result = train(make_xla(STREAMED))
    assert result.step is not None and result.step.number == 3 and "which XLA cannot" in result.step.reason
    assert result.jit and result.outcome.value == "complete"


def test_a_model_that_xla_cannot_compile_is_refused_when_it_is_described(make_xla: MakeProblem) -> None:
    with pytest.raises(ProblemError, match=r"the operation AsString\. Try --jit off"):
        describe(make_xla(WORDS))
    with pytest.raises(ProblemError, match=r"XLA must be able to compile.*run_eagerly=True"):
        describe(make_xla())  # the preamble's is


def test_convolutions_on_a_cpu_are_left_to_tensorflow(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jit, "_on_gpu", lambda: False)
    problem = make_problem(CONVOLUTION)
    choice = choose_jit(problem, SEED, epochs=10, trials=1000, structures=1)
    assert not choice.jit and "convolutions (Conv" in choice.reason and not problem.jit


def test_what_xla_cannot_compile_is_trained_without(make_problem: MakeProblem) -> None:
    problem = make_problem(WORDS)
    choice = choose_jit(problem, SEED, epochs=10, trials=1000, structures=1)
    assert not choice.jit and choice.reason.startswith("XLA cannot compile it")
    assert train(problem).step.number == 1  # type: ignore[union-attr]


def test_both_modes_are_measured_and_the_problem_takes_the_one_that_pays(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem(COMPILED)
    made: list[bool] = []

    def weigh(graph: jit.Cost, xla: jit.Cost, epochs: int, structures: int) -> jit.Choice:
        assert 0 < graph.epoch < graph.making and 0 < xla.epoch < xla.making
        made.append(problem.jit)
        return jit.Choice(True, f"{epochs} epochs, {structures} structures")

    monkeypatch.setattr(jit, "weigh", weigh)
    choice = choose_jit(problem, SEED, epochs=3, trials=50, structures=4)
    assert choice == jit.Choice(True, "150 epochs, 4 structures") and problem.jit and made == [True]
    programs = Programs()
    result = train(problem, programs=programs)
    assert result.jit and result.step.number == 1  # type: ignore[union-attr]
    (program,) = (held for programs in programs._held.values() for held in programs)
    assert convolution_in(program) == ""
