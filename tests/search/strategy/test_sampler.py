"""Optuna's own suites of a sampler hold for ours: conditional spaces, fixed parameters, NaN, every distribution."""

import uuid
from collections.abc import Callable

import optuna
import pytest
from optuna import Study
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import FrozenTrial, TrialState

from optselect.search.spec.objective import Objective
from optselect.search.strategy.asking import ask_for, explosion, tell_ending
from optselect.search.strategy.sampler import NEWEST, ViewedTPE, search_trials_of, viewed
from optselect.storage.records.tickets import Ticket, TrialEnding


def everything(study: Study) -> Study:
    """A view that keeps all trials: the suites know no tickets."""
    return viewed(study, lambda trial: True)


class TestBasicSuite(BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ViewedTPE(everything, seed=1, startup=0)


class TestRelativeSuite(RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ViewedTPE(everything, seed=1, startup=0)


def searched(study: Study, ord: int, rate: float, value: float | None) -> None:
    """One ticket's trial of Adam, asked and told as a worker does; without a value it exploded in its third epoch."""
    fixed = {"optimizer": "Adam", "Adam.learning_rate": rate}
    ticket = Ticket(
        id=ord, ord=ord, token=uuid.uuid4(), attempt=1, max_attempts=3, phase="quota", optimizer="Adam", seed=0,
        fixed_params=fixed, role="search", arguments=None, trial_id=None, trial_number=None, cause=None,
    )  # fmt: skip
    trial = ask_for(study, ticket)
    trial.suggest_float("Adam.learning_rate", 1e-5, 0.1, log=True)
    if value is None:
        cap = explosion(Objective("val_loss", "minimize"), {"val_loss": 2.0}, epoch=3, epochs=10)
        tell_ending(trial, TrialEnding("diverged", 3), cap)
    else:
        tell_ending(trial, TrialEnding("complete", 10, value), None)


def proposals(study: Study) -> list[float]:
    found = []
    for seed in range(40):
        study.sampler = ViewedTPE(search_trials_of("Adam"), seed=seed)
        study.enqueue_trial({"optimizer": "Adam"})
        trial = study.ask()
        found.append(trial.suggest_float("Adam.learning_rate", 1e-5, 0.1, log=True))
        study.tell(trial, state=TrialState.FAIL)
    return found


def test_tpe_walks_off_no_cliff_twice() -> None:
    """Rates above 1e-2 explode, the best one stands right before: TPE must learn the edge from the explosions."""
    learning, blind = optuna.create_study(), optuna.create_study()
    for place in range(41):
        rate, exploded = 10.0 ** (-5 + place / 10), place > 30
        searched(learning, place, rate, None if exploded else (place - 30) ** 2 / 100.0)
        if not exploded:
            searched(blind, place, rate, (place - 30) ** 2 / 100.0)
    beyond = [sum(rate > 1e-2 for rate in proposals(study)) for study in (learning, blind)]
    assert beyond[0] == 0 < beyond[1]


def test_a_sampler_sees_the_newest_thousand_trials_of_its_optimizer_at_most() -> None:
    study = optuna.create_study()
    study.add_trials([told("Adam", number) for number in range(NEWEST + 5)])
    study.add_trials([told("SGD", number) for number in range(3)])
    seen = search_trials_of("Adam")(study).get_trials()
    assert [seen[0].value, len(seen)] == [5.0, NEWEST]
    assert len(search_trials_of("SGD")(study).get_trials()) == 3


def test_a_sampler_sees_no_run_that_evaluates_what_was_found() -> None:
    """An elimination, a final or a baseline repeats a configuration on other seeds: it would count twice."""
    study = optuna.create_study()
    phases = ("baseline", "quota", "elimination", "survivors", "final")
    study.add_trials([told("Adam", number, phase) for number, phase in enumerate(phases)])
    seen = search_trials_of("Adam")(study).get_trials()
    assert [trial.user_attrs["phase"] for trial in seen] == ["quota", "survivors"]


def told(optimizer: str, value: float, phase: str = "quota") -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        value=float(value),
        user_attrs={"phase": phase},
        system_attrs={"fixed_params": {"optimizer": optimizer}},
    )
