"""The posterior is that of the textbook, and its joint draws have its mean and covariance."""

import numpy as np
import pytest

from optselect.search.knowledge.branches import branches_of
from optselect.search.knowledge.constants import MEASURED
from optselect.search.knowledge.posterior import (
    NOISES,
    Outlook,
    Posterior,
    beside,
    expected_improvement,
)
from optselect.search.knowledge.prior import Places, Prior
from optselect.search.spec.catalogue import CATALOGUE
from tests.support.tasks import tasks

KNOWN = tasks()
PRIOR = Prior(KNOWN, branches_of({name: CATALOGUE[name].tier_1 for name in KNOWN.surfaces}, KNOWN))


def places(count: int, seed: int, name: str = "Adam") -> Places:
    points = np.random.default_rng(seed).random((count, 2))
    return PRIOR.at(name, points, points)


def posterior(count: int = 9) -> Posterior:
    levels = np.sin(np.arange(count))
    return Posterior(places(count, 1), levels, Outlook.of(KNOWN, 0.0, levels, MEASURED))


def test_predictions_are_those_of_the_plain_formulas() -> None:
    one, new = posterior(), places(5, 2)
    fit, outlook = one.fit, one.outlook
    scale, flat = fit.spread**2, outlook.height_sd**2
    among = scale * one.places.covariance(one.places) + flat + fit.noise**2 * np.eye(9)
    across = scale * new.covariance(one.places) + flat
    off = one.levels - outlook.height - fit.spread * one.places.mean
    mean = outlook.height + fit.spread * new.mean + across @ np.linalg.solve(among, off)
    covariance = scale * new.covariance(new) + flat - across @ np.linalg.solve(among, across.T)
    found = one.at(new)
    assert found.mean == pytest.approx(mean, abs=1e-4)
    assert found.joint() == pytest.approx(covariance, abs=1e-4)
    assert found.sd**2 == pytest.approx(np.diag(covariance), abs=1e-4)


def test_the_results_own_configurations_are_taken_to_be_what_is_predicted_of_them() -> None:
    one = posterior(15)
    assert one.means == pytest.approx(one.at(one.places).mean, abs=1e-6)


def test_spread_and_noise_are_more_plausible_than_their_neighbours_on_the_grid() -> None:
    one = posterior(20)
    (spread, noise), top = one.top
    assert (top.spread, top.noise) == (one.spreads[spread], NOISES[noise]) == (one.fit.spread, one.fit.noise)
    for other, quiet in beside(spread, noise):
        assert one.fitted(one.spreads[other], NOISES[quiet]).evidence <= top.evidence


def test_joint_draws_have_the_mean_and_covariance_and_follow_from_their_seed() -> None:
    found = posterior().at(places(4, 3))
    draws = found.samples(20_000, seed=1)
    assert draws.mean(axis=0) == pytest.approx(found.mean, abs=0.05)
    assert np.cov(draws.T) == pytest.approx(found.joint(), abs=0.1)
    assert np.array_equal(draws, found.samples(20_000, seed=1))


def test_results_of_one_optimizer_tell_of_another_as_the_known_tasks_do() -> None:
    """All known tasks have the same valley for all optimizers, each at another place."""
    rates = np.column_stack([np.linspace(0.3, 0.8, 21), np.full(21, 0.5)])
    adam = PRIOR.at("Adam", rates, rates)
    levels = np.abs(rates[:, 0] - 0.6) * 6 - 1
    told = Posterior(adam, levels, Outlook.of(KNOWN, 0.0, levels, MEASURED))
    of_sgd = told.at(PRIOR.at("SGD", rates, rates)).mean
    assert abs(rates[int(np.argmin(of_sgd)), 0] - 0.6) <= 0.05


def test_without_any_result_the_prior_speaks() -> None:
    nothing = Posterior(places(0, 1), np.empty(0), Outlook.of(KNOWN, 0.5, np.empty(0), MEASURED))
    found = nothing.at(places(3, 2))
    assert found.mean == pytest.approx(nothing.outlook.height + nothing.fit.spread * places(3, 2).mean)
    assert np.isfinite(found.sd).all()


def test_what_is_expected_to_be_better_and_what_is_less_known_gains_more() -> None:
    found = posterior().at(places(60, 4))
    gains = expected_improvement(found, best=float(found.mean.min()))
    assert (gains >= 0).all()
    better = np.argsort(found.mean)[0]
    assert gains[better] > np.median(gains)
    assert expected_improvement(found, best=float(found.mean.max()) + 5) == pytest.approx(
        float(found.mean.max()) + 5 - found.mean, abs=1e-3
    )
