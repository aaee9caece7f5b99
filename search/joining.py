"""How does a process join studies that exist? As a training process, or as the supervisor of some."""

import os
import shutil
import sys
import time
from pathlib import Path

from sqlalchemy import Engine

from optselect.search.errors import InvalidInput
from optselect.search.executors.local import visible_gpus
from optselect.search.launching import Surroundings
from optselect.search.supervising import supervise
from optselect.search.worker import ExitCode, WorkerOptions, log_to_stderr, run_worker
from optselect.storage import studies
from optselect.storage.database import Database, make_engine
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
        log_to_stderr(debug="OPTSELECT_DEBUG" in os.environ)
        return run_worker(worker_options(study, place, max_trials, slot, use_local))
    extra = (("--max-trials", str(max_trials)) if max_trials else ()) + (
        ("--use-local",) if use_local else ()
    )
    try:
        return supervise_studies(study, slot_count(slots or "1"), place, extra)
    finally:
        if handed_over := os.environ.get("OPTSELECT_HANDED_OVER"):
            shutil.rmtree(Path(handed_over), ignore_errors=True)


def worker_options(
    study: str, place: Surroundings, max_trials: int | None, slot: int | None, use_local: bool
) -> WorkerOptions:
    supervisor = os.environ.get("OPTSELECT_SUPERVISOR")
    lease = float(os.environ.get("OPTSELECT_LEASE_SECONDS", LEASE_SECONDS))
    return WorkerOptions(
        study=study,
        storage=place.storage,
        home=place.home,
        use_local=use_local,
        max_trials=max_trials,
        slot=slot,
        supervisor=int(supervisor) if supervisor else None,
        lease_seconds=lease,
    )


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
    return int(text)


def supervise_studies(study: str | None, count: int, place: Surroundings, extra: tuple[str, ...]) -> int:
    """Serve the named study, or one running study after the other until none has work left."""
    from optselect.storage.database import open_database

    database = open_database(place.storage, place.home, os.environ)
    engine = make_engine(database)
    check_schema(engine)
    names = [study] if study is not None else studies.running_studies(engine)
    if not names:
        print("optselect: no study is running. Start one: optselect launch PROBLEM", file=sys.stderr)
    served: set[str] = set()
    code = int(ExitCode.DONE)
    while names:
        code = serve_one(names[0], database, engine, count, place, extra)
        served.add(names[0])
        if code not in (ExitCode.DONE, ExitCode.MISCONFIGURED) or study is not None:
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
