"""Keras's own tests of its optimizers, out of the installed wheel, run over optimizers that a program has bound.

Each gets an optimizer that was made with other numbers, has already trained something else, and takes its numbers
from variables in a compiled step: the expected values in Keras's tests must come out all the same.
"""

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import keras
import pytest
import tensorflow as tf

from optselect.trials.optimizers.building import innermost
from optselect.trials.programs.bound_optimizer import BoundOptimizer
from optselect.trials.programs.hyperparameter import teach_tensorflow
from optselect.trials.programs.structure import with_other_numbers
from optselect.trials.terms.configuration import RULES, OptimizerConfig

# What trains or calculates; the others ask for configurations, messages, or Keras's own fit.
APPLICABLE = re.compile(r"test_(\w*single_step\w*|correctness_with_golden|\w*weight_decay|clip_(norm|value)|"
                        r"ema_overwrite_frequency|warmup|multiple_steps)")  # fmt: skip
EVERYDAY = ("SGD", "Adam")
"""The others' tests are slow as a whole."""


def keras_tests() -> Iterator[Any]:
    for name in RULES:
        module = importlib.import_module(f"keras.src.optimizers.{file_of(name)}_test")
        case = getattr(module, f"{name}Test")
        for method in filter(APPLICABLE.fullmatch, dir(case)):
            marks = () if name in EVERYDAY else pytest.mark.slow
            yield pytest.param(name, module, case(method), id=f"{name}-{method}", marks=marks)


def file_of(name: str) -> str:
    """Keras's module of a class: SGD is sgd, ScheduleFreeAdamW is schedule_free_adamw."""
    return {"ScheduleFreeAdamW": "schedule_free_adamw"}.get(name, name.lower())


def test_every_optimizer_has_tests_of_its_own_in_the_wheel() -> None:
    found = {(parameters.values[0], parameters.id.split("-")[1]) for parameters in keras_tests()}
    with_golden = {name for name, method in found if method == "test_correctness_with_golden"}
    assert set(RULES) - with_golden == {"Muon", "ScheduleFreeAdamW"}, "Keras has no golden values for these"
    assert {name for name, method in found if "single_step" in method} == set(RULES)


@pytest.mark.parametrize(("name", "module", "case"), list(keras_tests()))
def test_keras_own_test_passes_over_a_bound_optimizer(
    monkeypatch: pytest.MonkeyPatch, name: str, module: Any, case: Any
) -> None:
    teach_tensorflow()
    bound: list[BoundOptimizer] = []
    monkeypatch.setattr(module, name, bound_in_place_of(name, bound))
    case.debug()
    assert bound, "the test has used an optimizer of ours"


def bound_in_place_of(name: str, made: list[BoundOptimizer]) -> Callable[..., Any]:
    """What a test calls in place of Keras's class: the optimizer is bound as soon as its variables are known."""

    def make_bound(**arguments: Any) -> Any:
        config = OptimizerConfig(name, arguments)
        others = with_other_numbers(config).arguments

        def make() -> Any:
            return getattr(keras.optimizers, name)(**others)

        optimizer = make()
        Stage(optimizer, lambda variables: made.append(bound_and_used(optimizer, variables, config, make)))
        return optimizer

    return make_bound


class Stage:
    """Stands before the methods that a test calls first, binds, and steps aside."""

    def __init__(self, optimizer: Any, bind: Callable[[Sequence[Any]], None]) -> None:
        self._optimizer, self._bind = optimizer, bind
        self._hooks: dict[str, Callable[..., Any]] = {
            "build": lambda variables: variables,
            "apply": lambda gradients, variables: variables,
            "_clip_gradients": lambda gradients: [keras.Variable(gradient) for gradient in gradients],
            "_apply_weight_decay": lambda variables: variables,
        }
        for name, variables_of in self._hooks.items():
            object.__setattr__(optimizer, name, self._first(name, variables_of))

    def _first(self, name: str, variables_of: Callable[..., Any]) -> Callable[..., Any]:
        def bind_and_call(*arguments: Any) -> Any:
            for hook in self._hooks:
                del vars(self._optimizer)[hook]
            self._bind(list(variables_of(*arguments)))
            if name != "build":  # it is built by then
                return getattr(self._optimizer, name)(*arguments)

        return bind_and_call


def bound_and_used(
    optimizer: Any, variables: Sequence[Any], config: OptimizerConfig, make: Callable[[], Any]
) -> BoundOptimizer:
    """Bind, train two steps of another trial, begin anew; all steps by one compiled function."""
    bound = BoundOptimizer(optimizer, SimpleNamespace(trainable_variables=variables), make, frozenset())
    compile_steps(bound)
    weights = [variable.numpy() for variable in variables]
    for _ in range(2):
        optimizer.apply([tf.ones(variable.shape) for variable in variables], variables)
    for variable, weight in zip(variables, weights, strict=True):
        variable.assign(weight)
    bound.place(config, make)
    assert bound.serves(config)
    return bound


def compile_steps(bound: BoundOptimizer) -> None:
    optimizer = bound.optimizer
    variables = list(innermost(optimizer)._trainable_variables)
    of_the_class = optimizer.apply

    def step(gradients: Any) -> None:
        with bound.reading.at_the_start_of(tf.compat.v1.get_default_graph()):
            of_the_class(gradients, variables)

    compiled = tf.function(step, autograph=False)

    def apply(gradients: Sequence[Any], trainable_variables: Any = None) -> None:
        compiled([tf.convert_to_tensor(gradient) for gradient in gradients])

    object.__setattr__(optimizer, "apply", apply)
