"""What is said of two studies together: a difference where one is shown, and never one between what cannot be compared."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from optselect.search.report.side_by_side import Pair, Side, pair_json, together
from optselect.search.verdict.record import Record
from optselect.storage.records.studies import StoredStudy
from tests.search.report.test_sentences import CLEAR, answers, record
from tests.support.problems import description

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def side(
    name: str,
    costs: Mapping[str, float | None] = CLEAR,
    data: str = "d" * 64,
    **asked: Any,
) -> Side:
    """A finished study of that name."""
    return side_of(replace(record(answers(costs), **asked), name=name), data)


def side_of(done: Record, data: str = "d" * 64) -> Side:
    stored = StoredStudy(
        1,
        done.name,
        done.spec.model_dump(mode="json"),
        1,
        description().to_json(),
        {},
        "s" * 64,
        data,
        {"keras": "3"},
        done.spec.objective,
        done.spec.direction,
        None,
        None,
        done.budget,
        "finished",
        done.decisions,
        None,
        NOW,
        NOW,
    )
    return Side.of(stored, done)


@pytest.fixture(scope="module")
def first() -> Side:
    return side("first")


def test_the_same_choice_is_said_once(first: Side) -> None:
    assert together(Pair.of(first, side("again"))).startswith(
        "The same data and source, and both say: Adam ("
    )


def test_a_clear_difference_names_the_better_one_on_common_seeds(first: Side) -> None:
    second = side("second", {"SGD": 1.9, "RMSprop": 1.5, "baseline": 2.0}, optimizers="sgd,rmsprop")
    for pair in (Pair.of(first, second), Pair.of(second, first)):
        assert "use Adam of first. On 5 common seeds its test loss is" in together(pair)
        assert "better than that of RMSprop of second" in together(pair)
    data: Any = pair_json(Pair.of(first, second))
    assert data["distance"]["mean"] > 0


def test_where_no_difference_is_shown_none_is_said(first: Side) -> None:
    costs = {"SGD": 1.3, "RMSprop": 1.0, "Nadam": 1.2, "baseline": 2.0}
    pair = Pair.of(first, side("second", costs, optimizers="sgd,rmsprop,nadam"))
    assert pair.distance is not None and not pair.distance.shown
    assert "no difference is shown between Adam of first and RMSprop of second" in together(pair)


def test_studies_of_other_seeds_are_compared_without_pairs(first: Side) -> None:
    second = side("second", {"SGD": 1.9, "RMSprop": 1.5, "baseline": 2.0}, optimizers="sgd,rmsprop", seed=7)
    pair = Pair.of(first, second)
    assert pair.distance is not None and pair.distance.seeds == 0
    assert "On seeds of their own" in together(pair)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"data": "e" * 64}, "their data differs"),
        ({"objective": "val_mae"}, "one is judged by val_loss, the other by val_mae"),
        ({"epochs": 7}, "one trains 25 epochs, the other 7"),
        ({"tested": False}, "only one was judged on data that no choice has seen"),
        ({"seeds": 0}, "other has no verdict"),
    ],
)
def test_what_cannot_be_compared_is_not_and_the_reason_is_said(
    first: Side, other: dict[str, Any], reason: str
) -> None:
    pair = Pair.of(first, side("other", **other))
    assert pair.distance is None
    assert together(pair).startswith("Their values cannot be compared: ") and reason in together(pair)
