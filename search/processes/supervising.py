"""How does this machine serve a study? A supervisor of worker processes, a carrier of curves to MLflow, a live view."""

import contextlib
import enum
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

import psutil

from optselect.search.errors import InvalidInput
from optselect.search.exit_codes import WorkerExit
from optselect.search.processes.carrier import Carrier
from optselect.search.processes.devices import Seat
from optselect.search.processes.forking import Zygote, closing
from optselect.search.processes.limits import Room, room_here
from optselect.search.processes.loading_lines import LoadingLines
from optselect.search.processes.local import (
    Forks,
    Slot,
    Supervisor,
    worker_arguments,
    worker_command,
    worker_slots,
    zygote_of,
)
from optselect.search.processes.observing import observing
from optselect.search.processes.own_launch import announced_launch
from optselect.search.voice import hand_on, say
from optselect.storage.errors import Unreachable
from optselect.storage.records import studies, tickets, workers
from optselect.storage.records.deaths import DeadWorker, Death
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import lease_seconds
from optselect.storage.server.database import (
    MOST_SILENT_TRIES,
    Database,
    Engine,
    child_environment,
    gave_up,
    make_engine,
    one_line,
    outage_seconds,
    transient,
)
from optselect.storage.server.environment import number_in
from optselect.storage.server.own_files import make_folder

Show = Callable[[Sequence[str]], None]
"""Shows how far a study is, and what its workers load."""

POLL_SECONDS = 0.1
REFRESH_SECONDS = 1.0
"""How often a study is looked at while it is served."""
PATIENCE_SECONDS = 20.0
"""How long the end of a command waits for MLflow to take the last curves."""
MOST_DEFAULT_WORKERS = 8
BYTES_PER_WORKER = 1_500_000_000
"""What a training process of a small model holds, TensorFlow included, with room to spare."""
LEAST_BYTES_PER_WORKER = 700_000_000
"""TensorFlow and Keras alone."""


@dataclass(frozen=True)
class ServiceEnd:
    """How serving ended on this machine."""

    code: int  # of the worker contract: 0, 64, 70, 75, 130 or a crash's
    last_lines: str  # of a worker that failed, for the person who must repair it
    curves_behind: str  # why MLflow lacks some curves; empty where it has them all


def default_workers(seats: Sequence[Seat]) -> int:
    """One worker for each seat on a GPU, else one per core, as far as the memory reaches."""
    here = room_here()
    if seats:
        return min(len(seats), most_workers(here))
    return max(1, min(here.cores, here.free // BYTES_PER_WORKER, MOST_DEFAULT_WORKERS))


def demand_room(flag: str, count: int) -> None:
    """Refuse more training processes than the memory of this machine, or of this container, can hold."""
    here = room_here()
    most = most_workers(here)
    if count > most:
        raise InvalidInput(
            f"{flag} must be at most {most} {here.where} and a training process takes "
            f"{LEAST_BYTES_PER_WORKER / 1e9:.1f} GB. Received: {count}."
        )


def most_workers(here: Room) -> int:
    """As many as the memory can hold at all."""
    return max(1, here.memory // LEAST_BYTES_PER_WORKER)


def began(environment: Mapping[str, str]) -> float:
    """When the command began on whose behalf this process works, in seconds of the epoch."""
    return number_in(environment, "OPTSELECT_BEGAN", 0.0) or psutil.Process().create_time()


def supervise(
    database: Database,
    study: StoredStudy,
    count: int,
    *,
    tracking: str | None,
    extra: tuple[str, ...] = (),
    zygote: Zygote | None = None,
    seats: Sequence[Seat] = (),
    show: Show = lambda loading: None,
) -> ServiceEnd:
    """Serve one study with `count` workers, on the seats in turn, until nothing is left or a signal says to leave.

    SIGTERM and the first Ctrl-C drain the workers; a second Ctrl-C ends them at once. A zygote that the caller
    has started is used and closed.

    Args:
        show: called about once a second, with what the workers load.
    """
    zygote = zygote or zygote_of(study.name, os.environ, seats)
    engine = make_engine(database)
    outage = Outage()
    with (
        run_folder(database.home) as folder,
        announced_launch(engine, study, count, log_folder(database, study), os.environ) as own,
    ):
        # An engine collects what its tasks print; and on several nodes the files would be the same.
        logs = log_folder(database, study) if own.launch is not None else folder / "logs"
        echo = Echo(None if own.launch is not None else logs)
        heard = LoadingLines(logs, "worker-*.log")
        slots = worker_slots(count, seats, logs)
        service = Service.start(
            database, engine, study, slots, folder, tracking=tracking, extra=extra, zygote=zygote
        )

        def attend() -> None:
            echo.copy()
            show(() if echo.folder else heard.now())
            if (wanted := own.change()) is not None:
                service.team.resize(min(wanted, most_workers(room_here())), seats, logs)

        with closing(zygote), observing(engine, study.id, lease_seconds(os.environ)):
            interrupted = watch(service.team, attend, outage)
        echo.copy(rest=True)
        service.carrier.close(patience_seconds=0.0 if interrupted else PATIENCE_SECONDS)
    outage.demand_end()
    team = service.team
    code = (
        130
        if interrupted
        else judged(team.exit_code(), work_left(engine, study), limited="--max-trials" in extra)
    )
    engine.dispose()
    return ServiceEnd(code, team.last_lines() if code not in (0, 75, 130) else "", service.carrier.behind)


class Work(enum.Enum):
    """What the tables say of a study whose workers here have ended."""

    NONE = "none"
    """Every ticket is done."""
    HELD = "held"
    """Somebody has paused or stopped the study."""
    LEFT = "left"


def work_left(engine: Engine, study: StoredStudy) -> Work:
    """Whether tickets are undone, and whether anybody shall do them."""
    if tickets.count_undone(engine, study.id) == 0:
        return Work.NONE
    return Work.LEFT if studies.study_state(engine, study.id) == "running" else Work.HELD


def judged(code: int, work: Work, limited: bool) -> int:
    """The exit code by the tickets: nobody is done while some are left, and crashes count no more once none is.

    Args:
        limited: whether the workers were to leave some.

    >>> judged(0, Work.LEFT, limited=False), judged(0, Work.LEFT, limited=True), judged(0, Work.HELD, limited=False)
    (75, 0, 0)
    >>> judged(137, Work.NONE, limited=False), judged(137, Work.LEFT, limited=False), judged(64, Work.NONE, limited=False)
    (0, 137, 64)
    """
    if code == WorkerExit.DONE and work is Work.LEFT and not limited:
        return int(WorkerExit.RETRY)
    if code not in set(WorkerExit) and work is Work.NONE:
        return int(WorkerExit.DONE)
    return code


@dataclass
class Service:
    """What this machine does for one study: a team of training processes, and one process that carries its curves."""

    study: StoredStudy
    team: Supervisor
    carrier: Carrier

    @classmethod
    def start(
        cls,
        database: Database,
        engine: Engine,
        study: StoredStudy,
        slots: list[Slot],
        folder: Path,
        *,
        tracking: str | None,
        extra: tuple[str, ...],
        zygote: Zygote | None,
    ) -> "Service":
        """Free what dead processes of this machine still hold, and begin; the team starts at its first poll."""
        dead = DeadProcesses(engine, study)
        dead.release()
        environment = child_environment(database, os.environ, folder)
        team = Supervisor(
            command=worker_command(study.name, extra),
            environment=environment | {"OPTSELECT_BEGAN": f"{began(os.environ):.3f}"},
            slots=slots,
            on_death=dead.release,
            exit_files=folder / "exits",
            forks=None if zygote is None else Forks(zygote, worker_arguments(study.name, extra)),
        )
        return cls(study, team, Carrier(study.name, environment, tracking))


@dataclass
class DeadProcesses:
    """Frees the tickets of dead processes; while the database is away they wait for the next death, or their leases."""

    engine: Engine
    study: StoredStudy
    deaths: dict[int, Death] = field(default_factory=dict)

    def release(self, death: Death | None = None) -> bool:
        """Free what the dead hold that are known; returns whether the one that died now was of use."""
        if death is not None:
            self.deaths[death.pid] = death
        try:
            released = workers.release_dead_neighbours(self.engine, self.study.id, self.deaths)
        except Exception as error:
            if not transient(error):
                raise
            return False
        self.deaths.clear()
        for worker in released.values():
            self.tell(worker)
        return death is not None and is_of_use(released.get(death.pid, DeadWorker()), death)

    def tell(self, worker: DeadWorker) -> None:
        """Say at once who is set aside, and why."""
        for optimizer, reason in (worker.set_aside or {}).items():
            say(f"{self.study.name}: {optimizer} is {reason}")


def is_of_use(worker: DeadWorker, death: Death) -> bool:
    """Whether a dead worker has brought the study on: by trials that it ended, or by one that its end is charged to.

    The latter comes to an end: a trial and an optimizer die so often only. Kills by another hand may go on for ever.
    """
    return worker.finished > 0 or (worker.charged > 0 and death.is_own)


@dataclass
class Echo:
    """Hands on the lines that workers wrote into their logs since the last call; None: nothing."""

    folder: Path | None
    _seen: dict[Path, int] = field(default_factory=dict)

    def copy(self, rest: bool = False) -> None:
        """Whole lines, or what there is: the last words of a process may lack their end."""
        for path in sorted(self.folder.glob("*.log")) if self.folder is not None else ():
            with path.open("rb") as file:
                file.seek(self._seen.get(path, 0))
                new = file.read()
            whole = new if rest else new[: new.rfind(b"\n") + 1]
            hand_on(whole.decode(errors="replace"))
            self._seen[path] = self._seen.get(path, 0) + len(whole)


@dataclass
class Outage:
    """How long the database has been away, as far as this process asked it."""

    patience_seconds: float = field(default_factory=lambda: outage_seconds(os.environ))
    since: float | None = None
    why: str = ""
    _in_vain: int = 0  # questions one after the other

    def ask(self, call: Callable[[], None]) -> None:
        """Call, or say once that the database is away."""
        try:
            call()
        except Exception as error:
            if not transient(error):
                raise
            self._in_vain += 1
            if not gave_up(error) or self._in_vain > MOST_SILENT_TRIES:
                self._begin(one_line(error))
            return
        if self.since is not None:
            say("the database is back")
        self.since, self._in_vain = None, 0

    def _begin(self, why: str) -> None:
        self.why = why
        if self.since is None:
            self.since = time.monotonic()
            minutes = self.patience_seconds / 60
            say(f"the database is away; trials go on and wait for it, up to {minutes:.0f} minutes: {why}")

    @property
    def is_too_long(self) -> bool:
        return self.since is not None and time.monotonic() - self.since >= self.patience_seconds

    def demand_end(self) -> None:
        """Raise Unreachable where the database has not come back."""
        if self.since is not None:
            raise Unreachable(
                f"The database went away and did not come back ({self.why}). What it has not seen is kept on this "
                "machine: start it again, then resume here."
            )


class Team(Protocol):
    """What is polled until it ends, and told to end."""

    @property
    def alive(self) -> bool:
        """Whether a child runs or will run again."""

    def poll(self) -> None:
        """Look after the children."""

    def stop(self) -> None:
        """Ask every child to drain."""

    def kill(self) -> None:
        """End every child at once."""


def watch(team: Team, look: Callable[[], None], outage: Outage) -> bool:
    """Poll the team until its last child is gone, and look at the database now and then; True where Ctrl-C ended it."""
    due, parent = 0.0, int(number_in(os.environ, "OPTSELECT_SUPERVISOR", 0))
    with draining(team) as interrupted:
        while team.alive:
            if parent and os.getppid() != parent:  # nobody would stop this process any more
                team.stop()
            team.poll()
            if time.monotonic() >= due:
                started = time.monotonic()
                outage.ask(look)
                # A study of many thousand trials takes long to read: that must not become the work.
                due = time.monotonic() + max(REFRESH_SECONDS, 20 * (time.monotonic() - started))
            if outage.is_too_long:
                team.stop()
            time.sleep(POLL_SECONDS)
        outage.ask(look)
    return bool(interrupted)


@contextlib.contextmanager
def draining(team: Team) -> Iterator[list[int]]:
    """While the block runs, signals stop the team; the list holds SIGINT once it came."""
    interrupted: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and interrupted:
            team.kill()
            return
        if number == signal.SIGINT:
            interrupted.append(number)
            say("leaving: the running trials go back; Ctrl-C again ends them at once")
        team.stop()

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def run_folder(home: Path) -> Iterator[Path]:
    """A private folder of this process below the home; those of dead processes are swept on the way."""
    runs = home / "run"
    host = socket.gethostname()  # the nodes of a cluster may share a home
    for folder in runs.glob(f"{host}-*"):
        pid = folder.name.removeprefix(f"{host}-")
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    own = runs / f"{host}-{os.getpid()}"
    make_folder(own)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def log_folder(database: Database, study: StoredStudy) -> Path:
    """Where this machine's workers of a study write their logs."""
    return database.home / "logs" / study.name
