"""Whatever is drawn, optimizer, numbers and small model: the program trains as compile and fit do.

A few examples, always the same ones; `make property` draws many and new ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from optselect.trials.configuration import (
    BELOW_ONE,
    FLAG,
    INSIDE_ONE,
    NOT_NEGATIVE,
    POSITIVE,
    RULES,
    OptimizerConfig,
    Rule,
)
from optselect.trials.outcome import Outcome
from optselect.trials.problem import load_problem
from optselect.trials.programs import Programs
from optselect.trials.structure import known_in_fit
from tests.trials.conftest import PREAMBLE
from tests.trials.fits import (
    Recorder,
    allowed_ulps,
    compiled,
    curve_ulps,
    fit_by_keras,
    state_in,
    train,
    ulps,
)

Arguments = dict[str, Any]

MODEL = """
def model(optimizer="sgd"):
    net = keras.Sequential([keras.Input((4,)), {layers} keras.layers.Dense(1)])
    net.compile(optimizer, "{loss}", metrics=["mae"])
    return net
fit = {{"batch_size": {batch_size}, "epochs": 2}}
"""
LAYERS = st.one_of(
    st.builds('keras.layers.Dense({}, "{}"),'.format, st.integers(1, 8), st.sampled_from(("relu", "tanh"))),
    st.just("keras.layers.BatchNormalization(),"),
    st.builds("keras.layers.Dropout({}, seed=1),".format, st.floats(0.1, 0.6)),
)
MODELS = st.builds(
    lambda layers, loss, batch_size: MODEL.format(layers=" ".join(layers), loss=loss, batch_size=batch_size),
    st.lists(LAYERS, max_size=3),
    st.sampled_from(("mse", "mae", "huber")),
    st.integers(3, 40),
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("drawn")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(model=MODELS, pair=pairs())
def test_program_of_any_optimizer_and_model_trains_as_fit_does(
    folder: Callable[[], Path], model: str, pair: Pair
) -> None:
    path = folder() / "drawn_problem.py"
    path.write_text(PREAMBLE + model)
    problem, programs, recorder = load_problem(path), Programs(), Recorder()
    train(problem, pair.name, arguments=pair.first, programs=programs)
    built = programs.built
    result = train(problem, pair.name, recorder, arguments=pair.second, programs=programs)

    in_program = known_in_fit(OptimizerConfig(pair.name, pair.second))
    assert result.step is not None and result.step.number == (2 if in_program else 1), result.step
    if not in_program:
        assert programs.built == built, "the second trial found the program of the first"
    assume(result.outcome is Outcome.COMPLETE)
    loss = problem.make_model().loss
    by_keras = compiled(problem, pair.name, pair.second, loss=loss, metrics=["mae"])
    curve, state = fit_by_keras(by_keras, problem)
    # Exact is exact; where a step may round in another way, a drawn model makes more of it than a plain one.
    allowed = 32 * allowed_ulps(pair.name, pair.second)
    assert curve_ulps(curve, result.curve) <= allowed
    assert max(map(ulps, state_in(recorder.last), state)) <= allowed
