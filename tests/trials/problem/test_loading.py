"""Whoever waits for the user's code reads what it is at; how long it took is known afterwards."""

import time

import pytest

from optselect.trials.data import loading
from optselect.trials.data.loading import Loading


def test_a_part_that_takes_long_says_so_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "FIRST_LINE_SECONDS", 0.05)
    monkeypatch.setattr(loading, "EVERY_SECONDS", 0.02)
    said: list[str] = []
    told = Loading(said.append)
    with told.part("data()"):
        time.sleep(0.2)
    assert len(said) >= 3 and set(said) == {"loading data() since 0 s"}
    with pytest.raises(ValueError), told.part("model()"):
        raise ValueError("of the user's")
    count = len(said)
    time.sleep(0.1)
    assert len(said) == count, "nothing is said of what has ended"
    assert list(told.seconds) == ["data()", "model()"] and told.seconds["data()"] >= 0.2
