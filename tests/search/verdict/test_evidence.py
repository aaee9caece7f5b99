"""What costs say of runs that exploded, and of such that ended with values beyond all measure."""

import math
from dataclasses import replace
from typing import Any

import pytest

from optselect.search.spec.objective import Direction, Objective
from optselect.search.verdict.evidence import contenders, scale_of
from optselect.search.verdict.judging import judge
from optselect.storage.records.overview import TrialRow

FINAL = TrialRow(
    ticket=1, ord=1, trial=1, phase="final", optimizer="Adam", state="complete", value=0.4, epochs=10, params={},
    attempts=1, seed=1, mlflow_run_id=None, message=None, seconds=1.0, role="tuned", result={}, started=0.0,
    finished=1.0,
)  # fmt: skip


def final(optimizer: str, seed: int, value: float | None, **result: float) -> TrialRow:
    state = "diverged" if value is None else "complete"
    return replace(FINAL, optimizer=optimizer, seed=seed, value=value, state=state, result=result)


@pytest.mark.parametrize(
    ("direction", "bad", "untrained"),
    [
        ("minimize", 1e30, 2.3),
        ("minimize", 6.7, math.nan),  # nothing is known of the untrained model
        ("minimize", -0.5, -4.0),
        ("maximize", 0.05, 0.1),  # worse than by chance
        ("maximize", -1e6, 0.0),
    ],
)
def test_an_explosion_is_never_better_than_a_run_that_ended_badly(
    direction: Direction, bad: float, untrained: float
) -> None:
    known = {"initial_val_score": untrained}
    runs = [
        final("SGD", 1, bad, **known, test_score=bad),
        final("Lion", 1, None, **known),
        final("Adam", 1, -9.0 if direction == "minimize" else 0.9, **known, test_score=0.4),
    ]
    scale = scale_of(Objective("val_score", direction), runs)
    finished, exploded, good = (scale.cost_of(run) for run in runs)
    assert exploded is not None and finished is not None and good is not None
    assert math.isfinite(exploded) and exploded >= finished > good
    tested = {name: found.judged[1] for name, found in contenders(runs, scale).items()}
    assert tested["Lion"] >= tested["SGD"]


def test_only_runs_that_are_compared_say_what_an_explosion_costs() -> None:
    """A search trial at an absurd rate must not decide what a seed of the finals costs."""
    absurd = replace(final("SGD", 7, 1e30), phase="quota", role="search")
    exploded = final("Adam", 1, None, initial_val_loss=2.0)
    assert scale_of(Objective("val_loss", "minimize"), [absurd, exploded]).cost_of(exploded) == 22.0


def test_a_test_value_that_is_no_number_is_as_bad_as_an_explosion() -> None:
    """It must not turn the judgement of all others to the data that they were chosen by."""
    runs = [final("Adam", seed, 0.4, test_loss=0.5, initial_val_loss=2.0) for seed in range(5)]
    runs += [final("SGD", seed, 0.3, test_loss=math.inf, initial_val_loss=2.0) for seed in range(5)]
    found = contenders(runs, scale_of(Objective("val_loss", "minimize"), runs))
    assert found["Adam"].judged == dict.fromkeys(range(5), 0.5)
    assert found["SGD"].judged == dict.fromkeys(range(5), 22.0)


def test_a_huge_value_is_judged_like_any_other() -> None:
    costs: dict[str, Any] = {
        "Adam": [1.0] * 9 + [1e30],
        "SGD": [3.0] * 10,
        "Lion": [1e30 * (10 + seed) for seed in range(10)],
    }
    runs = [final(name, seed, value) for name, found in costs.items() for seed, value in enumerate(found)]
    judgement = judge(list(contenders(runs, scale_of(Objective("val_loss", "minimize"), runs)).values()))
    assert judgement.leader == "SGD" and judgement.comparisons["Lion"].relation == "beaten"
    assert judgement.comparisons["Adam"].relation == "undecided"
    assert all(math.isfinite(number) for cost in judgement.costs.values() for number in vars(cost).values())
