"""How does a configuration become a Keras optimizer, and how does it get into a compiled model?"""

import inspect
import math
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras.src.utils.naming import to_snake_case

from optselect.trials.optimizers.custom import make_custom
from optselect.trials.optimizers.schedules import build_schedule
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig, check_arguments
from optselect.trials.terms.errors import ConfigurationError


def build_optimizer(config: OptimizerConfig, model: Any) -> Any:
    """Make the optimizer for this model; for BASELINE take the one that the model was compiled with."""
    check_arguments(config)
    if config.optimizer == BASELINE:
        return model.optimizer
    if config.custom_class is not None:
        return make_custom(config)
    optimizer_class = getattr(keras.optimizers, config.optimizer)
    arguments = {
        name: _as_keras_wants(optimizer_class, name, value) for name, value in config.arguments.items()
    }
    if config.schedule is not None:
        highest = arguments.get("learning_rate", _default(optimizer_class, "learning_rate"))
        arguments["learning_rate"] = build_schedule(config.schedule, highest)
    if config.optimizer == "Muon":
        arguments["exclude_layers"] = _layers_without_muon(config, model)
    # As where it is the only one of its process; by itself Keras counts on: adam_7.
    arguments.setdefault("name", to_snake_case(config.optimizer))
    try:
        return optimizer_class(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"Keras refuses {config.optimizer}: {' '.join(str(error).split())}"
        ) from error


def install_optimizer(model: Any, optimizer: Any) -> None:
    """Put an optimizer into a compiled model; loss, metrics and all else of its compile() stay.

    Not by compile() again: a compile() of the user's own may take other arguments, and loss and metrics objects
    may have been built already.
    """
    if optimizer is not model.optimizer:
        model.optimizer = scaled_like(model.optimizer, optimizer)
        note_in_compile_config(model, model.optimizer)
    if not model.optimizer.built:
        # Now and not in the traced step: there ScheduleFreeAdamW would copy the weights anew at every step.
        model.optimizer.build(model.trainable_variables)
    if model.train_function is not None:  # it was traced with the optimizer of before
        model.make_train_function(force=True)


def scaled_like(old: Any, new: Any) -> Any:
    """Wrap the new optimizer if the old one was: compile() alone knows whether losses are scaled."""
    if not is_scaled(old) or is_scaled(new):
        return new
    scaling = keras.optimizers.LossScaleOptimizer
    return scaling(new, initial_scale=old.initial_scale, dynamic_growth_steps=old.dynamic_growth_steps)


def is_scaled(optimizer: Any) -> bool:
    """Tell whether an optimizer is wrapped, so that small gradients are not lost in float16."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def learning_rate_of(model: Any) -> float:
    """Read the learning rate now in force, of a schedule too; NaN for an optimizer that has none."""
    rate = getattr(model.optimizer, "learning_rate", math.nan)  # LossScaleOptimizer hands on its inner one's
    try:
        return shortest(keras.ops.convert_to_numpy(rate() if callable(rate) else rate))
    except (TypeError, ValueError):
        return math.nan


def shortest(value: Any) -> float:
    """Undo the trip of a Python float through float32.

    >>> shortest(0.009999999776482582)
    0.01
    """
    return float(str(np.float32(value)))


def innermost(optimizer: Any) -> Any:
    """Look through LossScaleOptimizer, which wraps any optimizer under mixed_float16."""
    while is_scaled(optimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


def output_layers(model: Any) -> list[Any]:
    """Find the dense layers that give the model's outputs; of a subclassed model its last dense layer."""
    tensors = getattr(model, "outputs", None)
    if tensors:
        found = [layer for tensor in tensors for layer in _dense_before(tensor)]
        return list({id(layer): layer for layer in found}.values())
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    return dense[-1:]


def _dense_before(tensor: Any) -> Iterator[Any]:
    """Walk back from an output over layers without a kernel, such as a softmax of its own."""
    history = getattr(tensor, "_keras_history", None)
    operation = history.operation if history else None
    if isinstance(operation, keras.layers.Dense):
        yield operation
    elif isinstance(operation, keras.Model):
        yield from output_layers(operation)
    elif isinstance(operation, keras.layers.Layer) and not operation.trainable_variables:
        for source in operation._inbound_nodes[-1].input_tensors:
            yield from _dense_before(source)


def _layers_without_muon(config: OptimizerConfig, model: Any) -> list[str]:
    """Keras advises AdamW for the output layer; the names are regular expressions, so they are anchored."""
    given = config.arguments.get("exclude_layers")
    if given is not None:
        return [str(given)]
    return [f"(^|/){re.escape(layer.name)}/" for layer in output_layers(model)]


def _as_keras_wants(optimizer_class: Any, name: str, value: Any) -> Any:
    """Turn 1 into 1.0 where Keras would raise or mind: everything but flags and counts."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    default = _default(optimizer_class, name)
    counts = ("gradient_accumulation_steps", "ema_overwrite_frequency")  # their defaults are None
    if name in counts or (isinstance(default, int) and name in ("ns_steps", "warmup_steps")):
        return int(value)
    return float(value)  # numpy's float32 is no float to Keras


def _default(optimizer_class: Any, name: str) -> Any:
    return inspect.signature(optimizer_class).parameters[name].default


def note_in_compile_config(model: Any, optimizer: Any) -> None:
    """Let a model that a callback saves name the optimizer that it was trained with.

    Without the wrapper that compile() puts around it for mixed_float16: who loads the model calls compile(), too.
    """
    config = getattr(model, "_compile_config", None)
    if config is not None:
        was_wrapped = is_scaled(config.config.get("optimizer"))
        config.config["optimizer"] = optimizer if was_wrapped else innermost(optimizer)
