"""A study begins with its baselines and with equal, well spread shares; the optimizers of a turn share their seed."""

import math
from collections import Counter

import optuna
import pytest

from optselect.search.spec.space import suggest_optimizer
from optselect.search.strategy.choosing import first_step
from optselect.search.strategy.planning import QUOTA, quota_points, survivor_tickets
from optselect.search.strategy.seeds import SEARCH_SEEDS
from tests.support.simulated import spec_of

OPTIMIZERS = "sgd,adam,lion"
NAMES = ["SGD", "Adam", "Lion"]


def test_the_baselines_come_first_and_on_top_of_the_budget() -> None:
    tickets = first_step(spec_of(optimizers=OPTIMIZERS, trials=24)).tickets
    assert [(t.role, t.optimizer) for t in tickets[:4]] == [
        ("own", "baseline"),
        *(("defaults", name) for name in NAMES),
    ]
    assert all(ticket.arguments == {} for ticket in tickets[:4])
    assert [ticket.phase for ticket in tickets[4:]] == ["quota"] * 3 * QUOTA


def test_without_finals_only_the_users_own_optimizer_runs_beside_the_search() -> None:
    tickets = first_step(spec_of(optimizers=OPTIMIZERS, trials=24, seeds=0)).tickets
    assert Counter(ticket.phase for ticket in tickets) == {"baseline": 1, "quota": 3 * QUOTA}


@pytest.mark.parametrize(("trials", "quota"), [(2, 2), (7, 6), (15, 15), (100, 3 * QUOTA)])
def test_the_quota_is_the_same_for_all_and_never_more_than_the_budget(trials: int, quota: int) -> None:
    tickets = first_step(spec_of(optimizers=OPTIMIZERS, trials=trials)).tickets[4:]
    assert len(tickets) == quota
    for stop in range(1, quota + 1):
        shares = Counter(ticket.optimizer for ticket in tickets[:stop])
        assert max(shares.values()) - min(shares.get(name, 0) for name in NAMES) <= 1


def test_all_optimizers_meet_the_same_seeds_from_a_pool_of_twelve() -> None:
    spec = spec_of(optimizers=OPTIMIZERS, trials=100, seed=2)
    tickets = list(first_step(spec).tickets[4:])
    tickets += survivor_tickets(spec, NAMES, dict.fromkeys(NAMES, QUOTA), 100 - 3 * QUOTA)
    by_optimizer = {name: [t.seed for t in tickets if t.optimizer == name][:33] for name in NAMES}
    assert len({tuple(seeds) for seeds in by_optimizer.values()}) == 1
    assert set(by_optimizer["SGD"]) == {2000 + number for number in range(SEARCH_SEEDS)}


def test_quota_points_are_the_same_wherever_they_are_drawn_and_others_for_another_seed() -> None:
    spec = spec_of(optimizers=OPTIMIZERS, trials=36)
    assert quota_points(spec, "Adam", 12) == quota_points(spec, "Adam", 12)
    assert quota_points(spec, "Adam", 12) != quota_points(spec_of(seed=1, trials=36), "Adam", 12)
    assert quota_points(spec, "Adam", 12)[:5] == quota_points(spec, "Adam", 12)[:5]


def test_quota_points_leave_no_quarter_of_a_range_out() -> None:
    spec = spec_of(optimizers=OPTIMIZERS, trials=36)
    rates = [float(str(point["SGD.learning_rate"])) for point in quota_points(spec, "SGD", 12)]
    place = [(math.log(rate) - math.log(1e-4)) / (math.log(3.0) - math.log(1e-4)) for rate in rates]
    assert {int(4 * x) for x in place} == {0, 1, 2, 3}


def test_optuna_takes_every_quota_point_as_it_is() -> None:
    spec = spec_of(optimizers="all", trials=14 * 60, tune="all")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for optimizer in spec.optimizers:
        for point in quota_points(spec, optimizer, 4):
            study.enqueue_trial(point)
            trial = study.ask()
            config = suggest_optimizer(trial, spec.space, 100)
            assert config.optimizer == optimizer
            assert trial.params == point
            for dimension in spec.space[optimizer]:
                if dimension.keyword in config.arguments and dimension.scale in (
                    "log",
                    "linear",
                    "complement",
                ):
                    assert (
                        -1e-9 <= dimension.place(float(config.arguments[dimension.keyword] or 0)) <= 1 + 1e-9
                    )
