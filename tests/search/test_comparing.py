"""The formulae agree with SciPy's where it has them, and cover what they claim in simulation."""

import numpy as np
import pytest
from scipy import stats

from optselect.search.comparing import (
    budget_curve,
    expected_best,
    holm,
    mean_interval,
    p_value,
    seeds_needed,
)


@pytest.mark.parametrize("count", [9, 12, 20])
def test_flipped_signs_give_scipys_p_value(count: int) -> None:
    given = np.random.default_rng(count).normal(0.4, 1.0, count)
    oracle = stats.permutation_test(
        (given, np.zeros(count)), lambda x, y, axis: np.mean(x - y, axis), permutation_type="samples"
    )
    assert p_value(given) == pytest.approx(oracle.pvalue, abs=0.0 if count <= 12 else 0.015)


def test_few_seeds_are_judged_by_students_test() -> None:
    given = [0.1, 0.3, 0.2, 0.15, 0.4]
    assert p_value(given) == pytest.approx(stats.ttest_rel(given, [0.0] * 5).pvalue)
    assert (p_value([0.2] * 5), p_value([0.0] * 5), p_value([0.3])) == (0.0, 1.0, 1.0)


def test_holms_correction_is_that_of_the_textbook() -> None:
    given = {"a": 0.01, "b": 0.005, "c": 0.03, "d": 0.04}
    assert holm(given) == pytest.approx({"b": 0.02, "a": 0.03, "c": 0.06, "d": 0.06})


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
