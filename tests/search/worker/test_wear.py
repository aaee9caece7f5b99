"""A training process asks for a fresh one when it is worn, and only then."""

import pytest

from optselect.search.worker import wear
from optselect.search.worker.wear import MOST_GROWTH_BYTES, TRIALS_PER_PROCESS, Wear, owned_bytes


@pytest.fixture(autouse=True)
def looks_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wear, "LOOK_SECONDS", 0.0)


def after(trials: int, owned: list[int]) -> Wear:
    """A process that owned so many bytes after its first trials, and as many as in the end after all others."""
    sizes = iter(owned)
    worn = Wear(measure=lambda: next(sizes, owned[-1]))
    for _ in range(trials):
        worn.note_trial()
    return worn


def test_a_process_that_is_not_worn_goes_on() -> None:
    assert after(TRIALS_PER_PROCESS - 1, [10**8, 10**8 + MOST_GROWTH_BYTES]).reason == ""
    assert Wear().reason == ""


def test_after_many_trials_a_fresh_process_is_wanted() -> None:
    assert after(TRIALS_PER_PROCESS, [10**8]).reason == f"it has trained {TRIALS_PER_PROCESS} trials"


def test_growth_counts_and_not_what_the_users_data_takes() -> None:
    assert after(3, [5 * 10**9]).reason == ""
    grown = after(3, [10**8, 10**8 + MOST_GROWTH_BYTES + 10**6])
    assert grown.reason == "its memory grew from 100 to 1101 MB"


def test_after_one_trial_without_memory_a_fresh_process_is_wanted() -> None:
    worn = Wear()
    worn.note_trial(out_of_memory=True)
    assert "out of memory" in worn.reason


def test_what_a_process_owns_is_measured() -> None:
    before = owned_bytes()
    held = bytearray(50_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert owned_bytes() - before > 40_000_000
