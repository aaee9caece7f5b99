"""The formulae agree with SciPy's where it has them, and cover what they claim in simulation."""

import numpy as np
import pytest
from scipy import stats

from optselect.search.verdict.comparing import (
    budget_curve,
    expected_best,
    mean_interval,
    p_value,
    seeds_needed,
)


def test_differences_are_judged_by_students_test() -> None:
    given = [0.1, 0.3, 0.2, 0.15, 0.4]
    assert p_value(given) == pytest.approx(stats.ttest_rel(given, [0.0] * 5).pvalue)


@pytest.mark.parametrize("level", [0.01, 0.003, 0.05])
@pytest.mark.parametrize("count", [5, 10, 20])
def test_the_interval_leaves_out_zero_just_where_the_p_value_is_below_its_level(
    count: int, level: float
) -> None:
    random = np.random.default_rng(count)
    for _ in range(200):
        given = random.normal(0.8, 1.0, count)
        interval = mean_interval(given, level)
        assert (interval.low > 0 or interval.high < 0) == (p_value(given) < level)
        oracle = stats.ttest_1samp(given, 0.0).confidence_interval(1 - level)
        assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high))


def test_the_same_difference_on_every_seed_proves_no_more_than_its_signs() -> None:
    """Not a spread of 0: of one run that was counted five times nothing is known, of a coarse score little."""
    coarse = [0.95 - 0.94, 0.93 - 0.92, 0.91 - 0.90, 0.97 - 0.96, 0.99 - 0.98]  # alike but for rounding
    assert mean_interval(coarse, 0.01).low == -np.inf
    assert p_value(coarse) == 2 / 2**5
    assert p_value(coarse * 2) == 2 / 2**10
    assert mean_interval(coarse * 2, 0.01).half == 0.0
    assert (p_value([0.0] * 5), p_value([0.3])) == (1.0, 1.0)


@pytest.mark.parametrize("count", [5, 10, 20])
def test_the_interval_holds_the_true_mean_in_nineteen_of_twenty_repeats(count: int) -> None:
    random = np.random.default_rng(count)
    found = [mean_interval(random.normal(1.0, 0.2, count)) for _ in range(1000)]
    covered = sum(interval.low <= 1.0 <= interval.high for interval in found) / 1000
    assert 0.93 <= covered <= 0.97


def test_so_many_seeds_do_show_the_difference_in_four_of_five_repeats() -> None:
    random = np.random.default_rng(0)
    needed = seeds_needed(random.normal(0.5, 1.0, 5000), margin=0.0)
    assert needed == pytest.approx(7.84 / 0.25, abs=4)
    shown = sum(p_value(random.normal(0.5, 1.0, needed)) < 0.05 for _ in range(300)) / 300
    assert 0.72 <= shown <= 0.9


def test_the_expected_best_of_n_is_that_of_drawing_n_trials() -> None:
    random = np.random.default_rng(3)
    costs = random.exponential(size=12)
    drawn = np.mean([random.choice(costs, 4, replace=False).min() for _ in range(20_000)])
    assert expected_best(costs, 4) == pytest.approx(drawn, rel=0.03)
    curve = [value for _, value in budget_curve(costs)]
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] == min(costs)
