"""Optuna's own suites of a sampler hold for ours: conditional spaces, fixed parameters, NaN, every distribution."""

from collections.abc import Callable

import optuna
import pytest
from optuna import Study
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import FrozenTrial, TrialState

from optselect.search.sampler import NEWEST, ViewedTPE, search_trials_of, viewed


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


def told(number: int, value: float, **constraint: float) -> FrozenTrial:
    distribution = optuna.distributions.FloatDistribution(1e-5, 0.1, log=True)
    marks = {"phase": "quota"}
    fixed = {"fixed_params": {"optimizer": "Adam"}}
    state = TrialState.PRUNED if constraint else TrialState.COMPLETE
    trial = optuna.trial.create_trial(
        state=state,
        value=None if constraint else value,
        params={"Adam.learning_rate": 10.0 ** (-5 + 4 * number / 40)},
        distributions={"Adam.learning_rate": distribution},
        intermediate_values={1: value},
        user_attrs=marks,
        system_attrs=fixed | ({"constraints": [constraint["violation"]]} if constraint else {}),
    )
    return trial


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
    for number in range(41):
        exploded = number > 30
        value = 22.0 if exploded else (number - 30) ** 2 / 100.0
        learning.add_trial(told(number, value, **({"violation": 1.5} if exploded else {})))
        if not exploded:
            blind.add_trial(told(number, value))
    beyond = [sum(rate > 2e-2 for rate in proposals(study)) for study in (learning, blind)]
    assert beyond[0] <= beyond[1]
    assert beyond[0] <= 8


def test_a_sampler_sees_the_newest_thousand_trials_at_most() -> None:
    study = optuna.create_study()
    study.add_trials([told(number % 40, float(number)) for number in range(NEWEST + 5)])
    seen = search_trials_of("Adam")(study).get_trials()
    assert [seen[0].value, len(seen)] == [5.0, NEWEST]
