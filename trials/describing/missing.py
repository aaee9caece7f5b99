"""May targets be missing, as NaN? Yes, where the loss leaves them out: one batch of the data that holds some shows it.

Only a describer asks: a worker trains what the launch has accepted.
"""

import math
import warnings
from typing import Any

import numpy as np

from optselect.trials.data.row_order import TrainingRows, order_of_rows
from optselect.trials.data.splits import Arrays, float_values, named_leaves
from optselect.trials.problem.initial_weights import build_model
from optselect.trials.problem.loading import Problem
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.outcome import numbers_in
from optselect.trials.training.watch import is_finite

WAY = (
    "Compile with a loss that leaves them out, and puts a number in their place before it calculates: "
    "y = ops.where(ops.isnan(y), 0.0, y), or a NaN comes back in the gradient. Or leave these rows out"
)


def check_missing_targets(problem: Problem) -> tuple[str, ...]:
    """Try a batch with missing targets of each split that has any; names the metrics that are NaN of it.

    Raises ProblemError where the loss or the trained weights are not finite.
    """
    splits = [(name, split) for name, split in problem.data.splits() if _has_missing(split)]
    if not splits:
        return ()
    model = problem.make_model()
    build_model(model, problem.one_batch)
    unknown: dict[str, None] = {}
    for name, split in splits:
        logs = _tried(model, problem, name, split)
        _demand_finite(model, problem, name, split, logs)
        prefix = "" if name == "train" else "val_"
        unknown |= {prefix + metric: None for metric, value in logs.items() if not math.isfinite(value)}
    return tuple(unknown)


def _tried(model: Any, problem: Problem, name: str, split: Arrays) -> dict[str, float]:
    """Train one batch of the training data; of the other splits one is scored."""
    rows, size = _rows_of(problem, name, split)
    is_shuffled = name == "train" and bool(problem.fit.get("shuffle", True))
    order = order_of_rows(0, 1, split.rows, is_shuffled)
    missing = np.add.reduceat(_missing(split)[order], np.arange(0, split.rows, size))
    batches = rows.batches(0, 1, 1).skip(int(np.argmax(missing[: rows.steps])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras minds that one step does not use the data up
        if name != "train":
            return numbers_in(model.evaluate(batches, steps=1, verbose=0, return_dict=True))
        history = model.fit(batches, steps_per_epoch=1, shuffle=False, epochs=1, verbose=0).history
    return numbers_in({metric: values[-1] for metric, values in history.items()})


def _rows_of(problem: Problem, name: str, split: Arrays) -> tuple[TrainingRows, int]:
    if name == "train":
        assert problem.batch_size is not None, "arrays have one"
        return problem.training_rows, problem.batch_size
    size = problem.validation_batch_size
    return TrainingRows(split, size, class_weight=None, shuffle=False, steps=None), size


def _demand_finite(model: Any, problem: Problem, name: str, split: Arrays, logs: dict[str, float]) -> None:
    loss = logs.get("loss", 0.0)
    if math.isfinite(loss) and all(map(is_finite, model.trainable_variables)):
        return
    came = (
        f"a loss of {loss}"
        if not math.isfinite(loss)
        else "a finite loss, and weights that are not finite after it"
    )
    done = "train the model" if name == "train" else "be scored"
    raise ProblemError(
        f"{problem.path.name}: {name} y holds {int(_missing(split).sum())} values that are NaN, and a batch with such "
        f"targets must {done}. Received: {came}. {WAY}"
    )


def _has_missing(split: Any) -> bool:
    return isinstance(split, Arrays) and bool(_missing(split).any())


def _missing(split: Arrays) -> Any:
    """Count the missing targets of each row."""
    counts = np.zeros(split.rows, np.int64)
    for place, leaf in named_leaves(split):
        if place.startswith("y") and (values := float_values(leaf)) is not None:
            counts += np.isnan(values).reshape(split.rows, -1).sum(axis=1)
    return counts
