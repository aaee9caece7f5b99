"""Every optimizer of the catalogue and every common argument: a program's numbers are those of compile and fit.

Each program serves two trials, the second with other numbers than it was made for.
"""

from typing import Any

import pytest

from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.programs.structure import REORDERED, known_in_fit
from optselect.trials.terms.configuration import RULES, OptimizerConfig
from tests.support.fits import (
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

EPOCHS = 2
Arguments = dict[str, Any]

FEATURES: list[tuple[str, Arguments, Arguments]] = [
    ("SGD", {"momentum": 0.9}, {"momentum": 0.3}),
    (
        "Adam",
        {"beta_1": 0.8, "beta_2": 0.9995, "epsilon": 1e-4},
        {"beta_1": 0.99, "beta_2": 0.9, "epsilon": 1e-9},
    ),
    ("Adam", {"clipnorm": 0.1}, {"clipnorm": 1.0}),
    ("SGD", {"use_ema": True, "ema_momentum": 0.9}, {"use_ema": True, "ema_momentum": 0.5}),
    ("Adam", {"gradient_accumulation_steps": 2}, {"gradient_accumulation_steps": 2, "learning_rate": 0.1}),
]
MORE_FEATURES: list[tuple[str, Arguments, Arguments]] = [
    ("SGD", {"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "nesterov": True}),
    (
        "RMSprop",
        {"rho": 0.8, "momentum": 0.4, "epsilon": 1e-3},
        {"rho": 0.99, "momentum": 0.1, "epsilon": 1e-8},
    ),
    ("RMSprop", {"momentum": 0.4, "centered": True}, {"momentum": 0.1, "centered": True}),
    ("Adam", {"amsgrad": True}, {"amsgrad": True, "learning_rate": 0.1}),
    ("AdamW", {"weight_decay": 0.1}, {"weight_decay": 0.001}),
    ("Adam", {"clipvalue": 0.01}, {"clipvalue": 0.2}),
    ("SGD", {"global_clipnorm": 0.1}, {"global_clipnorm": 0.7}),
    (
        "Adam",
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"use_ema": True, "ema_overwrite_frequency": 2},
    ),
    ("Adagrad", {"initial_accumulator_value": 0.3}, {"initial_accumulator_value": 0.01}),
    ("Ftrl", {"l1_regularization_strength": 0.01}, {"l1_regularization_strength": 0.1}),
    ("Adafactor", {"relative_step": False}, {"relative_step": False, "clip_threshold": 0.5}),
    ("ScheduleFreeAdamW", {"warmup_steps": 2}, {"warmup_steps": 2, "learning_rate": 0.1}),
    (
        "ScheduleFreeAdamW",
        {"beta_1": 0.8, "beta_2": 0.97, "epsilon": 1e-5, "weight_decay": 0.02},
        {"beta_1": 0.93, "beta_2": 0.9, "epsilon": 1e-7, "weight_decay": 0.3, "learning_rate": 0.05},
    ),
]
CASES = [
    *((name, {}, {"learning_rate": 0.03}) for name in RULES),
    *FEATURES,
    *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_FEATURES),
]


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    path = tmp_path_factory.mktemp("parity") / "parity_problem.py"
    path.write_text(PREAMBLE.replace("RUN_EAGERLY = True", "RUN_EAGERLY = False"))
    return load_problem(path, epochs=EPOCHS)


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs()


@pytest.mark.parametrize(("name", "first", "second"), CASES)
def test_program_trains_as_fit_does(
    problem: Problem, programs: Programs, name: str, first: Arguments, second: Arguments
) -> None:
    train(problem, name, arguments={"learning_rate": 0.01, **first}, programs=programs)
    built, arguments = programs.built, {"learning_rate": 0.02, **second}
    recorder = Recorder()
    test = bool(arguments.get("use_ema"))
    result = train(problem, name, recorder, arguments=arguments, programs=programs, test=test)

    known = known_in_fit(OptimizerConfig(name, arguments))
    assert result.step is not None and result.step.number == (2 if known else 1), result.step
    assert programs.built == built or name in REORDERED, "the second trial found the program of the first"
    model = compiled(problem, name, arguments, loss="mse", metrics=["mae"])
    curve, state = fit_by_keras(model, problem)
    allowed = allowed_ulps(name, arguments)
    assert curve_ulps(curve, result.curve) <= allowed
    assert max(map(ulps, state_in(recorder.last), state)) <= allowed
    # The last word of a fit: the averages become the weights.
    if problem.data.test and arguments.get("use_ema"):
        assert result.test == model.evaluate(*problem.data.test.packed(), return_dict=True, verbose=0)
