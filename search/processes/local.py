"""How do worker processes stay alive on this machine? One child per slot, started again unless it said that it is done.

An exit code counts as the worker's own word only where the worker has announced it (announced_exit.py): any other end,
with code 0 too, is a death. It has a cause (cause_of_death.py), and the tickets say what it cost.

The supervisor trains nothing and imports no TensorFlow. A child is a fork of a zygote that has imported it
(forking.py), or a process of its own where a GPU is in play or a fork failed. It leads a session of its own, so
that Ctrl-C reaches the supervisor alone, which then lets the children drain.
"""

import contextlib
import enum
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optselect.search.exit_codes import UserExit, WorkerExit
from optselect.search.processes.announced_exit import EXIT_FILE, has_announced_exit
from optselect.search.processes.cause_of_death import Ended, cause_of_death, is_own_doing, telling_line
from optselect.search.processes.devices import Seat, is_there
from optselect.search.processes.forking import WATCHDOG_SECONDS, Child, Zygote, can_fork
from optselect.search.processes.memory_kills import Kills, resident_bytes
from optselect.search.voice import say
from optselect.storage.records.deaths import Death
from optselect.storage.server.environment import number_in
from optselect.storage.server.interpreter import own_python
from optselect.storage.server.own_files import closed, make_folder

FAST_SECONDS = 10.0
"""A child that lived shorter than this crashed fast."""
MOST_FAST_CRASHES = 5
GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL."""
LONGEST_WORDS = 64 * 1024
"""Bytes of a log in which the reason of a death is looked for."""
LAWFUL = (WorkerExit.DONE, WorkerExit.MISCONFIGURED, WorkerExit.RETRY, WorkerExit.INTERRUPTED)
"""Once announced no death: the worker holds no ticket any more."""
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


class Action(enum.Enum):
    """What to do with a slot whose child ended."""

    CLOSE = "close"
    """Its work is over."""
    FAIL = "fail"
    """Starting it again would end the same way."""
    RESTART = "restart"


@dataclass(frozen=True)
class RestartDecision:
    """What to do with a slot and, before a restart, the pause."""

    action: Action
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class Exit:
    """How a child ended, and what it left."""

    code: int
    lived_seconds: float
    announced: bool
    """Whether the worker itself has announced the code."""
    was_of_use: bool = False
    """A death only: whether the child had ended a trial, or a trial was charged with its end."""


def after_exit(end: Exit, fast_crashes: int) -> RestartDecision:
    """Decide by how a child ended, and how many crashes came before in a row, each fast and of no use.

    >>> after_exit(Exit(0, 100.0, announced=True), 0).action
    <Action.CLOSE: 'close'>
    >>> after_exit(Exit(0, 100.0, announced=False), 0)
    RestartDecision(action=<Action.RESTART: 'restart'>, pause_seconds=0.5)
    >>> after_exit(Exit(64, 2.0, announced=True), 0).action
    <Action.FAIL: 'fail'>
    >>> after_exit(Exit(1, 2.0, announced=False), 4).action
    <Action.FAIL: 'fail'>
    >>> after_exit(Exit(1, 2.0, announced=False, was_of_use=True), 4).action
    <Action.RESTART: 'restart'>
    """
    if end.announced and end.code in (WorkerExit.DONE, WorkerExit.INTERRUPTED):
        return RestartDecision(Action.CLOSE)
    if end.announced and end.code == WorkerExit.MISCONFIGURED:
        return RestartDecision(Action.FAIL)
    if not is_futile(end):
        return RestartDecision(Action.RESTART, 0.5)
    is_wanted = end.announced and end.code == WorkerExit.RETRY
    if not is_wanted and fast_crashes + 1 >= MOST_FAST_CRASHES:
        return RestartDecision(Action.FAIL)
    return RestartDecision(Action.RESTART, min(LONGEST_PAUSE_SECONDS, 0.5 * 2**fast_crashes))


def is_futile(end: Exit) -> bool:
    """Whether a child ended at once and for nothing: again and again that is a loop."""
    return end.lived_seconds < FAST_SECONDS and not end.was_of_use


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
    meaning: int = 0
    """What its child's end means by the worker contract; of a death never one of its own codes."""
    last_cause: str = ""  # of its child's death; empty where its end was announced
    log_begins: int = 0  # where in the log its child's lines begin
    closed: bool = False
    failed: bool = False  # closed for good: starting it again would end the same way
    most_bytes: int = 0  # that its child was seen to hold
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
    on_death: Callable[[Death], bool]
    """Called after a child was killed or crashed, so that its ticket waits for no lease; says whether it was of use."""
    exit_files: Path
    """A private folder in which children say that they end."""
    forks: Forks | None = None
    has_device: Callable[[str], bool] = is_there
    """Asked when a child lost its device."""
    kills: Kills = field(default_factory=Kills)
    """What the kernel has killed for memory."""
    stopping: bool = False
    _kill_at: float = field(default=0.0, repr=False)

    def poll(self) -> None:
        """Reap, restart, and once told to stop, kill what outlives the grace period."""
        for slot in self.slots:
            if slot.process is not None:
                slot.most_bytes = max(slot.most_bytes, resident_bytes(slot.process.pid))
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
        failed = [slot.meaning for slot in self.slots if slot.failed]
        if WorkerExit.MISCONFIGURED in failed:
            return WorkerExit.MISCONFIGURED
        if self.slots and all(slot.meaning == WorkerExit.DEVICE_LOST for slot in self.slots):
            return WorkerExit.DEVICE_LOST
        if self.stopping:
            return WorkerExit.RETRY
        if failed:
            return failed[0]
        told = any(slot.meaning == WorkerExit.INTERRUPTED for slot in self.slots)
        return WorkerExit.INTERRUPTED if told else WorkerExit.DONE

    def last_lines(self, lines: int = 8) -> str:
        """Why a slot failed and the end of its log, for the person who must repair it."""
        for slot in self.slots:
            if slot.failed:
                log = slot.log_file.read_text(errors="replace").splitlines()[-lines:]
                return "\n".join([*([slot.last_cause] if slot.last_cause else []), *log])
        return ""

    # --- one slot ---

    def _start(self, slot: Slot) -> None:
        make_folder(slot.log_file.parent)
        self.exit_files.mkdir(mode=0o700, parents=True, exist_ok=True)
        environment = {**self.environment, **training_environment(slot.seat, os.getpid())}
        environment[EXIT_FILE] = str(self._exit_file_of(slot))
        slot.log_begins = slot.log_file.stat().st_size if slot.log_file.exists() else 0
        slot.most_bytes = 0
        forks = self.forks
        if forks is None or slot.seat.device or slot.spawns or not forks.zygote.usable:
            slot.process = self._spawned(slot, environment)
        else:
            arguments, name = [*forks.arguments, *slot_flag(slot)], f"optselect-{slot.number}"
            slot.process = forks.zygote.fork("worker", arguments, environment, slot.log_file, name=name)
        slot.started = time.monotonic()

    def _spawned(self, slot: Slot, environment: Mapping[str, str]) -> Child:
        with open(slot.log_file, "ab", opener=closed) as log:
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
        announced = has_announced_exit(self._exit_file_of(slot), pid, code)
        is_lawful = announced and code in LAWFUL
        was_of_use = not is_lawful and self._report_death(slot, pid, code, announced)
        end = Exit(code, lived, announced, was_of_use)
        decision = after_exit(end, slot.fast_crashes)
        slot.fast_crashes = slot.fast_crashes + 1 if is_futile(end) else 0
        slot.meaning = code if announced else as_exit_code(code)
        slot.failed = decision.action is Action.FAIL or self._has_lost_its_device(slot)
        slot.closed = slot.failed or slot.leaving or decision.action is Action.CLOSE
        slot.start_at = time.monotonic() + decision.pause_seconds

    def _report_death(self, slot: Slot, pid: int, code: int, announced: bool) -> bool:
        """Tell of a child's death and its cause; returns whether its life was of use."""
        slot.spawns = code != -signal.SIGKILL  # a kill is no fault of the fork
        others = max((one.most_bytes for one in self.slots if one.process is not None), default=0)
        ended = Ended(
            code,
            words=telling_line(read_from(slot.log_file, slot.log_begins)),
            was_killed_for_memory=code == -signal.SIGKILL and self.kills.has_risen(),
            bytes_held=slot.most_bytes,
            bytes_of_others=others,
        )
        slot.last_cause = cause_of_death(ended)
        is_own = not announced and not self.stopping and not slot.leaving and is_own_doing(ended)
        return self.on_death(Death(pid, slot.last_cause, is_own))

    def _exit_file_of(self, slot: Slot) -> Path:
        return self.exit_files / f"slot-{slot.number}"

    def _has_lost_its_device(self, slot: Slot) -> bool:
        """Whether a child's device is gone for good: then nothing can be started there again."""
        if slot.meaning != WorkerExit.DEVICE_LOST or self.has_device(slot.seat.device):
            return False
        say(f"{slot.seat.device} is gone; nothing runs there any more")
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
    return own_python("optselect", *worker_arguments(study, extra))


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


def read_from(file: Path, place: int) -> str:
    """The end of what a log got since it was so long."""
    with contextlib.suppress(OSError), file.open("rb") as log:
        log.seek(max(place, log.seek(0, os.SEEK_END) - LONGEST_WORDS))
        return log.read().decode(errors="replace")
    return ""


def as_exit_code(code: int) -> int:
    """A crash as a shell shows it: 137 for SIGKILL; what would mean something else to an engine is a failure like others.

    >>> as_exit_code(-9), as_exit_code(3), as_exit_code(0), as_exit_code(75), as_exit_code(-2)
    (137, 3, 1, 1, 1)
    """
    shown = 128 - code if code < 0 else code
    return int(UserExit.OUR_FAILURE) if shown in set(WorkerExit) else shown
