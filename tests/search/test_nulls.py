"""The sequence of looks names no winner among equals, and finds one that is truly better."""

import pytest

from benchmarks.nulls import EQUALS, LEADERS, World, said, verdicts

REPEATS = 200  # python -m benchmarks.nulls takes 1,000, and more worlds
PAIR, EIGHT, SKEWED_PAIR = EQUALS[0], EQUALS[1], EQUALS[3]
CALM, NOISY, ONE_OF_TWO = LEADERS[0], LEADERS[1], LEADERS[3]


@pytest.mark.parametrize("world", [PAIR, EIGHT, SKEWED_PAIR], ids=lambda world: world.name)
def test_among_equals_a_winner_is_named_in_at_most_one_of_twenty_studies(world: World) -> None:
    found = [said(judgement, world) for judgement, _ in verdicts(world, REPEATS)]
    assert found.count("wrong") <= 0.05 * REPEATS
    assert found.count("tie") >= 0.95 * REPEATS


@pytest.mark.parametrize(
    ("world", "least"), [(CALM, 0.95), (NOISY, 0.2), (ONE_OF_TWO, 0.65)], ids=["calm", "noisy", "one of two"]
)
def test_one_that_is_better_by_a_tenth_is_found_and_never_another(world: World, least: float) -> None:
    found = [said(judgement, world) for judgement, _ in verdicts(world, REPEATS // 2)]
    assert found.count("right") >= least * len(found)
    assert found.count("wrong") <= 0.02 * len(found)
