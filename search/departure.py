"""How does a worker leave, and how does it keep its ticket until then?

Leaving in good order gives the ticket back; whatever is not done in time is dropped, the last write stands.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from optselect.search.exit_codes import WorkerExit
from optselect.storage import tickets
from optselect.storage.database import Engine, transient
from optselect.storage.tickets import Lease, Orders

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0
"""After SIGTERM an epoch may end within this time; then the ticket goes back without it."""


@dataclass
class Holding:
    """What the beat of a lease learned while a trial runs."""

    lost: bool = False  # the ticket belongs to another worker
    orders: Orders | None = None  # as of the last beat


@contextlib.contextmanager
def kept_lease(renew: Callable[[], Orders | None], seconds: float) -> Iterator[Holding]:
    """Renew a lease in the background while the block runs.

    A thread, not a call between epochs: compiling a model can outlast a lease. One failed beat is no loss.
    """
    ended, holding = threading.Event(), Holding()

    def beat() -> None:
        while not ended.wait(seconds):
            try:
                holding.orders = renew()
                if holding.orders is None:
                    holding.lost = True
                    return
            except Exception as error:
                if not transient(error):
                    log.exception("the lease could not be renewed")
                else:
                    log.warning("the lease could not be renewed now; next try in %.0f s", seconds)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield holding
    finally:  # the beat goes on until the trial's last write is done
        ended.set()
        thread.join()


class Departure:
    """Whether this process was told to leave, and how it does so in time."""

    def __init__(self) -> None:
        self.interrupted = False
        self._wanted = threading.Event()
        self._began = False
        self._held: tuple[Engine, Lease] | None = None

    @property
    def wanted(self) -> bool:
        return self._wanted.is_set()

    def wait(self, seconds: float) -> None:
        self._wanted.wait(seconds)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and the first Ctrl-C drain; the old handlers come back then, so a second one kills."""
        old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def leave(number: int, _frame: FrameType | None) -> None:
            self.interrupted = number == signal.SIGINT
            for known, handler in old.items():
                signal.signal(known, handler)
            self.leave()

        for number in old:
            signal.signal(number, leave)
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def begin(self) -> None:
        """From now on tickets may be held: leaving is no longer just going."""
        self._began = True

    def leave(self) -> None:
        """Set `wanted`; go at once where no work has begun, and in any case after DRAIN_SECONDS."""
        self._wanted.set()
        if not self._began:
            self._leave_at_once()
        timer = threading.Timer(DRAIN_SECONDS, self._leave_at_once)
        timer.daemon = True
        timer.start()

    def _leave_at_once(self) -> None:
        """The epoch takes too long: what was written stands, the rest of it is dropped."""
        if self._held is not None:
            with contextlib.suppress(Exception):  # the lease runs out by itself
                tickets.give_back(*self._held)
        logging.shutdown()
        os._exit(WorkerExit.INTERRUPTED if self.interrupted else WorkerExit.RETRY)

    @contextlib.contextmanager
    def giving_back(self, engine: Engine, lease: Lease) -> Iterator[None]:
        """Remember which ticket this process holds, for a departure that cannot wait."""
        self._held = (engine, lease)
        try:
            yield
        finally:
            self._held = None

    def follow(self, supervisor: int) -> None:
        """Leave when the supervisor is gone: nobody would restart or stop this process."""

        def watch() -> None:
            while not self._wanted.wait(1.0):
                if os.getppid() != supervisor:
                    log.warning("the supervisor is gone; leaving")
                    self.leave()

        threading.Thread(target=watch, name="follow", daemon=True).start()
