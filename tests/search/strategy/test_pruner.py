"""Our successive halving cuts what Optuna's cuts, at the same rungs, and never a finished training."""

import math
import random

import optuna
import pytest

from optselect.search.spec.objective import Direction, Objective
from optselect.search.strategy.pruner import LOSS, Halving, says_nothing_yet
from optselect.search.strategy.rungs import ETA, FEWEST_EPOCHS, promoted, rungs
from optselect.trials.terms.outcome import Epoch, Stop


@pytest.mark.parametrize("epochs", [9, 10, 20, 25, 27, 100])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_decides_as_optunas_own_pruner(epochs: int, direction: Direction) -> None:
    random_ = random.Random(epochs)
    pruner = optuna.pruners.SuccessiveHalvingPruner(reduction_factor=ETA, min_resource=max(1, epochs // 9))
    study = optuna.create_study(pruner=pruner, direction=direction)
    objective = Objective("val_loss", direction)
    at: dict[int, list[float]] = {rung: [] for rung in rungs(epochs)}
    cuts = 0
    for _ in range(60):
        trial, level = study.ask(), random_.random()
        for epoch in range(1, epochs):
            value = level + random_.gauss(0.0, 0.2)
            trial.report(value, epoch)
            better = sum(objective.better(other, value) for other in at.get(epoch, ()))
            ours = epoch in at and not promoted(better, len(at[epoch]))
            if epoch in at:
                at[epoch].append(value)
            assert trial.should_prune() == ours
            if ours:
                cuts += 1
                break
        study.tell(
            trial, state=optuna.trial.TrialState.PRUNED if ours else None, values=None if ours else 1.0
        )
    assert 20 < cuts < 60


def test_no_rung_is_the_last_epoch_and_short_trainings_have_none() -> None:
    assert all(rung < epochs for epochs in range(1, 300) for rung in rungs(epochs))
    assert rungs(FEWEST_EPOCHS - 1) == ()


NORMALIZED = {
    1: {"loss": 2.1, "val_loss": 57.0},
    3: {"loss": 0.9, "val_loss": 332.0},
    9: {"loss": 0.1, "val_loss": 1.1},
}
"""A net with BatchNormalization on few rows: untrained 27.5, and 2.8 at its end."""


@pytest.mark.parametrize("resumed", [False, True])
def test_no_rung_cuts_a_trial_whose_validation_is_behind_its_training(resumed: bool) -> None:
    curve = [Epoch(number, metrics, 0) for number, metrics in NORMALIZED.items()]
    asked: list[tuple[int, int]] = []

    def cut(first: Epoch, rung: Epoch) -> str:
        asked.append((first.number, rung.number))
        behind = says_nothing_yet(first, rung, LOSS)
        return "" if behind else "not in the best third"

    halving = Halving(lambda epochs, snapshot: None, rungs(14), cut, first=curve[0] if resumed else None)
    answers = [halving([epoch], bytes) for epoch in curve[resumed:]]
    assert answers == [None] * (2 - resumed) + [Stop("not in the best third")]
    assert asked == [(1, 1), (1, 3), (1, 9)][resumed:]


@pytest.mark.parametrize(
    ("objective", "first", "rung", "expected"),
    [
        (
            Objective("val_accuracy", "maximize"),
            {"accuracy": 0.3},
            {"accuracy": 0.9, "val_accuracy": 0.1},
            True,
        ),
        (
            Objective("val_accuracy", "maximize"),
            {"accuracy": 0.5},
            {"accuracy": 1.0, "val_accuracy": 0.7},
            False,
        ),
        (
            Objective("val_accuracy", "maximize"),
            {"accuracy": 0.5},
            {"accuracy": 0.1, "val_accuracy": 0.1},
            False,
        ),
        (LOSS, {"loss": 2.33}, {"loss": 0.76, "val_loss": 2.3}, True),  # as untrained, and learned
        (LOSS, {"loss": 2.33}, {"loss": 2.31, "val_loss": 2.4}, False),  # a rate that is too low
        (LOSS, {"loss": -2.0}, {"loss": -4.0, "val_loss": -3.0}, False),
        (LOSS, {"loss": 2.0}, {"loss": 1.0, "val_loss": math.nan}, True),
        (LOSS, {"loss": 2.0}, {"loss": math.nan, "val_loss": math.nan}, False),
        (
            Objective("val_recall", "maximize"),
            {"loss": 2.0},
            {"loss": 1.0, "val_loss": 9.0, "val_recall": 0.0},
            True,
        ),
        (Objective("val_recall", "maximize"), {}, {"val_recall": 0.0}, False),
        # Reported in some epochs only.
        (Objective("val_recall", "maximize"), {"recall": 0.4}, {"val_recall": 0.0}, False),
    ],
)
def test_a_validation_is_behind_only_where_training_has_learned(
    objective: Objective, first: dict[str, float], rung: dict[str, float], expected: bool
) -> None:
    assert says_nothing_yet(Epoch(1, first, 0), Epoch(3, rung, 0), objective) is expected
