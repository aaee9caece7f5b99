"""How does a process join studies that exist? As a training process, or as the supervisor of some."""

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from optselect.search.departure import Departure
from optselect.search.errors import InvalidInput
from optselect.search.executors.local import visible_gpus
from optselect.search.exit_codes import WorkerExit
from optselect.search.launching import Surroundings
from optselect.search.source import find_source, weights_folder
from optselect.search.supervising import demand_room, supervise
from optselect.search.worker_log import log_to_stderr
from optselect.storage import studies
from optselect.storage.database import Database, Engine, make_engine, open_database
from optselect.storage.initialise import check_schema
from optselect.storage.tickets import LEASE_SECONDS


def join(
    study: str | None,
    slots: str | None,
    place: Surroundings,
    *,
    max_trials: int | None,
    slot: int | None,
    use_local: bool,
) -> int:
    """Train a study in this process, or supervise `slots` processes that do; returns the worker's exit code."""
    if study is not None and slots is None:
        return train_here(study, place, max_trials, slot, use_local)
    extra = (("--max-trials", str(max_trials)) if max_trials else ()) + (
        ("--use-local",) if use_local else ()
    )
    try:
        return supervise_studies(study, slot_count(slots or "1"), place, extra)
    finally:
        if handed_over := os.environ.get("OPTSELECT_HANDED_OVER"):
            shutil.rmtree(Path(handed_over), ignore_errors=True)


# --- training in this process -------------------------------------------------------------------------


def train_here(
    name: str, place: Surroundings, max_trials: int | None, slot: int | None, use_local: bool
) -> int:
    """Check all that can be checked without TensorFlow, then work."""
    log_to_stderr()
    departure = Departure()
    with departure.on_signals():
        if supervisor := os.environ.get("OPTSELECT_SUPERVISOR"):
            departure.follow(int(supervisor))
        database, engine = opened(place)
        study = studies.load_study(engine, name)
        source = find_source(study, place.home, use_local)
        with contextlib.suppress(OSError):  # another machine need not have the folder
            os.chdir(study.spec["folder"])
        from optselect.search.worker import Assignment, work  # TensorFlow: seconds, and only in this branch

        lease = float(os.environ.get("OPTSELECT_LEASE_SECONDS", LEASE_SECONDS))
        weights = weights_folder(place.home)
        return work(Assignment(database, engine, study, source, lease, max_trials, slot, weights), departure)


def opened(place: Surroundings) -> tuple[Database, Engine]:
    """A worker never makes tables: it only checks that they are there."""
    database = open_database(place.storage, place.home, os.environ)
    engine = make_engine(database)
    check_schema(engine)
    return database, engine


# --- supervising --------------------------------------------------------------------------------------


def slot_count(text: str) -> int:
    """N, or one per GPU."""
    if text == "gpus":
        count = len(visible_gpus(os.environ))
        if count == 0:
            raise InvalidInput(
                "--slots gpus needs a GPU that the driver shows. Received: none. Write --slots 2."
            )
        return count
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise InvalidInput(f'--slots must be a number from 1 to 1000, or gpus. Received: "{text}".')
    demand_room("--slots", int(text))
    return int(text)


def supervise_studies(study: str | None, count: int, place: Surroundings, extra: tuple[str, ...]) -> int:
    """Serve the named study, or one running study after the other until none has work left."""
    database, engine = opened(place)
    names = [study] if study is not None else studies.running_studies(engine)
    if not names:
        print("optselect: no study is running. Start one: optselect launch PROBLEM", file=sys.stderr)
    served: set[str] = set()
    code = int(WorkerExit.DONE)
    while names:
        code = serve_one(names[0], database, engine, count, place, extra)
        served.add(names[0])
        if code not in (WorkerExit.DONE, WorkerExit.MISCONFIGURED) or study is not None:
            break
        names = [name for name in studies.running_studies(engine) if name not in served]
    engine.dispose()
    return code


def serve_one(
    name: str, database: Database, engine: Engine, count: int, place: Surroundings, extra: tuple[str, ...]
) -> int:
    stored = studies.load_study(engine, name)
    print(f"{time.strftime('%H:%M:%S')} supervising {name} with {count} slots", file=sys.stderr, flush=True)
    ending = supervise(database, stored, count, tracking=place.tracking, extra=extra)
    if ending.last_words:
        print(ending.last_words, file=sys.stderr)
    return ending.code
