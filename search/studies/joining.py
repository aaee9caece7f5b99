"""How does a process join studies? As a training process of one, as its supervisor, or as a machine that serves all."""

import contextlib
import faulthandler
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from optselect.search.bundles.same_files import demand_same_files
from optselect.search.bundles.source import find_source, rows_folder, unpacked, weights_folder
from optselect.search.bundles.trust import ALL_TRUSTED, Trust
from optselect.search.context import Context
from optselect.search.errors import InvalidInput
from optselect.search.processes import devices
from optselect.search.processes.devices import NO_WISH, Seat, Wish
from optselect.search.processes.fleet import Terms, serve_all
from optselect.search.processes.observing import observing
from optselect.search.processes.supervising import began, demand_room, supervise
from optselect.search.spec.stored import stored_spec
from optselect.search.status.progress import Refresh, look
from optselect.search.voice import hand_on, say
from optselect.search.worker.departure import STUCK_SECONDS, Departure
from optselect.search.worker.log import log_to_stderr
from optselect.storage.records import studies
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import lease_seconds
from optselect.storage.schema.initialise import check_schema
from optselect.storage.server.database import Database, Engine, make_engine, make_worker_engine, open_database
from optselect.storage.server.environment import number_in
from optselect.trials.terms.listed_code import ListedCode

Progress = Callable[[], AbstractContextManager[Refresh]]


@dataclass(frozen=True)
class Joining:
    """What a process that joins was asked for."""

    slots: str | None = None
    max_trials: int | None = None
    max_idle_seconds: float | None = None
    slot: int | None = None
    use_local: bool = False
    gives_way: bool = False
    wish: Wish = NO_WISH  # what was said of GPUs
    trust: Trust = ALL_TRUSTED

    def demand_possible(self, study: str | None) -> None:
        """Refuse what would be ignored; raises InvalidInput."""
        if self.use_local and self.trust != ALL_TRUSTED:
            raise InvalidInput(
                "--only-bundles and --trust name the sources that may run; --use-local would run others. "
                "Received: both. Leave one out."
            )
        if study is None and self.max_trials is not None:
            raise InvalidInput(
                f"--max-trials needs a STUDY, for without one a place serves many. Received: {self.max_trials} alone. "
                "Give --max-idle instead."
            )
        if study is not None and self.max_idle_seconds is not None:
            raise InvalidInput(
                f"--max-idle is for a worker of all studies; one of {study} leaves with it. "
                f"Received: --max-idle {self.max_idle_seconds:g}."
            )


def join(study: str | None, asked: Joining, context: Context, progress: Progress) -> int:
    """Train a study in this process, or supervise processes that do; returns the worker's exit code.

    Args:
        progress: gives what is to be called about once a second with what is seen of a study.
    """
    asked.demand_possible(study)
    if study is not None and asked.slots is None and asked.wish == NO_WISH:
        return train_here(study, context, asked)
    extra = (("--max-trials", str(asked.max_trials)) if asked.max_trials else ()) + (
        ("--use-local",) if asked.use_local else ()
    )
    extra += asked.trust.arguments()
    own = devices.seats(asked.wish, os.environ)
    count = slot_count(asked.slots) if asked.slots else max(1, len(own) if asked.wish != NO_WISH else 1)
    try:
        if study is not None:
            return supervise_study(study, count, own, context, extra, asked.trust, progress)
        terms = Terms(count, asked.max_idle_seconds, context.tracking, extra, own, asked.trust.demand)
        return supervise_all(terms, context)
    finally:
        if handed_over := os.environ.get("OPTSELECT_HANDED_OVER"):
            shutil.rmtree(Path(handed_over), ignore_errors=True)


# --- training in this process -------------------------------------------------------------------------


def train_here(name: str, context: Context, asked: Joining) -> int:
    """Check all that can be checked without TensorFlow, then work."""
    log_to_stderr()
    faulthandler.enable()  # a signal that ends this process says where it hit, in the log
    departure = Departure()
    with departure.on_signals():
        if supervisor := int(number_in(os.environ, "OPTSELECT_SUPERVISOR", 0)):
            departure.follow(supervisor)
        database, engine = opened(context, make_worker_engine)
        study = studies.load_study(engine, name)
        listed = asked.trust.code_of(study, context.home)
        source = source_here(study, context.home, asked.use_local, listed)
        from optselect.search.worker.loop import work
        from optselect.search.worker.preparing import Assignment

        assignment = Assignment(
            database,
            engine,
            study,
            source,
            lease_seconds(os.environ),
            asked.max_trials,
            asked.slot,
            use_local=asked.use_local,
            gives_way=asked.gives_way,
            weights=weights_folder(context.home),
            listed=listed,
            stuck_seconds=number_in(os.environ, "OPTSELECT_STUCK_SECONDS", STUCK_SECONDS),
            rows=rows_folder(context.home),
            rows_since=began(os.environ),
        )
        with (
            contextlib.nullcontext() if supervisor else observing(engine, study.id, assignment.lease_seconds)
        ):
            return work(assignment, departure)


def source_here(study: StoredStudy, home: Path, use_local: bool, listed: ListedCode | None) -> Path:
    """The problem file to train, from the folder where its data is looked for; raises InvalidInput.

    Of a listed source that is this process's own folder: no row says where to go.
    """
    if listed is not None:
        source = unpacked(study, home)
        demand_same_files(study, source, (source.parent, Path.cwd()))
        return source
    source = find_source(study, home, use_local)
    with contextlib.suppress(OSError):  # another machine need not have the folder
        os.chdir(stored_spec(study).folder)
    if not use_local:
        demand_same_files(study, source)
    return source


def opened(context: Context, make: Callable[[Database], Engine] = make_engine) -> tuple[Database, Engine]:
    """A worker never makes tables: it only checks that they are there."""
    database = open_database(context.storage, context.home, os.environ)
    engine = make(database)
    check_schema(engine)
    return database, engine


# --- supervising --------------------------------------------------------------------------------------


def slot_count(text: str) -> int:
    """How many training processes; as text, for a mistake has an exit code of its own here."""
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise InvalidInput(f'--slots must be a number from 1 to 1000. Received: "{text}".')
    demand_room("--slots", int(text))
    return int(text)


def supervise_study(
    name: str,
    count: int,
    seats: Sequence[Seat],
    context: Context,
    extra: tuple[str, ...],
    trust: Trust,
    progress: Progress,
) -> int:
    """Serve one study until nothing of it is left."""
    database, engine = opened(context)
    stored = studies.load_study(engine, name)
    trust.demand(stored)
    say(f"supervising {name} with {count} slots")
    with progress() as refresh:
        end = supervise(
            database,
            stored,
            count,
            tracking=context.tracking,
            extra=extra,
            seats=seats,
            show=lambda loading: refresh(look(engine, stored, loading)),
        )
    if end.last_lines:
        hand_on(end.last_lines)
    engine.dispose()
    return end.code


def supervise_all(terms: Terms, context: Context) -> int:
    """Serve every running study, and those that are still to come."""
    database, engine = opened(context)
    try:
        return serve_all(database, engine, terms)
    finally:
        engine.dispose()
