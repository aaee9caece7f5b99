"""How does a worker leave, and how does it keep its ticket until then?

Leaving in good order gives the ticket back; whatever is not done in time is dropped, the last write stands.
"""

import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from optselect.search.exit_codes import WorkerExit
from optselect.search.processes.announced_exit import announce_exit
from optselect.storage.records import tickets
from optselect.storage.records.tickets import Lease, Orders
from optselect.storage.server.database import Engine, transient
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.user_code import explain

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0
"""After SIGTERM an epoch may end within this time; then the ticket goes back without it."""


STUCK_SECONDS = 900.0
STUCK_FACTOR = 20
"""A training is stuck that shows no sign of life for 15 minutes, nor for 20 times its longest silence before."""


@dataclass
class Pulse:
    """When a training showed life last: a batch that ended."""

    at: float = field(default_factory=time.monotonic)
    longest_silence: float = 0.0

    def beat(self) -> float:
        """Note a sign of life; returns the seconds since the one before."""
        now = time.monotonic()
        silence, self.at = now - self.at, now
        self.longest_silence = max(self.longest_silence, silence)
        return silence

    def is_stuck(self, now: float, least_seconds: float) -> bool:
        """Whether it is silent for too long.

        >>> pulse = Pulse(at=100.0, longest_silence=60.0)
        >>> pulse.is_stuck(1100.0, 900.0), pulse.is_stuck(1301.0, 900.0)
        (False, True)
        """
        return now - self.at > max(least_seconds, STUCK_FACTOR * self.longest_silence)


@dataclass
class Holding:
    """What the beat of a lease learned while a trial runs."""

    lost: bool = False  # the ticket belongs to another worker
    orders: Orders | None = None  # as of the last beat
    pulse: Pulse | None = None  # of the training, while there is one


@dataclass(frozen=True)
class Beat:
    """How a lease is renewed, and when its holder counts as stuck."""

    renew: Callable[[], Orders | None]
    seconds: float
    stuck_seconds: float = math.inf
    on_stuck: Callable[[float], object] = lambda seconds: None
    """Called instead of the renewal, with the seconds of silence."""


@contextlib.contextmanager
def kept_lease(beat: Beat) -> Iterator[Holding]:
    """Renew a lease in the background while the block runs.

    A thread, not a call between epochs: compiling a model can outlast a lease. One failed beat is no loss.
    """
    ended, holding = threading.Event(), Holding()
    thread = threading.Thread(target=lambda: keep_beating(beat, holding, ended), name="lease", daemon=True)
    thread.start()
    try:
        yield holding
    finally:  # the beat goes on until the trial's last write is done
        ended.set()
        thread.join()


def keep_beating(beat: Beat, holding: Holding, ended: threading.Event) -> None:
    """Beat until the end, the loss of the lease, or a training that hangs."""
    is_away, last = False, time.monotonic()
    while not ended.wait(beat.seconds):
        now, pulse = time.monotonic(), holding.pulse
        if pulse is not None and now - last > 2 * beat.seconds + 1.0:
            pulse.at = now  # this process itself was suspended: its training could not live
        last = now
        if pulse is not None and pulse.is_stuck(now, beat.stuck_seconds):
            beat.on_stuck(now - pulse.at)
        try:
            holding.orders = beat.renew()
        except Exception as error:
            if not transient(error):
                log.exception("the lease could not be renewed")
            elif not is_away:
                log.warning("the lease cannot be renewed now; trying on every %.0f s", beat.seconds)
            is_away = True
            continue
        is_away = False
        if holding.orders is None:
            holding.lost = True
            return


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
        """SIGTERM and the first Ctrl-C drain; only Ctrl-C after one of them ends the process at once.

        A second SIGTERM is no impatience: SLURM and systemd send it to all processes, and the supervisor hands its own on.
        """
        old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def leave(number: int, _frame: FrameType | None) -> None:
            self.interrupted |= number == signal.SIGINT
            signal.signal(signal.SIGINT, old[signal.SIGINT])
            self.leave()

        for number in old:
            signal.signal(number, leave)
        try:
            yield
        except KeyboardInterrupt as error:
            if self.interrupted:
                raise
            raise ProblemError(
                f"The problem's code must not raise KeyboardInterrupt. Received: {explain(error, Path.cwd())}"
            ) from error
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def begin(self) -> None:
        """From now on tickets may be held: leaving is no longer just going."""
        self._began = True

    def leave(self) -> None:
        """Set `wanted`; go at once where no work has begun, and in any case after DRAIN_SECONDS. Once is enough."""
        if self._wanted.is_set():
            return
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
        code = WorkerExit.INTERRUPTED if self.interrupted else WorkerExit.RETRY
        announce_exit(code)
        os._exit(code)

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
