"""Optuna is asked and told so that nothing is lost and samplers learn the right thing (in memory, no server)."""

import uuid
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from optselect.search.spec.objective import Objective
from optselect.search.spec.space import study_space, suggest_optimizer
from optselect.search.strategy.asking import (
    Explosion,
    adopt,
    ask_for,
    ending_already_told,
    explosion,
    tell_ending,
    tell_passed_over,
)
from optselect.search.strategy.sampler import ViewedTPE, search_trials_of, viewed
from optselect.storage.records.tickets import Ticket, TrialEnding

SPACE = study_space(["SGD", "Adam"], "all", 1)


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def ticket(number: int = 1, optimizer: str = "Adam", phase: str = "quota") -> Ticket:
    return Ticket(
        id=number, ord=number, token=uuid.uuid4(), attempt=1, max_attempts=3, phase=phase, optimizer=optimizer,
        seed=7, fixed_params={"optimizer": optimizer}, role="search", arguments=None, trial_id=None,
        trial_number=None, cause=None,
    )  # fmt: skip


def test_a_trial_is_born_with_the_marks_of_its_ticket(study: optuna.Study) -> None:
    claimed = ticket()
    trial = ask_for(study, claimed)
    marks = {"ticket": 1, "token": str(claimed.token), "phase": "quota", "seed": 7}
    assert study.trials[0].user_attrs == marks
    assert suggest_optimizer(trial, SPACE, 100).optimizer == "Adam"


def test_an_adopted_trial_keeps_its_number_and_its_parameters(study: optuna.Study) -> None:
    first = ask_for(study, ticket())
    config = suggest_optimizer(first, SPACE, 100)
    again = adopt(study, first._trial_id)
    assert again.number == first.number
    assert suggest_optimizer(again, SPACE, 100) == config


def test_a_trial_adopted_half_asked_gets_the_rest_and_keeps_what_it_had(study: optuna.Study) -> None:
    first = ask_for(study, ticket())
    first.suggest_categorical("optimizer", (*SPACE, "baseline"))
    rate = first.suggest_float("Adam.learning_rate", 1e-5, 0.1, log=True)
    config = suggest_optimizer(adopt(study, first._trial_id), SPACE, 100)
    assert config.arguments["learning_rate"] == rate
    assert set(config.arguments) == {"learning_rate", "beta_1", "epsilon", "beta_2"}


def test_a_completed_trial_is_told_once_however_often_it_is_told(study: optuna.Study) -> None:
    trial = ask_for(study, ticket())
    study.tell(trial, 0.25)
    study.tell(trial, 0.5, skip_if_finished=True)
    assert study.trials[0].value == 0.25
    assert ending_already_told(study.trials[0], 9) == TrialEnding("complete", 9, 0.25)


def test_a_diverged_trial_is_pruned_with_a_violated_constraint_and_a_finite_value(
    study: optuna.Study,
) -> None:
    trial = ask_for(study, ticket())
    tell_ending(trial, TrialEnding("diverged", 2), Explosion(epoch=2, epochs=10, cap=22.0))
    told = study.trials[0]
    assert (told.state, told.value) == (TrialState.PRUNED, 22.0)
    assert told.user_attrs["outcome"] == "diverged"
    assert any("constraints" in key for key in told.system_attrs)
    assert ending_already_told(told, 2).outcome == "diverged"


def test_earlier_explosions_rank_worse() -> None:
    early, late = (
        explosion(Objective("val_loss", "minimize"), {"val_loss": 2.0}, epoch, 10) for epoch in (1, 9)
    )
    assert early.violation > late.violation > 0
    assert early.cap == 22.0


def test_a_score_that_exploded_counts_as_the_untrained_models() -> None:
    assert explosion(Objective("val_accuracy", "maximize"), {"val_accuracy": 0.1}, 1, 10).cap == 0.1
    assert explosion(Objective("val_loss", "minimize"), {"val_loss": float("nan")}, 1, 10).cap == 0.0


def test_a_failed_trial_keeps_its_reason(study: optuna.Study) -> None:
    trial = ask_for(study, ticket())
    tell_ending(trial, TrialEnding("failed", 0, message="ValueError: no"), None)
    assert study.trials[0].state == TrialState.FAIL
    assert ending_already_told(study.trials[0], 0).message == "ValueError: no"


def test_a_trial_that_is_passed_over_has_failed_for_us_and_is_a_bad_place_for_the_sampler(
    study: optuna.Study,
) -> None:
    trial = ask_for(study, ticket())
    ending = TrialEnding("failed", 0, message="Adam is set aside")
    tell_passed_over(trial, ending, explosion(Objective("val_loss", "minimize"), {}, 1, 10))
    told = study.trials[0]
    assert told.state == TrialState.PRUNED
    assert any("constraints" in key for key in told.system_attrs)
    assert ending_already_told(told, 0) == ending


def complete(study: optuna.Study, optimizer: str, phase: str, value: float) -> None:
    trial = ask_for(study, ticket(optimizer=optimizer, phase=phase))
    suggest_optimizer(trial, SPACE, 100)
    study.tell(trial, value)


def test_the_sampler_sees_the_search_trials_of_its_optimizer_only(study: optuna.Study) -> None:
    complete(study, "Adam", "quota", 1.0)
    complete(study, "SGD", "quota", 2.0)
    complete(study, "Adam", "final", 3.0)
    seen = search_trials_of("Adam")(study)
    assert [trial.value for trial in seen.get_trials()] == [1.0]
    assert [trial.value for trial in seen._get_trials()] == [1.0]
    assert len(study.get_trials()) == 3


def test_tpe_asks_its_view_and_nothing_else_for_trials(study: optuna.Study) -> None:
    """Pins Optuna's private seam: with enough trials TPE must propose near the good ones of its own view."""
    asked: list[str] = []

    def view(whole: optuna.Study) -> optuna.Study:
        asked.append("view")
        return viewed(whole, lambda trial: trial.user_attrs["phase"] == "quota")

    for number in range(12):
        trial = ask_for(study, ticket(number, "Adam", "quota"))
        config = suggest_optimizer(trial, SPACE, 100)
        study.tell(trial, abs(float(config.arguments["learning_rate"] or 0) - 0.01))
    study.sampler = ViewedTPE(view, seed=1, startup=10)
    suggest_optimizer(ask_for(study, ticket(99)), SPACE, 100)
    assert asked


def test_two_tickets_of_the_same_seed_get_different_points(study: optuna.Study) -> None:
    def propose(seed: int) -> Any:
        study.sampler = ViewedTPE(search_trials_of("Adam"), seed)
        return suggest_optimizer(ask_for(study, ticket()), SPACE, 100).arguments

    assert propose(1) != propose(2)
