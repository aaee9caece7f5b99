"""Who has fallen silent? Whoever watches takes a lease from its holder, by no clock but its own that nobody can set.

A lease is over for an observer that has seen it unchanged for as long as its holder promised to change it, and in the
second half of that time knew that the holder could have: a write of the observer's own went through to the same row. An
observer that was suspended, or that got no answer, has not observed, and begins anew; so does a new process.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from optselect.storage.records.leases import HeldLease, end_leases, held_leases, touch_leases
from optselect.storage.records.tickets import LEASE_SECONDS
from optselect.storage.server.database import Engine, transient

log = logging.getLogger(__name__)

LOOKS_PER_LEASE = 6
"""As often as a holder renews it."""
LONGEST_GAP = 2.5
"""Looks further apart than so many pauses are no observation: a holder on the same machine slept, too."""
LEAST_LOOKS = 3
"""After the write; that leaves a holder who slept nearly so long the time of two renewals."""
SHORTEST_PROMISE, LONGEST_PROMISE = 1.0, 10 * LEASE_SECONDS


@dataclass
class Silence:
    """Since when a lease has not changed, by the observer's own clock."""

    since: float
    sure_since: float | None = None  # a write to its row went through
    looks: int = 0  # since then


@dataclass(frozen=True)
class Due:
    """What an observer has to do about the leases that it saw."""

    touch: Sequence[HeldLease]
    end: Sequence[HeldLease]


@dataclass
class Observations:
    """What one observer has seen, and what follows from it.

    >>> import uuid
    >>> observations, lease = Observations(), HeldLease(1, uuid.UUID(int=1), mark=7.0, promised=6.0)
    >>> looks = [observations.look(now, [lease]) for now in (0.0, 1.0, 2.0)]
    >>> any(due.touch or due.end for due in looks)
    False
    >>> observations.look(3.0, [lease]).touch == [lease]
    True
    >>> observations.is_written(3.0, {1})
    >>> [now for now in (4.0, 5.0, 6.0) if observations.look(now, [lease]).end]
    [6.0]
    >>> observations.look(600.0, [lease]).end  # it slept meanwhile
    []
    """

    lease_seconds: float = LEASE_SECONDS
    _seen: dict[HeldLease, Silence] = field(default_factory=dict)
    _last: float | None = None
    _pause: float = LEASE_SECONDS / LOOKS_PER_LEASE

    @property
    def pause_seconds(self) -> float:
        """Until the next look."""
        return self._pause

    def look(self, now: float, held: Sequence[HeldLease]) -> Due:
        """Take note of the leases as they are now."""
        if self._last is not None and now - self._last > LONGEST_GAP * self._pause:
            self.forget()
        self._last = now
        self._seen = {lease: self._seen.get(lease) or Silence(now) for lease in held}
        self._pause = min((self.lease_seconds, *map(self.promised, held))) / LOOKS_PER_LEASE
        return Due(
            [lease for lease, silence in self._seen.items() if self.is_doubtful(lease, silence, now)],
            [lease for lease, silence in self._seen.items() if self.is_over(lease, silence, now)],
        )

    def is_written(self, now: float, tickets: set[int]) -> None:
        """Take note that writes to these rows went through."""
        for lease, silence in self._seen.items():
            if lease.ticket_id in tickets:
                silence.sure_since = now

    def forget(self) -> None:
        """Begin anew."""
        self._seen.clear()

    def promised(self, lease: HeldLease) -> float:
        """How long its holder may be silent."""
        seconds = lease.promised or 0.0
        return seconds if SHORTEST_PROMISE <= seconds <= LONGEST_PROMISE else self.lease_seconds

    def is_doubtful(self, lease: HeldLease, silence: Silence, now: float) -> bool:
        half = self.promised(lease) / 2
        return not lease.signed_off and silence.sure_since is None and now - silence.since >= half

    def is_over(self, lease: HeldLease, silence: Silence, now: float) -> bool:
        if lease.signed_off or silence.sure_since is None:
            return lease.signed_off
        silence.looks += 1
        return silence.looks >= LEAST_LOOKS and now - silence.sure_since >= self.promised(lease) / 2


class Observer:
    """A thread that watches the leases of one study, or of all; it never raises."""

    def __init__(self, engine: Engine, study_id: int | None, lease_seconds: float = LEASE_SECONDS) -> None:
        self._engine, self._study_id = engine, study_id
        self._observations = Observations(lease_seconds, _pause=lease_seconds / LOOKS_PER_LEASE)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer; a question that is under way is not waited for."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._look()
            except Exception as error:
                self._observations.forget()  # while nobody can be asked, nobody can say that he lives
                if not transient(error):
                    log.exception("the leases of others cannot be watched")
            self._ended.wait(self._observations.pause_seconds)

    def _look(self) -> None:
        held = held_leases(self._engine, self._study_id)
        due = self._observations.look(time.monotonic(), held)
        written = touch_leases(self._engine, due.touch)
        self._observations.is_written(time.monotonic(), written)
        for ticket in sorted(end_leases(self._engine, due.end)):
            log.warning("ticket %d is free: its holder has fallen silent or left", ticket)


@contextmanager
def observing(engine: Engine, study_id: int | None, lease_seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Watch while the block runs."""
    observer = Observer(engine, study_id, lease_seconds)
    try:
        yield
    finally:
        observer.close()
