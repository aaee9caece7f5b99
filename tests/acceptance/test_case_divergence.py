"""A training that learns has not diverged, whatever its validation says: it ends with its value, on the curve of fit."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from optselect.trials.data.row_order import order_of_rows
from optselect.trials.problem.loading import Problem, load_problem
from tests.support.commands import Shell
from tests.support.forked import Forks

CASES = Path(__file__).with_name("cases")


@pytest.mark.parametrize(
    ("case", "objective", "seeds"), [("overfits", "val_accuracy", 5), ("batch_norm", "val_loss", 0)]
)
def test_no_sound_seed_of_the_users_optimizer_is_called_diverged(
    case: str, objective: str, seeds: int, at_home: Shell, forked: Forks
) -> None:
    path, name = CASES / f"{case}.py", f"divergence-{case}"
    flags = ("--name", name, "--objective", objective, "--optimizers", "adam", "--trials", "1")
    launched = forked.run(at_home, "launch", str(path), *flags, "--seeds", str(seeds), "--in-process")
    assert launched.returncode == 0, launched.stderr
    listed = forked.json(at_home, "trials", name)["trials"]
    own = [trial for trial in listed if trial["optimizer"] == "baseline"]
    assert len(own) == 1 + seeds and {trial["state"] for trial in own} == {"complete"}

    shown = forked.json(at_home, "show", name, str(own[0]["trial"]))
    untrained, by_hand = fitted(path, shown["seed"])
    assert [{metric: epoch[metric] for metric in by_hand[0]} for epoch in shown["curve"]] == by_hand
    assert own[0]["value"] == by_hand[-1][objective]
    losses = [epoch["val_loss"] for epoch in by_hand]
    assert max(losses[1:]) > 3 * untrained, "the case wants a validation that looks exploded"


def fitted(path: Path, seed: int) -> tuple[float, list[dict[str, float]]]:
    """The untrained validation loss and the curve of the user's compiled model by plain fit, on the same order of rows."""
    modules, folders = set(sys.modules), list(sys.path)
    try:
        problem = load_problem(path)
        model, validation = problem.initial_weights.model_of_seed(seed), problem.data.validation.packed()
        untrained = model.evaluate(*validation, verbose=0, return_dict=True)["loss"]
        fit = {"steps_per_epoch": problem.steps_per_epoch, "epochs": problem.epochs, "shuffle": False}
        fit |= {"validation_batch_size": problem.batch_size}  # as where rows are given, not batches
        curves = model.fit(ordered(problem, seed), validation_data=validation, verbose=0, **fit).history
        return untrained, [
            dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)
        ]
    finally:
        sys.path[:] = folders
        for name in set(sys.modules) - modules:
            if name.startswith("optselect_problem_"):
                del sys.modules[name]


def ordered(problem: Problem, seed: int) -> Any:
    """The rows of all epochs one after the other, in whole batches."""
    train = problem.data.train
    orders = [order_of_rows(seed, epoch + 1, train.rows, True) for epoch in range(problem.epochs)]
    rows = np.concatenate(orders)
    picked = np.asarray(train.x)[rows], np.asarray(train.y)[rows]
    return tf.data.Dataset.from_tensor_slices(picked).batch(problem.batch_size)
