"""Costs of every kind become levels in the order of the costs, and none is beyond what an exploded run counts."""

import math
import random

import pytest

from optselect.search.knowledge.levels import levels_of

KINDS = {
    "losses": ([0.9, 0.4, 0.05, 1e-4], 2.3, "log"),
    "losses with a perfect one": ([0.9, 0.4, 0.0], 2.3, "log"),
    "what is missing of a score to one": ([0.6, 0.1, 0.02, 0.0], 0.9, "log"),
    "cosine similarities": ([-0.97, -0.6, -0.1, 0.2], -0.02, "asinh"),
    "a callback's score, unbounded": ([-1200.0, -30.0, -2.0, 5.0], 0.0, "asinh"),
    "losses, nobody knows the untrained one": ([0.9, 0.4, 0.05], None, "log"),
    "scores, nobody knows the untrained one": ([-0.9, -0.4, -0.05], None, "asinh"),
    "all alike": ([0.5, 0.5, 0.5], 0.5, "log"),
    "all alike and negative": ([-0.5, -0.5], -0.5, "asinh"),
    "a single one": ([-0.5], None, "asinh"),
}


@pytest.mark.parametrize(("costs", "untrained", "kind"), KINDS.values(), ids=KINDS)
def test_levels_are_finite_and_keep_the_order(costs: list[float], untrained: float | None, kind: str) -> None:
    levels = levels_of(costs, untrained)
    assert levels.kind == kind
    ranked = [levels.level(cost) for cost in sorted(costs)]
    assert all(math.isfinite(level) for level in ranked)
    assert ranked == sorted(ranked)
    assert levels.level(math.inf) == levels.level(math.nan) == levels.most >= max(ranked)


@pytest.mark.parametrize(("costs", "untrained", "kind"), KINDS.values(), ids=KINDS)
def test_a_level_tells_its_cost(costs: list[float], untrained: float | None, kind: str) -> None:
    levels = levels_of(costs, untrained)
    for cost in costs:
        assert levels.cost(levels.of(cost)) == pytest.approx(cost, abs=1e-9)


def test_the_order_of_the_costs_does_not_matter() -> None:
    costs = [random.Random(0).gauss(0.0, 1.0) for _ in range(9)]
    assert levels_of(costs, 0.5) == levels_of(costs[::-1], 0.5)


def test_an_exploded_run_counts_half_as_much_again_as_an_untrained_model() -> None:
    levels = levels_of([0.5, 1e9], untrained=2.0)
    assert levels.level(1e9) == levels.level(math.inf) == pytest.approx(math.log(3.0), abs=1e-3)
    assert levels.untrained == pytest.approx(math.log(2.0), abs=1e-3)


def test_without_any_result_there_is_still_a_scale() -> None:
    assert math.isfinite(levels_of([], None).level(math.inf))
    assert levels_of([], 2.0).kind == "log"
    assert levels_of([], 0.0).level(0.0) == 0.0
