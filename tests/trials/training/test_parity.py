"""A trial's numbers are those of Keras's compile and fit on the same weights and the same order of rows."""

from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import Configuration, OptimizerConfig, Switch
from tests.support.debian_data import needs_fashion
from tests.support.fits import SEED, Recorder, fit_by_hand, largest_difference, train, weights_in
from tests.trials.conftest import MakeProblem

FIVE: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.02}),
    ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    ("RMSprop", {"learning_rate": 0.003, "rho": 0.95}),
    ("Adam", {"learning_rate": 0.004, "beta_1": 0.85, "epsilon": 1e-6}),
    ("Adagrad", {"learning_rate": 0.05}),
]


@pytest.fixture(scope="module")
def diabetes() -> Problem:
    return load_problem(resolve_problem("diabetes"))


@pytest.mark.parametrize(("optimizer", "arguments"), FIVE)
def test_curve_and_weights_on_diabetes_equal_those_of_fit(
    diabetes: Problem, optimizer: str, arguments: dict[str, Any]
) -> None:
    assert_equal_to_fit(diabetes, optimizer, arguments, epochs=2, loss="mse", metrics=["mae"])


@needs_fashion
@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [pytest.param(*case, marks=() if case[0] == "Adam" else pytest.mark.slow) for case in FIVE],
)
def test_curve_and_weights_on_fashion_equal_those_of_fit(
    fashion: Problem, optimizer: str, arguments: dict[str, Any]
) -> None:
    assert_equal_to_fit(
        fashion, optimizer, arguments, epochs=2, loss="categorical_crossentropy", metrics=["accuracy"]
    )


@pytest.fixture(scope="module")
def fashion() -> Problem:
    problem = load_problem(resolve_problem("fashion"))
    data = problem.data
    small = type(data)(data.train.head(700), data.validation.head(200))
    return Problem(problem.path, problem.make_model, small, problem.fit)


def assert_equal_to_fit(
    problem: Problem, optimizer: str, arguments: dict[str, Any], epochs: int, **compiled: Any
) -> None:
    recorder = Recorder()
    result = train(problem, optimizer, recorder, arguments=arguments, epochs=epochs)

    model = problem.initial_weights.model_of_seed(SEED)
    model.compile(optimizer=getattr(keras.optimizers, optimizer)(**arguments), **compiled)
    curve = fit_by_hand(model, problem, range(1, epochs + 1))

    assert largest_difference(curve, result.curve) == 0.0
    for mine, keras_own in zip(weights_in(recorder.last, model), model.variables, strict=True):
        np.testing.assert_array_equal(mine, keras_own.numpy())


def test_switch_equals_compile_fit_compile_fit(make_problem: MakeProblem) -> None:
    problem = make_problem("RUN_EAGERLY = False")
    adam = OptimizerConfig("Adam", {"learning_rate": 0.01})
    sgd = OptimizerConfig("SGD", {"learning_rate": 0.02, "momentum": 0.9})
    recorder = Recorder()
    result = train(problem, recorder=recorder, configuration=Configuration(adam, (Switch(2, sgd),)), epochs=4)

    model = problem.initial_weights.model_of_seed(SEED)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    curve = fit_by_hand(model, problem, (1, 2))
    model.compile(optimizer=keras.optimizers.SGD(0.02, momentum=0.9), loss="mse", metrics=["mae"])
    curve += fit_by_hand(model, problem, (3, 4))

    assert largest_difference(curve, result.curve) == 0.0
    assert [epoch.metrics["optimizer_phase"] for epoch in result.curve] == [1, 1, 2, 2]
    assert [epoch.metrics["learning_rate"] for epoch in result.curve] == [0.01, 0.01, 0.02, 0.02]
