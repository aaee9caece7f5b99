"""How fast can TensorFlow train this at all? One compiled loop of forward, backward and update over each epoch.

No metrics, no callbacks, no guard, no data pipeline: rows are gathered in a shuffled order out of memory. A trial
assigns the weights and the optimizer's variables and runs; each optimizer is compiled once, with constants.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measured import Cost, so_far
from benchmarks.workloads import Setting
from optselect.trials.problem.loading import Problem


def bare_costs(
    problem: Problem, epochs: int, settings: Iterable[Setting], xla: bool, validates: bool
) -> Iterator[tuple[Setting, Cost]]:
    """Train each setting; the first of an optimizer compiles, those that follow only begin anew."""
    compiled: dict[str, Callable[[], None]] = {}
    for setting in settings:
        before = so_far()
        if setting.label not in compiled:
            compiled[setting.label] = _trial(problem, epochs, setting, xla, validates)
        compiled[setting.label]()
        yield setting, so_far() - before


def _trial(problem: Problem, epochs: int, setting: Setting, xla: bool, validates: bool) -> Callable[[], None]:
    model = problem.make_model()
    optimizer = getattr(keras.optimizers, setting.optimizer)(**setting.arguments)
    optimizer.build(model.trainable_variables)
    variables = [*model.variables, *optimizer.variables]
    first = [tf.identity(variable.value) for variable in variables]
    epoch = _epoch(problem, model, optimizer, xla, validates)
    rows, random = problem.data.train.rows, np.random.default_rng(0)

    def run() -> None:
        for variable, value in zip(variables, first, strict=True):
            variable.value.assign(value, read_value=False)
        for _ in range(epochs):
            epoch(tf.constant(random.permutation(rows).astype(np.int64))).numpy()

    return run


def _epoch(problem: Problem, model: Any, optimizer: Any, xla: bool, validates: bool) -> Any:
    x, y = (tf.constant(part) for part in problem.data.train.packed()[:2])
    x_validation, y_validation = (tf.constant(part) for part in problem.data.validation.packed()[:2])
    loss_of = keras.losses.get(model.loss)
    size = problem.batch_size
    assert size is not None, "arrays have one"
    batches, rest = divmod(problem.data.train.rows, size)

    def loss(inputs: Any, targets: Any, training: bool) -> Any:
        outputs = model(inputs, training=training)
        targets = tf.reshape(targets, [-1, 1]) if targets.shape.rank < outputs.shape.rank else targets
        return tf.reduce_mean(loss_of(tf.cast(targets, _dtype(targets, outputs)), outputs))

    def step(rows: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(tf.gather(x, rows), tf.gather(y, rows), True)
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    def epoch(order: Any) -> Any:
        whole = tf.reshape(order[: batches * size], [batches, size])
        tf.while_loop(
            lambda batch: batch < batches, lambda batch: (_after(step(whole[batch]), batch + 1),), [0]
        )
        last = step(order[batches * size :]) if rest else tf.constant(0.0)
        return loss(x_validation, y_validation, False) if validates else last

    return tf.function(epoch, autograph=False, jit_compile=xla)


def _dtype(targets: Any, outputs: Any) -> Any:
    return outputs.dtype if targets.dtype.is_floating else targets.dtype


def _after(value: Any, then: Any) -> Any:
    with tf.control_dependencies([value]):
        return tf.identity(then)
