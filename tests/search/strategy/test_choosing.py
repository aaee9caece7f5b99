"""Each goal has a strategy of its own, and every question about it is answered by that."""

import uuid
from typing import get_args

import pytest
from optuna.samplers import RandomSampler

from optselect.search.spec.declarations import Goal
from optselect.search.strategy.choosing import STRATEGIES, first_step, next_slice, next_step, strategy_of
from optselect.search.strategy.model_sampler import ModelSampler
from optselect.search.strategy.rungs import rungs
from optselect.search.strategy.sampler import ViewedTPE
from optselect.storage.records.phases import SLICE, Begun, Progress
from optselect.storage.records.tickets import Ticket
from tests.support.simulated import Simulated, spec_of

JOINT = {"goal": "best-config", "optimizers": "sgd,adam", "trials": 60}


def ticket(phase: str) -> Ticket:
    return Ticket(
        id=1, ord=1, token=uuid.UUID(int=1), attempt=1, max_attempts=3, phase=phase, optimizer="Adam", seed=7,
        fixed_params={}, role="search", arguments=None, trial_id=None, trial_number=None, cause=None,
    )  # fmt: skip


def test_every_goal_has_a_strategy() -> None:
    assert set(STRATEGIES) == set(get_args(Goal))


def test_a_study_that_compares_nothing_ends_with_its_search() -> None:
    spec = spec_of(**JOINT)
    done = Simulated(spec, lambda ticket, noise: noise.random()).run()
    assert [row.phase for row in done.rows] == ["baseline"] + ["joint"] * 60
    strategy = strategy_of(spec)
    assert strategy.evaluation_runs(60) == strategy.most_evaluation_runs(60) == strategy.share(60) == 0
    assert not strategy.further_seeds(done.progress, 5)


def test_minutes_are_all_for_the_search_where_nothing_is_compared() -> None:
    spec = spec_of(**{**JOINT, "trials": None, "minutes": 10})
    done = Simulated(spec, lambda ticket, noise: noise.random())
    done.budget = 0
    done.train(first_step(spec).tickets)
    assert next_step(spec, Progress(0, (), done.rows)).budget == 10 * 60 // 2 - 1


def test_a_long_joint_search_goes_on_slice_by_slice_on_the_seeds_that_follow() -> None:
    spec = spec_of(**{**JOINT, "trials": 3 * SLICE})
    begun = Begun(3 * SLICE, (), {"any": SLICE})
    assert [one.seed for one in next_slice(spec, begun)][:3] == [SLICE % 12 + turn for turn in range(3)]


@pytest.mark.parametrize(("sampler", "kind"), [("learned", ModelSampler), ("tpe", ViewedTPE)])
@pytest.mark.parametrize(
    ("goal", "phase", "is_open"),
    [
        ("verdict", "quota", False),
        ("verdict", "survivors", True),
        ("verdict", "final", False),
        ("best-config", "baseline", False),
        ("best-config", "joint", True),
    ],
)
def test_only_what_is_left_open_is_proposed_by_the_studys_sampler(
    goal: Goal, phase: str, is_open: bool, sampler: str, kind: type
) -> None:
    found = strategy_of(spec_of(goal=goal, sampler=sampler)).sampler(ticket(phase))
    assert type(found) is (kind if is_open else RandomSampler)


def test_a_trial_may_be_cut_only_in_a_long_search_of_equal_schedules() -> None:
    strategy = strategy_of(spec_of(optimizers="sgd,adam", epochs=27))
    assert strategy.rungs(ticket("survivors"), budget=50) == rungs(27) == (3, 9)
    assert strategy.rungs(ticket("survivors"), budget=49) == strategy.rungs(ticket("final"), budget=50) == ()
    scheduled = strategy_of(spec_of(optimizers="sgd,adam", epochs=27, schedule="constant,cosine"))
    assert scheduled.rungs(ticket("survivors"), budget=50) == ()
