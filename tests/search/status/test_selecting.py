"""Which trials are shown, in which order: names as a person types them, the best first where it is asked for."""

from dataclasses import replace

import pytest

from optselect.search.errors import InvalidInput
from optselect.search.spec.objective import Direction, Objective
from optselect.search.status.selecting import Selection, select
from optselect.storage.records.overview import TrialRow

ROW = TrialRow(1, 0, 0, "quota", "SGD", "complete", 0.5, 3, {}, 1, 0, None, None, 2.0, "search", {}, 0.0, 2.0)
ROWS = [
    ROW,
    replace(ROW, trial=1, optimizer="Adam", value=0.2, seconds=9.0),
    replace(ROW, trial=2, optimizer="Adam", state="diverged", value=None),
    replace(ROW, trial=None, optimizer="Nadam", state="waiting", value=None, seconds=None, phase="final"),
]


def numbers(wanted: Selection, direction: Direction = "minimize") -> list[int | None]:
    return [trial.trial for trial in select(ROWS, wanted, Objective("val_loss", direction))]


def test_nothing_said_shows_all_in_their_order() -> None:
    assert numbers(Selection()) == [0, 1, 2, None]


def test_names_are_read_in_any_case_and_several_of_them() -> None:
    assert numbers(Selection(optimizer="adam, sgd", state="COMPLETE")) == [0, 1]
    assert numbers(Selection(phase="final")) == [None]


def test_the_best_value_comes_first_and_what_has_none_last() -> None:
    assert numbers(Selection(sort="value")) == [1, 0, 2, None]
    assert numbers(Selection(sort="value"), "maximize") == [0, 1, 2, None]
    assert numbers(Selection(sort="seconds", limit=1)) == [1]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Selection(optimizer="adm"), "--optimizer must be of Adam, Nadam, SGD. Received: adm. Did you mean"),
        (Selection(state="done"), "--state must be of complete, diverged, failed, pruned, running, waiting."),
        (Selection(sort="best"), "--sort must be of epochs, optimizer, seconds, trial, value."),
    ],
)
def test_an_unknown_name_is_answered_by_the_known_ones(wanted: Selection, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        select(ROWS, wanted, Objective("val_loss", "minimize"))
