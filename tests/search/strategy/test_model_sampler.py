"""The model is a sampler like any other for Optuna: its own suites hold, and it hears what workers tell."""

import math
import uuid
from collections.abc import Callable, Mapping

import optuna
import pytest
from optuna import Study
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from optselect.search.spec.dimension import Choice
from optselect.search.spec.objective import Direction, Objective
from optselect.search.spec.space import Settings, study_space, suggest_optimizer
from optselect.search.strategy.asking import ask_for, explosion, tell_ending, tell_passed_over, tell_pruned
from optselect.search.strategy.model_sampler import MOST, ModelSampler, heard
from optselect.search.strategy.results import ARGUMENTS, CLASS, UNTRAINED, told_by
from optselect.storage.records.tickets import Ticket, TrialEnding
from optselect.trials.terms.configuration import BASELINE
from tests.support.tasks import tasks

OPTIMIZERS = ["SGD", "Adam", "RMSprop"]
SPACE = study_space(OPTIMIZERS, "1", 12)
LOSS = Objective("val_loss", "minimize")
KNOWN = tasks()


class TestModelSampler(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ModelSampler(seed=0)


def ticket(ord: int, optimizer: str, phase: str = "survivors") -> Ticket:
    return Ticket(
        id=ord, ord=ord, token=uuid.UUID(int=ord), attempt=1, max_attempts=3, phase=phase, optimizer=optimizer, seed=0,
        fixed_params={} if optimizer == "any" else {"optimizer": optimizer}, role="search", arguments=None, trial_id=None,
        trial_number=None, cause=None,
    )  # fmt: skip


def asked(study: Study, optimizer: str, seed: int = 1, jointly: bool = False) -> tuple[Trial, Settings]:
    """What a worker does with a search ticket."""
    study.sampler = ModelSampler(seed, SPACE, jointly=jointly, known=KNOWN)
    trial = ask_for(study, ticket(len(study.trials), optimizer, "joint" if jointly else "survivors"))
    settings = suggest_optimizer(trial, SPACE, None, jointly)
    trial.set_user_attr(ARGUMENTS, dict(settings.arguments))
    return trial, settings


def evaluated(
    study: Study, optimizer: str, arguments: Mapping[str, Choice], value: float, phase: str
) -> None:
    """A run of settings that are known already."""
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    trial = ask_for(study, ticket(len(study.trials), optimizer, phase))
    trial.suggest_categorical("optimizer", (*SPACE, BASELINE))
    if optimizer == BASELINE:
        trial.set_user_attr(CLASS, "SGD")
        trial.set_user_attr(UNTRAINED, 1.0)
    trial.set_user_attr(ARGUMENTS, dict(arguments))
    tell_ending(trial, TrialEnding("complete", 10, value), None)


def cost(settings: Settings) -> float:
    """Best at 0.55 of each learning rate's range; infinite far above."""
    rate = SPACE[settings.optimizer][0]
    place = rate.place(float(settings.arguments["learning_rate"] or 0.0))
    return math.inf if place > 0.9 else math.exp(6 * abs(place - 0.55) - 2)


def tell(study: Study, trial: Trial, value: float) -> None:
    if math.isfinite(value):
        tell_ending(trial, TrialEnding("complete", 10, value), None)
    else:
        tell_ending(trial, TrialEnding("diverged", 3), explosion(LOSS, {"val_loss": 1.0}, 3, 10))


def searched(direction: Direction = "minimize", turn: Callable[[float], float] = float) -> Study:
    """Four rounds over all optimizers."""
    study = optuna.create_study(direction=direction)
    for number in range(12):
        trial, settings = asked(study, OPTIMIZERS[number % 3], number)
        tell(study, trial, turn(cost(settings)))
    return study


def best_cost(study: Study) -> dict[str, float]:
    found = {name: math.inf for name in OPTIMIZERS}
    for trial in study.get_trials():
        settings = Settings(trial.params["optimizer"], trial.user_attrs[ARGUMENTS])
        found[settings.optimizer] = min(found[settings.optimizer], cost(settings))
    return found


def test_every_optimizer_is_near_its_best_after_four_trials() -> None:
    assert all(found < 1.5 * math.exp(-2) for found in best_cost(searched()).values())


@pytest.mark.parametrize(
    ("direction", "turn"),
    [
        ("maximize", lambda cost: 1 - min(cost, 1.0)),  # an accuracy
        ("minimize", lambda cost: min(cost, 1.5) - 1.0),  # a cosine similarity, as Keras's loss
        ("maximize", lambda cost: -100 * min(cost, 2.0) + 30),  # what a callback reports
    ],
)
def test_scores_and_negative_losses_are_searched_as_well(
    direction: Direction, turn: Callable[[float], float]
) -> None:
    found = best_cost(searched(direction, lambda one: math.inf if math.isinf(one) else turn(one)))
    assert all(one < 1.6 * math.exp(-2) for one in found.values())


def test_two_workers_that_have_seen_the_same_trials_propose_the_same() -> None:
    first, second = searched(), searched()
    assert [trial.params for trial in first.trials] == [trial.params for trial in second.trials]
    assert asked(first, "Adam", 5)[1] == asked(second, "Adam", 5)[1]


def test_a_trial_that_runs_is_left_alone() -> None:
    study = searched()
    _, first = asked(study, "Adam", 5)
    _, second = asked(study, "Adam", 5)
    assert first != second


def test_the_finals_must_not_choose_whom_they_judge() -> None:
    study = searched()
    before = told_by(study.trials, LOSS, SPACE)
    evaluated(study, "Adam", {"learning_rate": 1e-5, "beta_1": 0.9}, 1e-9, "final")
    assert told_by(study.trials, LOSS, SPACE) == before


def test_the_users_own_optimizer_and_keras_defaults_teach_like_any_trial() -> None:
    study = optuna.create_study()
    evaluated(study, BASELINE, {"learning_rate": 0.01}, 0.4, "baseline")
    evaluated(study, "Adam", {}, 0.3, "baseline")
    told = told_by(study.trials, LOSS, SPACE)
    assert [(one.optimizer, one.arguments, one.cost) for one in told.results] == [
        ("SGD", {"learning_rate": 0.01}, 0.4),
        ("Adam", {}, 0.3),
    ]
    assert told.untrained == 1.0


def test_explosions_cuts_and_failures_are_heard_as_what_they_are() -> None:
    study = optuna.create_study()
    for name in ("exploded", "cut", "failed", "runs"):
        trial, _ = asked(study, "Adam")
        if name == "exploded":
            tell(study, trial, math.inf)
        elif name == "cut":
            tell_pruned(trial, TrialEnding("pruned", 3, None), reached=0.7)
        elif name == "failed":
            tell_ending(trial, TrialEnding("failed", 0, message="out of memory"), None)
    assert [one.cost for one in told_by(study.trials, LOSS, SPACE).results] == [math.inf, 0.7, None]
    assert asked(study, "Adam")[1].optimizer == "Adam"


def test_readers_see_ordinary_trials() -> None:
    study = searched()
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert study.best_trial.params["optimizer"] in OPTIMIZERS
    for trial in study.trials:
        name = trial.params["optimizer"]
        assert {"optimizer", *(f"{name}.{one.parameter}" for one in SPACE[name])} == trial.params.keys()
        assert all(trial.distributions[key]._contains(trial.distributions[key].to_internal_repr(value)) for key, value in trial.params.items())  # fmt: skip


def test_the_optimizer_is_chosen_too_where_one_good_configuration_is_wanted() -> None:
    study = optuna.create_study()
    for number in range(15):
        trial, settings = asked(study, "any", number, jointly=True)
        tell(study, trial, cost(settings) * (0.3 if settings.optimizer == "RMSprop" else 1.0))
    chosen = [trial.params["optimizer"] for trial in study.trials]
    assert chosen[-6:].count("RMSprop") >= 4
    assert study.best_value < 0.3 * 1.3 * math.exp(-2)


def test_an_optimizer_that_was_set_aside_is_not_chosen_again() -> None:
    study = optuna.create_study()
    trial, settings = asked(study, "any", 1, jointly=True)
    worst = explosion(LOSS, {}, 1, 10)
    tell_passed_over(trial, TrialEnding("failed", 0, message="it kills its process"), worst)
    for number in range(2, 8):
        trial, other = asked(study, "any", number, jointly=True)
        tell(study, trial, cost(other))
        assert other.optimizer != settings.optimizer


def test_one_failure_does_not_set_an_optimizer_aside() -> None:
    study = optuna.create_study()
    trial, settings = asked(study, "any", 1, jointly=True)
    tell_ending(trial, TrialEnding("failed", 0, message="out of memory"), None)
    assert settings.optimizer in ModelSampler(1, SPACE, jointly=True, known=KNOWN).tried(study)


def test_of_very_many_trials_the_best_the_newest_and_the_first_are_heard() -> None:
    def told(number: int, value: float) -> FrozenTrial:
        trial = optuna.trial.create_trial(value=value, user_attrs={UNTRAINED: 1.0} if number == 0 else {})
        trial.number = number
        return trial

    trials = [told(number, 1.0 if number == 0 else 0.1 if number < 150 else 0.5) for number in range(1000)]
    kept = [one.number for one in heard(trials, LOSS)]
    assert kept == sorted(kept) and kept[0] == 0
    assert set(range(1, 150)) <= set(kept) and set(range(1000 - MOST // 2, 1000)) <= set(kept)
    assert len(kept) <= MOST + 1
    assert heard(trials[:MOST], LOSS) == trials[:MOST]


def test_a_study_that_knows_no_optimizers_is_searched_by_the_parameters_its_trials_share() -> None:
    study = optuna.create_study(sampler=ModelSampler(seed=3))

    def objective(trial: Trial) -> float:
        x, kind = (
            trial.suggest_float("x", 1e-3, 10.0, log=True),
            trial.suggest_categorical("kind", ("a", "b")),
        )
        return float(math.log(x / 0.5) ** 2 + (kind == "a"))

    study.optimize(objective, n_trials=25)
    assert study.best_value < 0.1
