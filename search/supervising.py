"""How does this machine serve a study? A supervisor of worker processes, a flusher to MLflow, a live view."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from optselect.search.errors import InvalidInput
from optselect.search.executors.forking import Zygote
from optselect.search.executors.local import (
    Forks,
    Supervisor,
    cause_of_death,
    visible_gpus,
    worker_arguments,
    worker_command,
    worker_slots,
    zygote_of,
)
from optselect.search.progress import REFRESH_SECONDS, Refresh, progress_view
from optselect.storage import overview, workers
from optselect.storage.database import Database, Engine, again, child_environment, make_engine
from optselect.storage.overview import TrialRow
from optselect.storage.studies import StoredStudy
from optselect.storage.tracking import Flusher, count_unsent, find_tracking

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 20.0
"""How long the end of a command waits for MLflow to take the last curves."""
MOST_DEFAULT_WORKERS = 8
BYTES_PER_WORKER = 1_500_000_000
"""What a training process of a small model holds, TensorFlow included, with room to spare."""
LEAST_BYTES_PER_WORKER = 700_000_000
"""TensorFlow and Keras alone."""


@dataclass(frozen=True)
class Ending:
    """How serving ended on this machine."""

    code: int  # of the worker contract: 0, 64, 70, 75, 130 or a crash's
    last_words: str  # of a worker that failed, for the person who must repair it
    curves_behind: str  # why MLflow lacks some curves; empty where it has them all


def default_workers(environment: Mapping[str, str]) -> int:
    """One worker per GPU, else one per core, as far as the memory reaches."""
    gpus = visible_gpus(environment)
    if gpus:
        return len(gpus)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = psutil.virtual_memory().available // BYTES_PER_WORKER
    return max(1, min(cores, fitting, MOST_DEFAULT_WORKERS))


def demand_room(flag: str, count: int) -> None:
    """Refuse more training processes than this machine's memory can hold."""
    memory = psutil.virtual_memory().total
    most = max(1, memory // LEAST_BYTES_PER_WORKER)
    if count > most:
        raise InvalidInput(
            f"{flag} must be at most {most} on this machine, whose memory is {memory / 1e9:.0f} GB and a training "
            f"process takes {LEAST_BYTES_PER_WORKER / 1e9:.1f} GB. Received: {count}."
        )


def supervise(
    database: Database,
    study: StoredStudy,
    count: int,
    *,
    tracking: str | None,
    extra: tuple[str, ...] = (),
    quiet: bool = False,
    zygote: Zygote | None = None,
) -> Ending:
    """Serve one study with `count` workers until nothing is left or a signal says to leave.

    SIGTERM and the first Ctrl-C drain the workers; a second Ctrl-C ends them at once. A zygote that the caller
    has started is used and closed.
    """
    zygote = zygote or zygote_of(study.name, os.environ)
    engine = make_engine(database)
    workers.bury_dead_neighbours(engine, study.id)
    with run_folder(database.home) as folder, progress_view(study, quiet) as refresh:
        team = Supervisor(
            command=worker_command(study.name, extra),
            environment=child_environment(database, os.environ, folder),
            slots=worker_slots(count, visible_gpus(os.environ), log_folder(database, study)),
            on_death=lambda pid, code: workers.bury_dead_neighbours(
                engine, study.id, {pid: cause_of_death(code)}
            ),
            forks=None if zygote is None else Forks(zygote, worker_arguments(study.name, extra)),
        )
        flusher = Flusher(engine, study, lambda: find_tracking(database, study, tracking))
        try:
            interrupted = watch(team, refresh, lambda: again(lambda: overview.list_trials(engine, study.id)))
        finally:
            if zygote is not None:
                zygote.close()
        flusher.close(patience_seconds=0.0 if interrupted else PATIENCE_SECONDS)
    engine.dispose()
    code = 130 if interrupted else team.exit_code()
    return Ending(code, team.last_words() if code not in (0, 75, 130) else "", flusher.behind)


def send_rest(database: Database, engine: Engine, study: StoredStudy, tracking: str | None) -> str:
    """Carry curves to MLflow that an earlier end left behind; returns why some still are, or nothing."""
    if count_unsent(engine, study.id) == 0:
        return ""
    flusher = Flusher(engine, study, lambda: find_tracking(database, study, tracking))
    flusher.close(patience_seconds=PATIENCE_SECONDS)
    return flusher.behind


def watch(team: Supervisor, refresh: Refresh, read: Callable[[], list[TrialRow]]) -> bool:
    """Poll the team until its last child is gone; True where Ctrl-C ended it."""
    due = 0.0
    with draining(team) as interrupted:
        while team.alive:
            team.poll()
            if time.monotonic() >= due:
                started = time.monotonic()
                refresh(read())
                # A study of many thousand trials takes long to read: that must not become the work.
                due = time.monotonic() + max(REFRESH_SECONDS, 20 * (time.monotonic() - started))
            time.sleep(POLL_SECONDS)
        refresh(read())
    return bool(interrupted)


@contextlib.contextmanager
def draining(team: Supervisor) -> Iterator[list[int]]:
    """While the block runs, signals stop the team; the list holds SIGINT once it came."""
    interrupted: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and interrupted:
            team.kill()
            return
        if number == signal.SIGINT:
            interrupted.append(number)
            print("leaving: the running trials go back; Ctrl-C again ends them at once", file=sys.stderr)
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
    for folder in runs.glob("*") if runs.is_dir() else ():
        if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    own = runs / str(os.getpid())
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def log_folder(database: Database, study: StoredStudy) -> Path:
    """Where this machine's workers of a study write their logs."""
    return database.home / "logs" / study.name
