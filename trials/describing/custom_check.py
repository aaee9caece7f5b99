"""Does an optimizer class of the user's own train this model, and can a training with it be resumed?

Tried once, before a study is stored: three steps by fit, a snapshot and a training on from it, and a compiled program
beside fit. What the class lacks is said in one line; what only costs time, or a reader should know, becomes a note.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.optimizers.building import innermost, install_optimizer
from optselect.trials.optimizers.custom import file_of_class, make_custom, parameters_of
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.cache import Programs
from optselect.trials.state.snapshot import Position, restore_snapshot, state_variables, write_snapshot
from optselect.trials.terms.configuration import ArgumentValue, Configuration, OptimizerConfig
from optselect.trials.terms.errors import ConfigurationError, ProblemError
from optselect.trials.terms.user_code import demand_users_failure, explain
from optselect.trials.training.choosing import choose_runner

SEED = 0
LOW_RATE = 1e-6
"""Whoever gives NaN even at this learning rate gives it at any."""


def try_class(problem: Problem, name: str, arguments: Mapping[str, ArgumentValue]) -> tuple[str, ...]:
    """Try a class of the problem's; returns notes for the user, raises ProblemError with what the class lacks."""
    config = OptimizerConfig(name, arguments, custom_class=problem.optimizers[name])
    trial = _Try(problem, config)
    trial.make()
    trial.train_and_resume()
    return (*trial.notes, *_missing_settings(config), *_slow_ways(problem, config))


class _Try:
    """The steps by fit."""

    def __init__(self, problem: Problem, config: OptimizerConfig) -> None:
        self.notes: list[str] = []
        self._problem, self._config = problem, config
        self._batch = problem.first_batch()

    def make(self) -> None:
        """Call the constructor."""
        try:
            optimizer = make_custom(self._config)
        except ConfigurationError as error:
            raise ProblemError(f"{error} It was called with {_shown(self._config.arguments)}.") from error
        if not hasattr(optimizer, "_variables"):
            raise self._lacks(
                "call super().__init__(learning_rate=learning_rate, name=name, **kwargs)", "no such call"
            )

    def train_and_resume(self) -> None:
        """Train three steps, and the third again from a snapshot of the second."""
        model = self._trained_two(self._config)
        if not _is_finite(model):
            model = self._at_low_rate()
        self._check_movement(model)
        self._check_variables(innermost(model.optimizer))
        snapshot = write_snapshot(model, Position(epoch=0, phase=1))
        self._fit(model, steps=1)
        again = self._model(self._config)
        restore_snapshot(again, snapshot)
        self._fit(again, steps=1)
        if unlike := _unlike(model, again):
            raise self._lacks(
                "keep all its state in variables of self.add_variable or self.add_variable_from_reference, made in "
                "build, so that a training can be resumed",
                f"{unlike[0]} is another after save, restore and one step",
            )

    def _at_low_rate(self) -> Any:
        """Tell a bad default from a class that gives NaN whatever it is told."""
        config = replace(self._config, arguments={**self._config.arguments, "learning_rate": LOW_RATE})
        try:
            model = self._trained_two(config)
        except (ConfigurationError, ProblemError):  # it takes no learning rate
            model = None
        if model is None or not _is_finite(model):
            raise self._lacks(
                "leave finite weights after two steps",
                "weights that are not finite"
                + ("" if model is None else f", also at learning_rate={LOW_RATE}"),
            )
        self.notes.append(
            f"{self._config.optimizer} leaves weights that are not finite within two steps at "
            f"{_shown(self._config.arguments)}; such trials end as diverged."
        )
        self._config = config
        return model

    def _trained_two(self, config: OptimizerConfig) -> Any:
        model = self._model(config)
        try:
            self._fit(model, steps=2)
        except BaseException as error:
            demand_users_failure(error)
            if (sparse := self._sparse_layer(config, model)) is not None:
                raise self._lacks(
                    f'take the sparse gradients of the layer "{sparse}" (tf.IndexedSlices): calculate with '
                    "keras.ops, or begin update_step with gradient = tf.convert_to_tensor(gradient)",
                    explain(error, self._folder),
                ) from error
            raise self._lacks("train two steps of the model", explain(error, self._folder)) from error
        return model

    def _model(self, config: OptimizerConfig) -> Any:
        model = self._problem.initial_weights.model_of_seed(SEED)
        try:
            install_optimizer(model, make_custom(config))
        except ConfigurationError:
            raise
        except BaseException as error:
            demand_users_failure(error)
            raise self._lacks("build on the model's weights", explain(error, self._folder)) from error
        return model

    def _fit(self, model: Any, steps: int) -> None:
        batches = (self._batch for _ in range(steps))
        model.fit(batches, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)

    def _sparse_layer(self, config: OptimizerConfig, model: Any) -> str | None:
        """Name the embedding whose gradients the class cannot take: with dense ones it trains."""
        embeddings = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
        if not embeddings:
            return None
        dense = replace(config, custom_class=_with_dense_gradients(config.custom_class))
        try:
            self._fit(self._model(dense), steps=1)
        except BaseException as error:  # noqa: BLE001 - then it is another fault, whatever it raises
            demand_users_failure(error)
            return None
        return str(embeddings[0].name)

    def _check_movement(self, model: Any) -> None:
        if not self._has_moved(model):
            plain = self._problem.initial_weights.model_of_seed(SEED)
            install_optimizer(plain, keras.optimizers.SGD(0.1))
            self._fit(plain, steps=1)
            if self._has_moved(plain):
                raise self._lacks(
                    "change the weights: update_step(gradient, variable, learning_rate) assigns to the variable",
                    "weights as they were after two steps",
                )

    def _has_moved(self, model: Any) -> bool:
        first = self._problem.initial_weights.model_of_seed(SEED)
        pairs = zip(first.trainable_variables, model.trainable_variables, strict=True)
        return any(not np.array_equal(before.numpy(), after.numpy()) for before, after in pairs)

    def _check_variables(self, optimizer: Any) -> None:
        """Find state that no snapshot holds: TensorFlow's own variables."""
        for attribute in _with_foreign_variables(optimizer):
            raise self._lacks(
                f"keep self.{attribute} in variables of self.add_variable or self.add_variable_from_reference, made "
                "in build, so that a training can be resumed",
                "a tf.Variable",
            )

    def _lacks(self, must: str, came: str) -> ProblemError:
        file = Path(file_of_class(self._config.custom_class)).name
        return ProblemError(f"{self._config.optimizer} ({file}) must {must}. Received: {came}.")

    @property
    def _folder(self) -> Path:
        return Path(file_of_class(self._config.custom_class)).parent


def _with_dense_gradients(custom_class: Any) -> type:
    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        custom_class.update_step(self, tf.convert_to_tensor(gradient), variable, learning_rate)

    return type(custom_class.__name__, (custom_class,), {"update_step": update_step})


def _with_foreign_variables(optimizer: Any) -> Iterator[str]:
    for attribute, value in vars(optimizer).items():
        if not attribute.startswith("_self_") and any(isinstance(one, tf.Variable) for one in _items(value)):
            yield attribute


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _items(item)
    else:
        yield value


def _is_finite(model: Any) -> bool:
    return all(bool(tf.reduce_all(tf.math.is_finite(one.value))) for one in model.trainable_variables)


def _unlike(model: Any, other: Any) -> list[str]:
    pairs = zip(state_variables(model), state_variables(other), strict=True)
    return [
        one.path
        for one, another in pairs
        if not np.array_equal(one.numpy(), another.numpy(), equal_nan=one.numpy().dtype.kind == "f")
    ]


def _missing_settings(config: OptimizerConfig) -> list[str]:
    """Say what get_config() leaves out; the search reads the optimizer itself."""
    names = parameters_of(config.custom_class)
    try:
        lost = [name for name in names if name not in make_custom(config).get_config()]
    except BaseException as error:  # noqa: BLE001 - whatever it raises
        demand_users_failure(error)
        return [
            f"{config.optimizer}.get_config() raises {type(error).__name__}: a model that is saved with it cannot be loaded."
        ]
    if not lost:
        return []
    return [
        f"{config.optimizer}.get_config() does not return {', '.join(lost)}: "
        + "the search does without, but a model that is saved with it would be loaded without."
    ]


def _slow_ways(problem: Problem, config: OptimizerConfig) -> list[str]:
    """Say where no compiled program, or none for all values, trains as fit does."""
    name = config.optimizer
    programs = Programs()
    _, step = choose_runner(problem, Configuration(config), SEED, programs)
    if step.number == 2:
        by = ", ".join(sorted(programs.structural(config)))
        return [
            f"{name} decides in Python by {by}: each of its values is compiled anew, so give it a few choices or one value."
        ]
    if step.number > 2:
        _, plain = choose_runner(problem, Configuration(OptimizerConfig("SGD", {})), SEED, Programs())
        if plain.number < step.number:
            return [f"{name} is trained by fit, which is right and slower: {step.reason}."]
    return []


def _shown(arguments: Mapping[str, ArgumentValue]) -> str:
    return (
        ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        or "the defaults of its constructor"
    )
