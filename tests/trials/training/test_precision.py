"""A precision that is asked for holds from the first line of the file on, and trains as compile and fit do under it."""

from collections.abc import Iterator
from typing import Any

import keras
import pytest

from optselect.trials.describing.describe import describe
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.outcome import Outcome
from tests.support.fits import Recorder, compiled, curve_ulps, fit_by_keras, state_in, train, ulps
from tests.trials.conftest import PREAMBLE, WriteProblem

MIXED = ("mixed_float16", "mixed_bfloat16")
PROGRAMS = PREAMBLE.replace("RUN_EAGERLY = True", "RUN_EAGERLY = False")
OVERFLOWS = PROGRAMS.replace('.astype("float32")\n\ndef model', '.astype("float32") * 300.0\n\ndef model')
"""Errors so large that their gradients, times the first loss scale, are beyond float16."""


@pytest.fixture(autouse=True)
def _policy_of_before() -> Iterator[None]:
    """A training process never changes its policy; a test process must not keep one."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def described(problem: Problem) -> tuple[str, bool]:
    description = describe(problem)
    return description.precision, description.scales_loss


@pytest.mark.parametrize("precision", MIXED)
@pytest.mark.parametrize(
    ("name", "arguments"), [("Adam", {}), pytest.param("SGD", {"momentum": 0.9}, marks=pytest.mark.slow)]
)
def test_program_trains_as_fit_does_in_mixed_precision(
    write_problem: WriteProblem, precision: str, name: str, arguments: dict[str, Any]
) -> None:
    problem = load_problem(write_problem(preamble=PROGRAMS), epochs=2, precision=precision)
    recorder = Recorder()
    result = train(problem, name, recorder, arguments={"learning_rate": 0.02, **arguments})
    assert result.step is not None and result.step.number == 1, result.step
    model = compiled(problem, name, {"learning_rate": 0.02, **arguments}, loss="mse", metrics=["mae"])
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "mixed_float16")
    curve, state = fit_by_keras(model, problem)
    assert curve_ulps(curve, result.curve) == 0 and max(map(ulps, state_in(recorder.last), state)) == 0


def test_steps_that_overflow_are_left_out_as_in_fit(write_problem: WriteProblem) -> None:
    problem = load_problem(write_problem(preamble=OVERFLOWS), epochs=6, precision="mixed_float16")
    programs, recorder, arguments = Programs(), Recorder(), {"learning_rate": 1e-3}
    train(problem, "SGD", arguments=arguments, programs=programs)
    again = train(problem, "SGD", recorder, arguments=arguments, programs=programs)
    model = compiled(problem, "SGD", arguments, loss="mse", metrics=["mae"])
    curve, state = fit_by_keras(model, problem)
    scale = float(model.optimizer.dynamic_scale.numpy())
    assert scale < model.optimizer.initial_scale, "the test wants an overflow"
    assert again.outcome is Outcome.COMPLETE and curve_ulps(curve, again.curve) == 0
    assert max(map(ulps, state_in(recorder.last), state)) == 0


@pytest.mark.parametrize(
    ("precision", "told"),
    [("mixed_float16", ("mixed_float16", True)), ("mixed_bfloat16", ("mixed_bfloat16", False))],
)
def test_precision_and_loss_scaling_are_described(
    write_problem: WriteProblem, precision: str, told: tuple[str, bool]
) -> None:
    assert described(load_problem(write_problem(), precision=precision)) == told


def test_a_file_keeps_its_own_precision_where_none_is_asked_for(write_problem: WriteProblem) -> None:
    own = PREAMBLE.replace("RUN_EAGERLY", 'keras.config.set_dtype_policy("mixed_float16")\nRUN_EAGERLY', 1)
    assert described(load_problem(write_problem(preamble=own))) == ("mixed_float16", True)


def test_a_file_that_chooses_another_precision_is_refused(write_problem: WriteProblem) -> None:
    own = PREAMBLE.replace("RUN_EAGERLY", 'keras.config.set_dtype_policy("mixed_float16")\nRUN_EAGERLY', 1)
    problem = load_problem(write_problem(preamble=own), precision="mixed_bfloat16")
    with pytest.raises(ProblemError, match=r"asked for, mixed_bfloat16\. Received: mixed_float16, chosen in"):
        problem.make_model()


def test_clear_session_in_the_model_is_named_where_a_precision_is_asked_for(
    write_problem: WriteProblem,
) -> None:
    own = PREAMBLE.replace("def model():\n", "def model():\n    keras.utils.clear_session()\n")
    problem = load_problem(write_problem(preamble=own), precision="mixed_bfloat16")
    words = r"Received: float32, for clear_session\(\) in model\(\) sets .* back\. Leave out --precision, or that call"
    with pytest.raises(ProblemError, match=words):
        problem.make_model()


@pytest.mark.parametrize("asked", [None, "mixed_bfloat16"])
def test_clear_session_elsewhere_changes_no_later_model(
    write_problem: WriteProblem, asked: str | None
) -> None:
    own = PREAMBLE.replace("RUN_EAGERLY", 'keras.config.set_dtype_policy("mixed_bfloat16")\nRUN_EAGERLY', 1)
    problem = load_problem(write_problem(preamble=PREAMBLE if asked else own), precision=asked)
    first = problem.make_model()
    keras.utils.clear_session()  # as a callback of a trial may do
    second = problem.make_model()
    assert first.dtype_policy.name == second.dtype_policy.name == "mixed_bfloat16"
    assert first.layers[0].name == second.layers[0].name
