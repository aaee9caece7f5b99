"""A mark tells weights from others, and does not mind the last bits that another processor gives."""

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from optselect.trials.weights.weight_marks import begin, begins_so, mark

WEIGHTS = np.random.default_rng(0).normal(size=(30, 40)).astype("float32")


def rounded(value: Any, share: float) -> Any:
    return value * (1 + share * np.random.default_rng(1).normal(size=value.shape)).astype("float32")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16])
def test_rounding_is_no_change(dtype: Any) -> None:
    one, other = WEIGHTS.astype(dtype), rounded(WEIGHTS, 2e-7).astype(dtype)
    assert mark("w", one).agrees(mark("w", other))


@pytest.mark.parametrize(
    "changed", [rounded(WEIGHTS, 1e-3), WEIGHTS.T.reshape(30, 40), WEIGHTS[::-1], -WEIGHTS, WEIGHTS + 1e-3]
)
def test_trained_exchanged_or_moved_weights_are_another_beginning(changed: Any) -> None:
    assert not mark("w", WEIGHTS).agrees(mark("w", changed))


def test_the_state_of_a_seed_generator_is_compared_number_by_number() -> None:
    state = np.array([4_000_000_000, 3], "uint32")
    assert mark("s", state).agrees(mark("s", state.copy()))
    assert not mark("s", state).agrees(mark("s", np.array([4_000_000_001, 3], "uint32")))


def test_weights_that_are_not_finite_can_be_written_as_json() -> None:
    found = mark("w", np.array([math.nan, math.inf, -math.inf, 3e38], "float32"))
    assert json.dumps([found.norm, found.along], allow_nan=False)


def test_what_follows_from_the_seed_is_told_from_what_is_loaded_and_what_is_drawn_freely() -> None:
    drawn = iter(range(9))

    def make(seed: int) -> Any:
        values = [np.full((2, 2), seed), np.arange(3.0), np.ones(3), np.full(3, next(drawn))]
        return ["seeded", "loaded", "bias", "free"], tuple(values)

    found = begin(make)
    assert found.differ and found.unsteady == ("free",)
    assert [one.name for one in found.weights.variables] == ["seeded", "loaded", "bias"]
    assert found.weights.kept == ("loaded",)
    assert not begins_so(found.weights, make), "nobody makes the free ones again"
    assert found.weights.differing(begin(lambda seed: make(seed + 1)).weights) == ["seeded"]


def test_a_process_that_has_trained_shared_layers_begins_otherwise() -> None:
    shared = np.ones(2)

    def make(seed: int) -> Any:
        return ["shared", "own"], (shared.copy(), np.full(2, seed))

    described = begin(make).weights
    assert begins_so(described, make)
    shared[0] += 1e-9
    assert not begins_so(described, make) and not begins_so(None, make)
