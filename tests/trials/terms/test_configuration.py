"""Optimizer arguments are checked before Keras raises, or silently trains nonsense."""

import doctest
import inspect
import subprocess
import sys
from typing import Any

import keras
import pytest

from optselect.trials.terms import configuration, outcome, user_code
from optselect.trials.terms.configuration import (
    BASELINE,
    COMMON,
    RULES,
    OptimizerConfig,
    check_arguments,
    keras_code,
)
from optselect.trials.terms.errors import ConfigurationError


@pytest.mark.parametrize("module", [configuration, outcome, user_code])
def test_examples_in_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("optimizer", RULES)
def test_every_argument_of_keras_has_a_rule_and_every_default_passes(optimizer: str) -> None:
    parameters = inspect.signature(getattr(keras.optimizers, optimizer)).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert set(defaults) == {*COMMON, *RULES[optimizer]}
    check_arguments(OptimizerConfig(optimizer, defaults))


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("SGD", {"learning_rate": 0.0}),
        ("SGD", {"learning_rate": -1.0}),
        ("SGD", {"learning_rate": float("nan")}),
        ("SGD", {"learning_rate": float("inf")}),
        ("SGD", {"learning_rate": True}),
        ("SGD", {"learning_rate": "0.1"}),
        ("SGD", {"learning_rate": None}),
        ("SGD", {"momentum": 1.0}),
        ("SGD", {"momentum": -0.1}),
        ("SGD", {"nesterov": 1}),
        ("SGD", {"weight_decay": -1e-4}),
        ("SGD", {"clipnorm": 1.0, "clipvalue": 1.0}),
        ("SGD", {"gradient_accumulation_steps": 1}),
        ("SGD", {"ema_momentum": 1.1}),
        ("SGD", {"ema_overwrite_frequency": 0}),
        ("SGD", {"ema_overwrite_frequency": 1.5}),
        ("RMSprop", {"rho": 1.0}),
        ("RMSprop", {"momentum": 1.0}),
        ("RMSprop", {"epsilon": 0.0}),
        ("Adam", {"beta_1": 1.0}),
        ("Adam", {"beta_2": 1.0}),
        ("Adam", {"epsilon": -1e-7}),
        ("AdamW", {"weight_decay": None}),
        ("Nadam", {"beta_1": 1.0}),
        ("Adamax", {"epsilon": 0.0}),
        ("Adagrad", {"initial_accumulator_value": -0.1}),
        ("Adadelta", {"rho": 1.0}),
        ("Lion", {"beta_1": 0.0}),
        ("Lion", {"beta_1": 1.0}),
        ("Lion", {"beta_2": 1.0}),
        ("Adafactor", {"beta_2_decay": 0.0}),
        ("Adafactor", {"clip_threshold": 0.0}),
        ("Lamb", {"beta_2": 1.0}),
        ("Ftrl", {"initial_accumulator_value": 0.0}),
        ("Ftrl", {"learning_rate_power": 0.5}),
        ("Ftrl", {"l1_regularization_strength": -1.0}),
        ("Ftrl", {"beta": -1.0}),
        ("Muon", {"momentum": 1.0}),
        ("Muon", {"ns_steps": 0}),
        ("Muon", {"ns_steps": 2.0}),
        ("ScheduleFreeAdamW", {"beta_1": 0.0}),
        ("ScheduleFreeAdamW", {"warmup_steps": -1}),
    ],
)
def test_nonsense_is_refused_with_what_must_hold(optimizer: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_arguments(OptimizerConfig(optimizer, arguments))
    message = str(caught.value)
    assert optimizer in message and "Received: " in message and "\n" not in message


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown optimizer 'adam'. Known: SGD, RMSprop, Adam"):
        check_arguments(OptimizerConfig("adam", {}))
    with pytest.raises(ConfigurationError, match=r"SGD has no argument 'lr'. Known: .*learning_rate"):
        check_arguments(OptimizerConfig("SGD", {"lr": 0.1}))
    with pytest.raises(ConfigurationError, match="takes no arguments"):
        check_arguments(OptimizerConfig(BASELINE, {"learning_rate": 0.1}))


def test_code_to_paste_builds_the_same_optimizer() -> None:
    arguments = {"learning_rate": 1.0, "beta_1": 0.93, "epsilon": 1e-8, "amsgrad": True, "weight_decay": None}
    built = eval(keras_code(OptimizerConfig("Adam", arguments)), {"keras": keras}).get_config()
    assert all(built[name] == pytest.approx(value) for name, value in arguments.items())


def test_listing_needs_no_keras() -> None:
    modules = "bundled, configuration, description, errors, outcome, user_code"
    code = f"from optselect.trials.terms import {modules}; import sys; assert not {{'keras', 'tensorflow'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
