"""A winner is named where there is one, a tie where there is none, and never by looking until it fits."""

import numpy as np
import pytest

from optselect.search.verdict.judging import LOOKS, MOST_SEEDS, Contender, Judgement, judge, next_look


def contender(name: str, costs: object, test: object = None, diverged: tuple[int, ...] = ()) -> Contender:
    chosen = dict(enumerate(np.asarray(costs, dtype=float).tolist()))
    judged = chosen if test is None else dict(enumerate(np.asarray(test, dtype=float).tolist()))
    return Contender(name, chosen, judged, frozenset(diverged))


def finals(costs: dict[str, np.ndarray]) -> tuple[Judgement, dict[str, int]]:
    """The whole sequence of looks over costs that are known for the most seeds; the seeds that each one took."""
    seeds = dict.fromkeys(costs, min(LOOKS))
    while True:
        contenders = [contender(name, costs[name][:count]) for name, count in seeds.items()]
        judgement = judge(contenders)
        more = next_look(judgement, contenders)
        if not more:
            return judgement, seeds
        seeds |= more


def simulated(random: np.random.Generator, means: dict[str, float], noise: float) -> dict[str, np.ndarray]:
    """Costs with an effect of the seed that all share, which pairing removes."""
    seeds = random.normal(0.0, 0.1, MOST_SEEDS)
    return {name: mean + seeds + random.normal(0.0, noise, MOST_SEEDS) for name, mean in means.items()}


def test_a_clear_winner_is_found_at_the_first_look_and_by_name() -> None:
    random = np.random.default_rng(1)
    means = {"Adam": 1.3, "SGD": 1.0, "Lion": 1.5}
    for _ in range(20):
        judgement, seeds = finals(simulated(random, means, 0.02))
        assert (judgement.outcome, judgement.leader) == ("winner", "SGD")
        assert set(seeds.values()) == {5}


def test_a_small_but_real_difference_gets_more_seeds_and_only_where_it_is_open() -> None:
    random = np.random.default_rng(4)
    found = [finals(simulated(random, {"A": 1.0, "B": 1.03, "C": 2.0}, 0.03)) for _ in range(60)]
    right = sum(judgement.outcome == "winner" and judgement.leader == "A" for judgement, _ in found)
    assert right >= 30
    assert not any(judgement.outcome == "winner" and judgement.leader != "A" for judgement, _ in found)
    assert all(seeds["C"] == 5 for _, seeds in found)
    assert max(seeds["B"] for _, seeds in found) == MOST_SEEDS


def test_equal_within_the_margin_is_a_tie_without_further_seeds() -> None:
    base = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    contenders = [contender("A", base), contender("B", base + np.array([0.001, -0.001, 0.002, 0.0, 0.001]))]
    judgement = judge(contenders)
    assert (judgement.outcome, judgement.tie) == ("tie", ("A", "B"))
    assert next_look(judgement, contenders) == {}


def test_a_tie_holds_nobody_who_may_be_far_worse() -> None:
    """68 % worse, and by the noise of twenty seeds perhaps not worse at all: that is no tie."""
    random = np.random.default_rng(0)
    leader, equal = np.full(20, 1.0), np.full(20, 1.001)
    far = 1.68 + random.normal(0, 2.5, 20)
    for costs in (leader, equal):
        costs += random.normal(0, 0.001, 20)
    judgement = judge([contender("A", leader), contender("B", equal), contender("C", far)])
    assert {name: found.relation for name, found in judgement.comparisons.items()} == {
        "B": "equivalent",
        "C": "undecided",
    }
    assert (judgement.outcome, judgement.tie) == ("not_enough_evidence", ())
    assert not judgement.comparisons["C"].is_open  # the most seeds are spent
    assert judgement.bound == pytest.approx(-judgement.comparisons["C"].difference.low, rel=1e-3)


def test_a_tie_may_leave_beaten_ones_behind() -> None:
    base = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    small = np.array([0.001, -0.001, 0.002, 0.0, 0.001])
    judgement = judge([contender("A", base), contender("B", base + small), contender("C", 2 * base)])
    assert (judgement.outcome, judgement.tie) == ("tie", ("A", "B"))
    assert judgement.comparisons["C"].relation == "beaten"


def test_the_margin_is_the_callers() -> None:
    base = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    contenders = [contender("A", base), contender("B", base + np.array([0.03, 0.02, 0.03, 0.025, 0.02]))]
    assert judge(contenders).outcome == "winner"
    assert judge(contenders, margin=0.05).outcome == "tie"


@pytest.mark.parametrize("rivals", [1, 3, 8])
@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_a_relation_is_read_off_the_interval_that_is_shown(rivals: int, seeds: int) -> None:
    random = np.random.default_rng(rivals * seeds)
    for _ in range(100):
        base = 1.0 + random.normal(0, 0.1, seeds)
        spread = random.choice([0.003, 0.01, 0.05])
        others = [
            contender(str(k), base + random.choice([0.0, 0.01, 0.05]) + random.normal(0, spread, seeds))
            for k in range(rivals)
        ]
        judgement = judge([contender("leader", base - 0.002), *others])
        delta = judgement.margin * judgement.costs[judgement.leader].mean
        for found in judgement.comparisons.values():
            low, high = found.difference.low, found.difference.high
            matters = abs(found.difference.mean) >= delta
            assert (found.relation in ("beaten", "ahead")) == ((low > 0 or high < 0) and matters)
            assert (found.relation == "equivalent") == (-delta <= low and high <= delta)
            assert (low > 0 or high < 0) == (found.p < 1 - found.confidence)


def test_single_rivals_are_judged_by_wider_intervals_unless_all_say_the_same() -> None:
    base = np.linspace(1.0, 1.1, 5)
    jitter = 0.01 * np.array([1.0, -1.0, 0.5, -0.5, 0.0])
    beaten = [contender(name, base + far + jitter) for name, far in (("B", 0.2), ("C", 0.3), ("D", 0.4))]
    alone = judge([contender("A", base), *beaten])
    assert alone.outcome == "winner"
    assert {found.confidence for found in alone.comparisons.values()} == {0.99}
    together = judge([contender("A", base), *beaten, contender("E", base + 0.01 + jitter)])
    assert together.outcome == "not_enough_evidence"
    confidences = {name: found.confidence for name, found in together.comparisons.items()}
    pairs = 10  # of five; once three are settled one rival is left, and one pair
    assert confidences == {**dict.fromkeys("BCD", 1 - 0.01 / pairs), "E": 0.99}
    wide, narrow = (found.comparisons["B"].difference.half for found in (together, alone))
    assert wide > narrow


def test_the_very_same_costs_are_equal_once_enough_seeds_say_so() -> None:
    costs = np.random.default_rng(1).normal(1.0, 0.1, 10)
    few = [contender("A", costs[:5]), contender("B", costs[:5])]
    assert judge(few).outcome == "not_enough_evidence"
    assert next_look(judge(few), few) == {"A": 10, "B": 10}
    assert judge([contender("A", costs), contender("B", costs)]).tie == ("A", "B")
    perfect = [contender(name, [0.0] * 10) for name in "AB"]  # a score of 1 on every seed
    assert judge(perfect).tie == ("A", "B")


def test_one_run_that_is_counted_several_times_beats_nobody() -> None:
    for seeds in (5, MOST_SEEDS):
        judgement = judge([contender("A", [1.0] * seeds), contender("B", [1.1] * seeds)])
        assert judgement.comparisons["B"].relation == "undecided"
        assert judgement.bound == np.inf


def test_a_difference_that_is_the_same_on_ten_seeds_of_runs_that_differ_is_one() -> None:
    costs = np.linspace(1.0, 1.1, 10)
    assert judge([contender("A", costs), contender("B", costs + 0.1)]).outcome == "winner"
    assert (
        judge([contender("A", costs[:5]), contender("B", costs[:5] + 0.1)]).outcome == "not_enough_evidence"
    )


def test_fewer_seeds_than_the_first_look_prove_nothing() -> None:
    contenders = [contender("A", [1.0, 1.0, 1.0]), contender("B", [3.0, 3.1, 3.2])]
    judgement = judge(contenders)
    assert judgement.outcome == "not_enough_evidence"
    assert next_look(judgement, contenders) == {"A": 5, "B": 5}


def test_validation_names_the_leader_and_test_costs_judge_it() -> None:
    a = contender("A", [1.0, 1.1, 1.2, 1.0, 1.1], test=[2.0, 2.1, 2.2, 2.0, 2.1])
    b = contender("B", [1.5, 1.6, 1.7, 1.5, 1.6], test=[2.5, 2.61, 2.7, 2.52, 2.6])
    judgement = judge([b, a])
    assert (judgement.outcome, judgement.leader) == ("winner", "A")
    assert judgement.costs["A"].mean == pytest.approx(2.08)
    assert judgement.comparisons["B"].difference.mean == pytest.approx(0.506)


def test_a_test_split_that_clearly_prefers_another_one_forbids_a_winner() -> None:
    a = contender("A", [1.0, 1.1, 1.2, 1.0, 1.1], test=[3.0, 3.1, 3.2, 3.0, 3.1])
    b = contender("B", [1.5, 1.6, 1.7, 1.5, 1.6], test=[2.5, 2.61, 2.7, 2.52, 2.6])
    judgement = judge([a, b])
    assert (judgement.outcome, judgement.leader, judgement.contradicted) == ("not_enough_evidence", "A", True)


def test_an_optimizer_that_explodes_on_a_seed_is_never_equivalent() -> None:
    costs = np.full(20, 1.0) + np.random.default_rng(0).normal(0, 1e-4, 20)
    shaky = contender("B", costs + 1e-5, diverged=(3,))
    judgement = judge([contender("A", costs), shaky])
    assert judgement.comparisons["B"].relation == "undecided"


def test_too_few_trials_are_never_more_than_not_enough_evidence() -> None:
    contenders = [contender("A", [1.0, 1.1, 1.2, 1.0, 1.1]), contender("B", [5.0, 5.1, 5.3, 5.0, 5.1])]
    assert judge(contenders).outcome == "winner"
    assert judge(contenders, thin=True).outcome == "not_enough_evidence"


def test_a_new_leader_meets_those_who_were_settled_beside_the_old_one() -> None:
    """A rival that was beaten after five seeds is compared on these five, whoever leads later."""
    random = np.random.default_rng(2)
    shared = random.normal(0, 0.1, 10)
    a, b = 1.0 + shared, 0.99 + shared + random.normal(0, 0.005, 10)
    judgement = judge(
        [contender("A", a), contender("B", b), contender("C", 2.0 + shared[:5] + 1e-3 * np.arange(5))]
    )
    assert judgement.leader == "B"
    assert (judgement.comparisons["C"].seeds, judgement.comparisons["C"].relation) == (5, "beaten")


def test_whoever_is_left_alone_has_won() -> None:
    assert judge([contender("A", [1.0, 1.1, 1.2, 1.0, 1.1])]).outcome == "winner"
