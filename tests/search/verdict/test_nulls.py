"""The sequence of looks says nothing wrong of equals, and finds one that is truly better."""

import pytest

from benchmarks.nulls import EQUALS, LEADERS, is_wrong_of_one, said, verdicts

REPEATS = 200  # python -m benchmarks.nulls takes 1,000, and more worlds
WORLDS = {world.name: world for world in (*EQUALS, *LEADERS)}


@pytest.mark.parametrize("name", ["2 alike", "8 alike", "2 alike, skewed noise", "2 alike, no test split"])
def test_among_equals_whatever_is_wrong_is_said_in_at_most_one_of_twenty_studies(name: str) -> None:
    found = [judgement for judgement, _ in verdicts(WORLDS[name], REPEATS)]
    assert sum(said(judgement, WORLDS[name]) == "wrong" for judgement in found) <= 0.05 * REPEATS
    assert sum(is_wrong_of_one(judgement, WORLDS[name]) for judgement in found) <= 0.05 * REPEATS


def test_equals_are_a_tie_where_the_noise_lets_one_see_it_and_else_not_enough_evidence() -> None:
    calm, noisy = WORLDS["2 alike, spread 0.5 %"], WORLDS["2 alike"]
    assert [said(j, calm) for j, _ in verdicts(calm, REPEATS // 4)].count("tie") >= 0.9 * REPEATS / 4
    assert [said(j, noisy) for j, _ in verdicts(noisy, REPEATS // 4)].count("tie") == 0


def test_one_that_is_better_by_the_margin_is_seldom_called_equal() -> None:
    world = WORLDS["1 of 2 better by 1 %: the margin, spread 0.5 %"]
    assert [said(j, world) for j, _ in verdicts(world, REPEATS)].count("tie") <= 0.05 * REPEATS


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("1 of 8 better by 10 %, spread 5 %", 0.95),
        ("1 of 8 better by 10 %, spread 10 %", 0.2),
        ("1 of 2 better by 10 %, spread 10 %", 0.65),
    ],
)
def test_one_that_is_better_by_a_tenth_is_found_and_never_another(name: str, least: float) -> None:
    found = [said(judgement, WORLDS[name]) for judgement, _ in verdicts(WORLDS[name], REPEATS // 2)]
    assert found.count("right") >= least * len(found)
    assert found.count("wrong") <= 0.02 * len(found)
