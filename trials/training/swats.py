"""At which learning rate does SGD go on where another optimizer stops? The rule of SWATS.

A step p of the first optimizer, projected on the gradient g of its batch, is as long as a step of SGD with the rate
p.p / -p.g; their mean over some steps is SGD's rate. With a momentum m SGD's steps add up to 1 / (1 - m) times as
much, so the rate is 1 - m of it. Source: Keskar and Socher, "Improving Generalization Performance by Switching from
Adam to SGD", arXiv 1712.07628, sections 3 and 4. The paper averages over the whole training to find the moment of the
switch too; here the moment is given, and the steps right after it are averaged.
"""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import keras
import tensorflow as tf
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

from optselect.trials.data.splits import Arrays
from optselect.trials.optimizers.building import scaled_like
from optselect.trials.problem.loading import Problem
from optselect.trials.state.snapshot import state_variables
from optselect.trials.terms.configuration import OptimizerConfig

MOST_BATCHES = 30


def rate_after(model: Any, problem: Problem, seed: int, epoch: int, second: OptimizerConfig) -> float | None:
    """Estimate the rate of `second`, an SGD, by trying the next epoch's batches; model and optimizer stay as they are.

    None where no step of the first optimizer goes downhill.
    """
    untouched = _copies(model)
    rates = [_rate_of_step(model, batch) for batch in islice(_batches(problem, seed, epoch), MOST_BATCHES)]
    _assign(model, untouched)
    rates = [rate for rate in rates if math.isfinite(rate) and rate > 0]
    momentum = float(second.arguments.get("momentum", 0.0) or 0.0)
    return (1.0 - momentum) * sum(rates) / len(rates) if rates else None


def _rate_of_step(model: Any, batch: Any) -> float:
    """Train one batch by the model's optimizer and compare with what plain SGD would have done."""
    before = [tf.identity(variable.value) for variable in model.trainable_variables]
    start = _copies(model)
    gradient = _gradient(model, batch, before)
    _assign(model, start)
    model.train_step(batch)
    step = [variable.value - old for variable, old in zip(model.trainable_variables, before, strict=True)]
    downhill = -_dot(step, gradient)
    return _dot(step, step) / downhill if downhill else math.nan


def _gradient(model: Any, batch: Any, before: list[Any]) -> list[Any]:
    """What SGD with a rate of 1 subtracts: by the model's own train_step, whatever that does."""
    first = model.optimizer
    unit = scaled_like(first, keras.optimizers.SGD(1.0))
    unit.build(model.trainable_variables)
    model.optimizer = unit
    try:
        model.train_step(batch)
    finally:
        model.optimizer = first
    return [old - variable.value for variable, old in zip(model.trainable_variables, before, strict=True)]


def _batches(problem: Problem, seed: int, epoch: int) -> Iterator[Any]:
    train = problem.data.train
    if isinstance(train, Arrays):
        return iter(problem.training_rows.batches(seed, epoch, epoch))
    if isinstance(train, keras.utils.PyDataset):
        return (train[index] for index in range(len(train)))
    return iter(TFDatasetAdapter(train, class_weight=problem.fit.get("class_weight")).get_tf_dataset())


def _copies(model: Any) -> list[Any]:
    return [tf.identity(variable.value) for variable in state_variables(model)]


def _assign(model: Any, values: list[Any]) -> None:
    for variable, value in zip(state_variables(model), values, strict=True):
        variable.assign(value)


def _dot(one: list[Any], other: list[Any]) -> float:
    pairs = zip(one, other, strict=True)
    return float(sum(tf.reduce_sum(tf.cast(a, tf.float64) * tf.cast(b, tf.float64)) for a, b in pairs))
