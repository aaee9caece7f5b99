"""An observer takes over what it has seen silent for a lease, and nothing of a holder who could not speak."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optselect.search.processes.observing import Observations
from optselect.storage.records.leases import HeldLease

LEASE = HeldLease(1, uuid.UUID(int=1), mark=0.0, promised=60.0)
PAUSE = 10.0


def watched(
    seconds: float, observations: Observations, lease: HeldLease, begin: float = 0.0, writable: bool = True
) -> float | None:
    """Look as an observer does; the time at which the lease was ended."""
    now = begin
    while now <= begin + seconds:
        due = observations.look(now, [lease])
        if due.end:
            return now
        if writable:
            observations.is_written(now, {one.ticket_id for one in due.touch})
        now += observations.pause_seconds
    return None


def test_a_lease_that_does_not_change_is_over_after_what_its_holder_promised() -> None:
    assert watched(600.0, Observations(), LEASE) == 60.0


def test_a_short_promise_is_kept_by_looking_often() -> None:
    ended = watched(600.0, Observations(), replace(LEASE, promised=3.0))
    assert ended is not None and ended <= PAUSE + 3.5


@pytest.mark.parametrize("promised", [None, -7200.0, 0.0, 7200.0])
def test_a_promise_that_cannot_be_is_taken_for_a_usual_lease(promised: float | None) -> None:
    assert watched(600.0, Observations(), replace(LEASE, promised=promised)) == 60.0


def test_a_holder_who_left_holds_nothing() -> None:
    assert watched(600.0, Observations(), replace(LEASE, signed_off=True)) == 0.0


def test_while_the_database_takes_no_writes_nobody_is_silent() -> None:
    observations = Observations()
    assert watched(3600.0, observations, LEASE, writable=False) is None
    assert watched(600.0, observations, LEASE, begin=3610.0) == 3640.0, (
        "half a lease after the first write that went through"
    )


def test_an_observer_that_slept_begins_anew() -> None:
    observations = Observations()
    assert watched(50.0, observations, LEASE) is None
    assert watched(600.0, observations, LEASE, begin=1000.0) == 1060.0


@given(st.lists(st.booleans(), max_size=60), st.floats(0.0, PAUSE))
def test_a_holder_that_sleeps_with_its_observer_keeps_its_lease(sleeps: list[bool], phase: float) -> None:
    """Any number of times, awake for a second in between: it renews every ten seconds that it is awake."""
    observations, now, awake = Observations(), 0.0, phase
    for slept in sleeps:
        now, awake = (now + 3600.0, awake + 1.0) if slept else (now + PAUSE, awake + PAUSE)
        due = observations.look(now, [replace(LEASE, mark=float(awake // PAUSE))])
        assert not due.end
        observations.is_written(now, {one.ticket_id for one in due.touch})
