"""Our successive halving cuts what Optuna's cuts, at the same rungs, and never a finished training."""

import random

import optuna
import pytest

from optselect.search.objective import Direction
from optselect.search.pruner import ETA, FEWEST_EPOCHS, promoted, rungs


@pytest.mark.parametrize("epochs", [9, 10, 20, 25, 27, 100])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_decides_as_optunas_own_pruner(epochs: int, direction: Direction) -> None:
    random_ = random.Random(epochs)
    pruner = optuna.pruners.SuccessiveHalvingPruner(reduction_factor=ETA, min_resource=max(1, epochs // 9))
    study = optuna.create_study(pruner=pruner, direction=direction)
    sign = 1.0 if direction == "minimize" else -1.0
    at: dict[int, list[float]] = {rung: [] for rung in rungs(epochs)}
    cuts = 0
    for _ in range(60):
        trial, level = study.ask(), random_.random()
        for epoch in range(1, epochs):
            value = level + random_.gauss(0.0, 0.2)
            trial.report(value, epoch)
            better = sum(other < sign * value for other in at.get(epoch, ()))
            ours = epoch in at and not promoted(better, len(at[epoch]))
            if epoch in at:
                at[epoch].append(sign * value)
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
