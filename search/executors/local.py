"""How do worker processes stay alive on this machine? One child per slot, restarted by what its exit code says.

The supervisor trains nothing and imports no TensorFlow. A child is a fork of a zygote that has imported it
(forking.py), or a process of its own where a GPU is in play or a fork failed. It leads a session of its own, so
that Ctrl-C reaches the supervisor alone, which then lets the children drain.
"""

import enum
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optselect.search.executors.devices import Seat, is_there
from optselect.search.executors.forking import WATCHDOG_SECONDS, Child, Zygote, can_fork
from optselect.search.exit_codes import WorkerExit
from optselect.storage.environment import number_in

FAST_SECONDS = 10.0
"""A child that lived shorter than this crashed fast."""
MOST_FAST_CRASHES = 5
GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL."""
LONGEST_PAUSE_SECONDS = 30.0
SPARING = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**20),
}
"""Lets Linux's C library give large blocks back at once, and its threads share one heap; tensors, whose memory TensorFlow
keeps for itself, are not slowed down."""
PRIVATE = ("OPTSELECT_STORAGE", "OPTSELECT_STORAGE_PASSWORD_FILE", "PGPASSWORD")
"""May hold a password: a zygote, whose environment is on view as long as its children live, does without."""


class Verdict(enum.Enum):
    """What to do with a slot whose child ended."""

    CLOSE = "close"
    """Its work is over."""
    FAIL = "fail"
    """Starting it again would end the same way."""
    RESTART = "restart"


@dataclass(frozen=True)
class Step:
    """A verdict and, before a restart, the pause."""

    verdict: Verdict
    pause_seconds: float = 0.0


def after_exit(code: int, lived_seconds: float, fast_crashes: int) -> Step:
    """Decide by a child's exit code, how long it lived and how many fast crashes came before in a row.

    >>> after_exit(0, 100.0, 0).verdict
    <Verdict.CLOSE: 'close'>
    >>> after_exit(64, 2.0, 0).verdict
    <Verdict.FAIL: 'fail'>
    >>> after_exit(-9, 100.0, 0)
    Step(verdict=<Verdict.RESTART: 'restart'>, pause_seconds=0.5)
    >>> after_exit(1, 2.0, 4).verdict
    <Verdict.FAIL: 'fail'>
    """
    if code in (WorkerExit.DONE, WorkerExit.INTERRUPTED):
        return Step(Verdict.CLOSE)
    if code == WorkerExit.MISCONFIGURED:
        return Step(Verdict.FAIL)
    if lived_seconds >= FAST_SECONDS:
        return Step(Verdict.RESTART, 0.5)
    if code != WorkerExit.RETRY and fast_crashes + 1 >= MOST_FAST_CRASHES:
        return Step(Verdict.FAIL)
    return Step(Verdict.RESTART, min(LONGEST_PAUSE_SECONDS, 0.5 * 2**fast_crashes))


@dataclass
class Slot:
    """A place for one child: where it runs, its log file, and the child that runs there now."""

    number: int
    seat: Seat
    log_file: Path
    process: Child | None = None
    spawns: bool = False  # after a fork that failed: the next child imports everything itself
    started: float = 0.0
    start_at: float = 0.0
    fast_crashes: int = 0
    last_code: int | None = None
    closed: bool = False
    leaving: bool = False  # one worker less is wanted: not started again


@dataclass(frozen=True)
class Forks:
    """The zygote, and the command's arguments, that make a child of a slot without a GPU."""

    zygote: Zygote
    arguments: Sequence[str]


@dataclass
class Supervisor:
    """Keeps one child per slot alive until the work is over or it is told to stop.

    Call `poll` a few times a second; nothing happens in between.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    slots: list[Slot]
    on_death: Callable[[int, int], object]
    """Called with pid and code after a child was killed or crashed, so that its ticket waits for no lease."""
    forks: Forks | None = None
    has_device: Callable[[str], bool] = is_there
    """Asked when a child lost its device."""
    stopping: bool = False
    _kill_at: float = field(default=0.0, repr=False)

    def poll(self) -> None:
        """Reap, restart, and once told to stop, kill what outlives the grace period."""
        for slot in self.slots:
            if slot.process is not None:
                self._reap(slot)
            elif not slot.closed and not self.stopping and time.monotonic() >= slot.start_at:
                self._start(slot)
        if self.stopping and time.monotonic() > self._kill_at:
            self.kill()

    @property
    def alive(self) -> bool:
        """Whether a child runs or will run again."""
        return any(slot.process is not None or not (slot.closed or self.stopping) for slot in self.slots)

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask every child to drain; restart nothing from now on. Once told, it is told no other time."""
        if self.stopping:
            return
        self.stopping = True
        self._kill_at = time.monotonic() + grace_seconds
        self._signal(signal.SIGTERM)

    def resize(self, count: int, seats: Sequence[Seat], log_folder: Path) -> None:
        """Have so many slots at work: new ones with the next numbers, or the last ones drain and close."""
        working = [slot for slot in self.slots if not (slot.closed or slot.leaving)]
        for slot in working[count:]:
            slot.leaving, slot.closed = True, slot.process is None
            if slot.process is not None:
                slot.process.send_signal(signal.SIGTERM)
        first = max((slot.number for slot in self.slots), default=-1) + 1
        new = range(first, first + count - len(working))
        self.slots += [slot_on(number, seats, log_folder) for number in new]

    def kill(self) -> None:
        """End every child at once; their leases are released by whoever finds them dead."""
        self.stopping = True
        self._signal(signal.SIGKILL)

    def exit_code(self) -> int:
        """The supervisor's own exit code by the worker contract."""
        codes = [slot.last_code for slot in self.slots]
        if WorkerExit.MISCONFIGURED in codes:
            return WorkerExit.MISCONFIGURED
        if codes and all(code == WorkerExit.DEVICE_LOST for code in codes):
            return WorkerExit.DEVICE_LOST
        if self.stopping:
            return WorkerExit.RETRY
        crashes = [
            code
            for code in codes
            if code not in (None, WorkerExit.DONE, WorkerExit.RETRY, WorkerExit.INTERRUPTED)
        ]
        return WorkerExit.DONE if not crashes else as_exit_code(crashes[0])

    def last_words(self, lines: int = 8) -> str:
        """The end of the log of a slot that failed, for the person who must repair it."""
        for slot in self.slots:
            if slot.last_code not in (None, WorkerExit.DONE, WorkerExit.RETRY, WorkerExit.INTERRUPTED):
                return "\n".join(slot.log_file.read_text(errors="replace").splitlines()[-lines:])
        return ""

    # --- one slot ---

    def _start(self, slot: Slot) -> None:
        slot.log_file.parent.mkdir(parents=True, exist_ok=True)
        environment = {**self.environment, **training_environment(slot.seat, os.getpid())}
        forks = self.forks
        if forks is None or slot.seat.device or slot.spawns or not forks.zygote.usable:
            slot.process = self._spawned(slot, environment)
        else:
            arguments, name = [*forks.arguments, *slot_flag(slot)], f"optselect-{slot.number}"
            slot.process = forks.zygote.fork("worker", arguments, environment, slot.log_file, name=name)
        slot.started = time.monotonic()

    def _spawned(self, slot: Slot, environment: Mapping[str, str]) -> Child:
        with slot.log_file.open("ab") as log:
            return subprocess.Popen(
                [*self.command, *slot_flag(slot)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _reap(self, slot: Slot) -> None:
        assert slot.process is not None
        code = slot.process.poll()
        if code is None:
            return
        pid, slot.process, slot.last_code = slot.process.pid, None, code
        lived = time.monotonic() - slot.started
        step = after_exit(code, lived, slot.fast_crashes)
        slot.fast_crashes = slot.fast_crashes + 1 if lived < FAST_SECONDS else 0
        over = slot.leaving or step.verdict is not Verdict.RESTART
        slot.closed = over or self._has_lost_its_device(slot)
        slot.start_at = time.monotonic() + step.pause_seconds
        if code not in (WorkerExit.DONE, WorkerExit.MISCONFIGURED, WorkerExit.RETRY, WorkerExit.INTERRUPTED):
            slot.spawns = code != -signal.SIGKILL  # a kill is no fault of the fork
            self.on_death(pid, code)

    def _has_lost_its_device(self, slot: Slot) -> bool:
        """Whether a child's device is gone for good: then nothing can be started there again."""
        if slot.last_code != WorkerExit.DEVICE_LOST or self.has_device(slot.seat.device):
            return False
        print(f"{slot.seat.device} is gone; nothing runs there any more", file=sys.stderr, flush=True)
        return True

    def _signal(self, number: int) -> None:
        for slot in self.slots:
            if slot.process is not None:
                slot.process.send_signal(number)


def worker_slots(count: int, seats: Sequence[Seat], log_folder: Path) -> list[Slot]:
    """Slots on the seats in turn, or on the CPU where there is none."""
    return [slot_on(number, seats, log_folder) for number in range(count)]


def slot_on(number: int, seats: Sequence[Seat], log_folder: Path) -> Slot:
    """The slot of that number."""
    return Slot(number, seat_of(number, seats), log_folder / f"worker-{number}.log")


def seat_of(number: int, seats: Sequence[Seat]) -> Seat:
    """Where the slot of that number runs."""
    return seats[number % len(seats)] if seats else Seat()


def slot_flag(slot: Slot) -> list[str]:
    return ["--slot", str(slot.number)]


def worker_command(study: str, extra: Sequence[str] = ()) -> list[str]:
    """The command of one training process, run by this very interpreter."""
    return [sys.executable, "-m", "optselect", *worker_arguments(study, extra)]


def worker_arguments(study: str, extra: Sequence[str] = ()) -> list[str]:
    return ["worker", study, *extra]


def zygote_of(study: str, environment: Mapping[str, str], seats: Sequence[Seat]) -> Zygote | None:
    """A zygote for the training processes of a study, not yet started; None where they must be spawned."""
    if not can_fork(seats):
        return None
    public = {name: value for name, value in environment.items() if name not in PRIVATE}
    seconds = number_in(environment, "OPTSELECT_WATCHDOG_SECONDS", WATCHDOG_SECONDS)
    return Zygote(study, {**public, **training_environment(Seat(), os.getpid())}, seconds)


def training_environment(seat: Seat, supervisor: int) -> dict[str, str]:
    """What a training process needs: one device, one thread.

    Two single-threaded trainings on two cores beat two that share all threads, by time and by CPU.
    """
    limit = {} if seat.most_megabytes is None else {"OPTSELECT_GPU_MEGABYTES": str(seat.most_megabytes)}
    return limit | {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": seat.device,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **SPARING,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONUNBUFFERED": "1",
        "OPTSELECT_SUPERVISOR": str(supervisor),
    }


def cause_of_death(code: int) -> str:
    """What a process's return code says of its end, for the person who looks for the reason.

    >>> cause_of_death(-9), cause_of_death(3)
    ('its process was killed (SIGKILL: by somebody, or for memory)', 'its process ended with code 3')
    """
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL: by somebody, or for memory)"
    if code < 0:
        return f"its process was killed ({signal.Signals(-code).name})"
    return f"its process ended with code {code}"


def as_exit_code(code: int) -> int:
    """A process's return code as a shell shows it: 137 for SIGKILL.

    >>> as_exit_code(-9), as_exit_code(3)
    (137, 3)
    """
    return 128 - code if code < 0 else code
