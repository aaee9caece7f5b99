"""How do a trial's epochs and checkpoints get from the training thread into the database, and orders back?

A thread of their own writes them, so that training waits neither for Postgres nor for a disk. While the database
is away the epochs queue up here; when it stays away, the training's state goes into a file and the worker leaves.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from optselect.search.worker.departure import Departure, Holding, Pulse
from optselect.storage.errors import LeaseLost
from optselect.storage.records.checkpoints import Checkpoint
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.tickets import Orders
from optselect.storage.records.unsent import Unsent
from optselect.trials.terms.outcome import Epoch, Stop

log = logging.getLogger(__name__)

CHECKPOINT_SHARE = 0.02
"""Most of a training's time that its checkpoints may cost."""
ANSWER_SHARE = 0.01
"""Most of a training's time that is spent waiting for the answer to a write."""
LEAVING_SECONDS = 5.0
"""How long a worker that leaves waits for its last write before it also keeps the state in a file."""

Send = Callable[[Sequence[EpochRow], Checkpoint | None], Orders]


class Writer:
    """A thread that writes what it is given, in order; during an outage the next batch only grows."""

    def __init__(self, send: Send) -> None:
        self.orders: Orders | None = None
        self.error: Exception | None = None
        self.checkpoint_seconds = 0.0  # of CPU, for the last checkpoint
        self._send = send
        self._changed = threading.Condition()
        self._rows: list[EpochRow] = []
        self._checkpoint: Checkpoint | None = None
        self._under_way: Sequence[EpochRow] = ()
        self._busy = self._closing = False
        self._last_sent: Sequence[EpochRow] = ()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def put(self, rows: Sequence[EpochRow], checkpoint: Checkpoint | None = None) -> None:
        """Hand over epochs, and the newest checkpoint where there is one."""
        with self._changed:
            self._rows += rows
            self._checkpoint = checkpoint or self._checkpoint
            self._changed.notify_all()

    def settle(self, seconds: float | None = None) -> bool:
        """Wait until everything is written or nothing will be; tell whether everything is."""
        with self._changed:
            self._changed.wait_for(lambda: self.error is not None or not self._has_work(), seconds)
            return self.error is None and not self._has_work()

    def close(self) -> None:
        """Write what is left and end; raises what a write raised."""
        self.settle()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def unsent(self) -> list[EpochRow]:
        """The last epoch known to be written and all that are not."""
        with self._changed:
            return [*self._last_sent, *self._under_way, *self._rows]

    def _has_work(self) -> bool:
        return bool(self._busy or self._rows or self._checkpoint)

    def _run(self) -> None:
        while self._take():
            began = time.thread_time()
            try:
                self.orders = self._send(self._under_way, self._taken)
            except Exception as error:  # noqa: BLE001  close() raises it where it can be handled
                self.error = error
            if self._taken is not None:
                self.checkpoint_seconds = time.thread_time() - began
            with self._changed:
                if self.error is None:
                    self._last_sent, self._under_way = self._under_way[-1:] or self._last_sent, ()
                self._busy = False
                self._changed.notify_all()
                if self.error is not None:
                    return

    def _take(self) -> bool:
        """Wait for a batch; False once there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._rows or self._checkpoint)
            self._under_way, self._taken = tuple(self._rows), self._checkpoint
            self._rows, self._checkpoint = [], None
            self._busy = bool(self._under_way or self._taken)
            return self._busy


@dataclass
class Throttle:
    """Lets something happen so seldom that it takes at most a share of the time.

    >>> throttle = Throttle(share=0.5, due=0.0)
    >>> throttle.spent(began=10.0, ended=11.0); throttle.allows(11.5), throttle.allows(12.0)
    (False, True)
    """

    share: float
    due: float = 0.0

    def allows(self, now: float) -> bool:
        return now >= self.due

    def spent(self, began: float, ended: float) -> None:
        self.due = began + (ended - began) / self.share


@dataclass
class Reporter:
    """What the trainer calls about once a second, with new epochs, or in a long epoch with none.

    It raises nothing: whatever goes wrong ends the trial as stopped, and close() raises it, so that no trainer
    can take it for a failure of the user's code.
    """

    writer: Writer
    last_epoch: int  # of the trial: there it needs no checkpoint any more
    departure: Departure
    holding: Holding
    keep: Callable[[Unsent], None]  # in a file of this machine
    sample: Callable[[], Mapping[str, float] | None] = lambda: None
    """How busy the machine is, for MLflow; asked once for each batch of epochs."""
    seconds_before: float = 0.0  # spent by earlier attempts on the epochs before
    began: float = field(default_factory=time.monotonic)
    pulse: Pulse = field(default_factory=Pulse)
    _throttle: Throttle = field(default_factory=lambda: Throttle(CHECKPOINT_SHARE))
    _at_end: Checkpoint | None = None

    @property
    def seconds(self) -> float:
        """Spent on the trial, over all attempts."""
        return self.seconds_before + time.monotonic() - self.began

    def __post_init__(self) -> None:
        self.holding.pulse = self.pulse

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        silence = self.pulse.beat()
        if epochs:
            self.write(epochs, snapshot)
            self.writer.settle(ANSWER_SHARE * silence)
        if self.holding.lost:
            return Stop("the ticket belongs to another worker")
        if self.writer.error is not None:
            if epochs:
                self.keep_locally(self.state(epochs[-1].number, snapshot))
            return Stop("its epochs could not be written")
        if self.told_to_leave and not (epochs and self.ends_with(epochs)):
            return self.leave(epochs, snapshot)
        return None

    def write(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> None:
        system, last = self.sample(), epochs[-1]
        rows = [
            EpochRow(one.number, one.ended_ms, one.metrics, system if one is last else None) for one in epochs
        ]
        checkpoint = None
        if self.ends_with(epochs):
            if not self.writer.settle(0.0):  # the database may stay away: then this is what is kept
                self._at_end = self.state(epochs[-1].number, snapshot)
        elif self._throttle.allows(time.monotonic()):
            began = time.monotonic()
            checkpoint = self.state(epochs[-1].number, snapshot)
            self._throttle.spent(began, time.monotonic() + self.writer.checkpoint_seconds)
        self.writer.put(rows, checkpoint)

    def ends_with(self, epochs: Sequence[Epoch]) -> bool:
        return epochs[-1].number >= self.last_epoch

    def state(self, epoch: int, snapshot: Callable[[], bytes]) -> Checkpoint:
        return Checkpoint(epoch, self.seconds, snapshot())

    @property
    def told_to_leave(self) -> bool:
        told = (self.holding.orders, self.writer.orders)
        return self.departure.wanted or any(orders is not None and orders.leave for orders in told)

    def leave(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop:
        """Leave with a checkpoint, or in mid-epoch with the last one."""
        if epochs:
            checkpoint = self.state(epochs[-1].number, snapshot)
            self.writer.put((), checkpoint)
            if not self.writer.settle(LEAVING_SECONDS):
                self.keep_locally(checkpoint)
        return Stop("told to leave")

    def keep_locally(self, checkpoint: Checkpoint) -> None:
        if isinstance(self.writer.error, LeaseLost):
            return
        try:
            self.keep(Unsent(checkpoint, self.writer.unsent()))
        except OSError as error:
            log.warning("the state of the trial could not be kept on this machine: %s", error)

    def close(self) -> None:
        """Wait for the last write; raises what any write raised."""
        self.holding.pulse = None  # from here on it is the database that may be silent
        try:
            self.writer.close()
        except Exception:
            if self._at_end is not None:
                self.keep_locally(self._at_end)
            raise
