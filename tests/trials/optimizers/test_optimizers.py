"""Optimizers are built and put into a compiled model; that each of them trains as fit does: test_program_parity.py."""

import math
import re
from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.optimizers.building import (
    build_optimizer,
    innermost,
    install_optimizer,
    learning_rate_of,
    output_layers,
)
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig
from optselect.trials.terms.outcome import Outcome
from tests.support.fits import train
from tests.trials.conftest import MakeProblem


@pytest.mark.parametrize("optimizer", ["AdamW", "Lamb"])
def test_a_whole_number_is_a_rate_like_any_other(make_problem: MakeProblem, optimizer: str) -> None:
    result = train(
        make_problem("RUN_EAGERLY = False"),
        optimizer,
        arguments={"learning_rate": 1, "weight_decay": 0.001},
        epochs=1,
    )
    assert result.outcome in (Outcome.COMPLETE, Outcome.DIVERGED), result.reason
    assert result.curve[0].metrics["learning_rate"] == 1.0
    assert math.isfinite(result.initial["val_loss"])


def small_model(**compiled: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2, name="head")])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def test_one_step_of_sgd_is_the_one_computed_by_hand() -> None:
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile("adam", loss="mse")
    install_optimizer(model, build_optimizer(OptimizerConfig("SGD", {"learning_rate": 0.1}), model))
    model.fit(np.array([[2.0]]), np.array([[5.0]]), verbose=0)
    # loss (2w - 5)^2 at w = 1: gradient 2 (2 - 5) 2 = -12
    assert float(model.layers[0].kernel[0, 0]) == pytest.approx(1.0 + 0.1 * 12)


def test_installing_keeps_all_else_of_compile() -> None:
    model = small_model(metrics=["mae"], jit_compile=True, steps_per_execution=2)
    loss, metrics = model.loss, model._compile_metrics
    install_optimizer(model, build_optimizer(OptimizerConfig("Adam", {}), model))
    assert (model.loss, model._compile_metrics) == (loss, metrics)
    assert model.jit_compile and model.steps_per_execution == 2
    assert type(model.optimizer) is keras.optimizers.Adam and model.optimizer.built
    assert model.get_compile_config()["optimizer"]["class_name"] == "Adam"


def test_installing_works_with_a_compile_of_the_users_own() -> None:
    class Own(keras.Model):  # type: ignore[misc]  # Keras has no types
        def compile(self, my_optimizer: Any) -> None:
            super().compile(optimizer=my_optimizer, loss="mse")

    model = Own()
    model.compile(keras.optimizers.SGD())
    install_optimizer(model, build_optimizer(OptimizerConfig("Lion", {}), model))
    assert type(model.optimizer) is keras.optimizers.Lion


def test_mixed_float16_scales_the_loss_of_the_new_optimizer_too(make_problem: MakeProblem) -> None:
    problem = make_problem("""
def model():
    policy = keras.DTypePolicy("mixed_float16")
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, dtype=policy)])
    net.dtype_policy = policy
    net.compile("sgd", loss="mse")
    return net
""")
    model = problem.make_model()
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer), "the test wants Keras to wrap it"
    install_optimizer(model, build_optimizer(OptimizerConfig("Adam", {"learning_rate": 0.5}), model))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert type(innermost(model.optimizer)) is keras.optimizers.Adam and learning_rate_of(model) == 0.5
    assert train(problem, "Adam", epochs=1).outcome is Outcome.COMPLETE


def test_baseline_is_the_users_own_object() -> None:
    own = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.3, 100))
    model = small_model(optimizer=own)
    install_optimizer(model, build_optimizer(OptimizerConfig(BASELINE, {}), model))
    assert model.optimizer is own and own.built and learning_rate_of(model) == pytest.approx(0.3)


def test_numbers_become_what_keras_wants() -> None:
    arguments = {"learning_rate": 1, "momentum": np.float32(0.5), "ns_steps": 3, "nesterov": False}
    muon = build_optimizer(OptimizerConfig("Muon", arguments), small_model())  # type: ignore[arg-type]
    assert (float(muon.learning_rate), muon.momentum, muon.ns_steps, muon.nesterov) == (1.0, 0.5, 3, False)
    assert type(muon.momentum) is float and type(muon.ns_steps) is int


def test_muon_leaves_the_output_layer_to_adamw() -> None:
    model = small_model()
    muon = build_optimizer(OptimizerConfig("Muon", {}), model)
    assert muon.exclude_layers == ["(^|/)head/"]
    paths = [variable.path for variable in model.trainable_variables]
    assert [path for path in paths if re.search(muon.exclude_layers[0], path)] == paths[2:]
    given = build_optimizer(OptimizerConfig("Muon", {"exclude_layers": "other"}), model)
    assert given.exclude_layers == ["other"]


def test_output_layers_are_found_behind_activations_and_nested_models() -> None:
    inputs = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="inner"), keras.layers.ReLU()])
    one = keras.layers.Softmax()(keras.layers.Dense(2, name="one")(inputs))
    model = keras.Model(inputs, [one, inner(inputs)])
    assert [layer.name for layer in output_layers(model)] == ["one", "inner"]

    class Subclassed(keras.Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = keras.layers.Dense(2, name="first"), keras.layers.Dense(2, name="last")

    assert [layer.name for layer in output_layers(Subclassed())] == ["last"]
