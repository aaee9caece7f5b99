"""What happens between what was asked and its end? Describe, store, train; what came of it is returned."""

import contextlib
import os
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from optselect.search.bundles.same_files import demand_same_files, demand_same_weights, has_pretrained
from optselect.search.bundles.source import rows_folder, weights_folder
from optselect.search.context import Context
from optselect.search.describing.child import Describer, training_options
from optselect.search.describing.crowd import Crowd, describer_of_many
from optselect.search.engines.placing import Placement, start_workers
from optselect.search.errors import InvalidInput
from optselect.search.names import study_name
from optselect.search.processes import devices
from optselect.search.processes.devices import NO_WISH, Seat, Wish
from optselect.search.processes.forking import Zygote, closing
from optselect.search.processes.local import worker_command, zygote_of
from optselect.search.processes.supervising import (
    ServiceEnd,
    began,
    default_workers,
    demand_room,
    log_folder,
    supervise,
)
from optselect.search.spec.custom import asked_classes
from optselect.search.spec.stored import stored_spec
from optselect.search.spec.study_spec import Request, StudySpec
from optselect.search.status.progress import Refresh, look
from optselect.search.strategy.choosing import next_step, strategy_of
from optselect.search.strategy.seeds import first_seeds
from optselect.search.studies.creating import find_or_create
from optselect.search.studies.in_process import InProcessDescriber, train_in_process
from optselect.search.studies.syncing import send_rest
from optselect.storage.records import studies
from optselect.storage.records.launches import Launch
from optselect.storage.records.phases import Progress, Step, plan_next
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import (
    Connection,
    Database,
    Engine,
    child_environment,
)
from optselect.storage.server.own_files import closed, make_folder
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.errors import ProblemError


@dataclass(frozen=True)
class Workforce:
    """Who does the work."""

    workers: int | None = None  # None: as many as this machine carries
    detach: bool = False
    in_process: bool = False  # no child process at all, for a debugger
    wish: Wish = NO_WISH  # what was said of GPUs
    placement: Placement | None = None  # None: this machine

    def __post_init__(self) -> None:
        if self.placement is None:
            demand_room("--workers", self.workers or 0)
            return
        if not self.workers:
            raise InvalidInput(
                f"--executor {self.placement.executor} needs --workers, how many it is to start. Received: none."
            )
        if self.detach or self.in_process or self.wish != NO_WISH:
            raise InvalidInput(
                "--detach, --in-process, --gpus and --per-gpu are for this machine. Received: one of them with "
                f"--executor {self.placement.executor}. For GPUs: --gpus-per-worker 1."
            )

    def seats(self) -> tuple[Seat, ...]:
        """The GPUs that they have; raises InvalidInput for one that is not there."""
        return devices.seats(self.wish, os.environ) if self.placement is None else ()

    def trains_here(self, seats: Sequence[Seat]) -> bool:
        """Whether this machine trains."""
        return self.placement is None and self.count(seats) > 0

    def count(self, seats: Sequence[Seat]) -> int:
        """Training processes on this machine."""
        return default_workers(seats) if self.workers is None else self.workers


@dataclass(frozen=True)
class Further:
    """What a resumed study gets on top."""

    trials: int = 0
    seeds: int = 0

    def demand_possible(self, study: StoredStudy, spec: StudySpec) -> None:
        """Refuse what the study is not ready for; raises InvalidInput."""
        if self.trials and not study.budget:
            raise InvalidInput(
                f"--trials adds to a budget, which --minutes {spec.minutes} of study {study.name} has not decided "
                f"yet. Received: +{self.trials}. Try again after its first runs."
            )
        if not self.seeds:
            return
        if self.trials or not spec.has_finals or study.state != "finished":
            raise InvalidInput(
                "--seeds adds to the finals of a finished study that has some, and without --trials, which brings "
                f"finals of its own. Received: +{self.seeds} for study {study.name}, which is {study.state}."
            )


@dataclass(frozen=True)
class Served:
    """What came of serving a study."""

    study: StoredStudy
    database: Database
    engine: Engine
    end: ServiceEnd | None = None
    """Of this machine's part; None: it had none."""
    launch: Launch | None = None
    """Whom an engine was asked to start."""
    detached: bool = False
    """Whether a supervisor goes on in the background."""


class View(Protocol):
    """Who follows a study while this machine trains it."""

    def begins(self, study: StoredStudy) -> None:
        """The training of a study begins."""

    def has_workers(self, study: StoredStudy, count: int, logs: Path) -> None:
        """So many processes train it, and write their logs there."""

    def progress(self) -> AbstractContextManager[Refresh]:
        """What is to be called about once a second, while the block runs."""


def launch(request: Request, name: str | None, context: Context, workforce: Workforce, view: View) -> Served:
    """Create a study, or attach to the one of the same spec, and serve it."""
    problem = resolve_problem(request.problem)
    name = study_name(name, problem)
    seats = workforce.seats()
    zygote = None if workforce.in_process else zygote_of(name, os.environ, seats)
    with (
        closing(zygote),
        contextlib.closing(describer_of(problem, request, context, workforce, zygote)) as describer,
    ):
        database, engine = context.connect()
        study = find_or_create(request, name, problem, describer, database, engine, context)
        return serve(study, database, engine, context, workforce, seats, view, zygote=zygote)


def resume(
    name: str, further: Further, context: Context, workforce: Workforce, use_local: bool, view: View
) -> Served:
    """Go on with a stored study, with further search trials or seeds."""
    database, engine = context.connect()
    study = studies.load_study(engine, name)
    spec = stored_spec(study)
    further.demand_possible(study, spec)
    seats = workforce.seats()
    if not use_local and workforce.trains_here(seats) and (study.state != "finished" or further != Further()):
        demand_same_beginning(study, spec, context.home)

    def plan(connection: Connection, study_id: int) -> None:
        plan_next(connection, study_id, lambda progress: with_more_seeds(spec, progress, further.seeds))

    studies.reopen_study(engine, study.id, further.trials, plan)
    study = studies.load_study(engine, name)
    extra = ("--use-local",) if use_local else ()
    return serve(study, database, engine, context, workforce, seats, view, extra, resumed=True)


def demand_same_beginning(study: StoredStudy, spec: StudySpec, home: Path) -> None:
    """Refuse to go on from other weights than the study's; a machine without the problem's file trains the bundle."""
    try:
        problem = resolve_problem(spec.problem)
    except ProblemError:
        return
    demand_same_files(study, problem)
    if has_pretrained(study):  # no weights depend on the classes of the user's own, nor on XLA
        options = ["--rows", str(rows_folder(home))]
        options += [] if spec.precision is None else ["--precision", spec.precision]
        with contextlib.closing(Describer.start(problem, None, (), options)) as describer:
            demand_same_weights(study, describer.result())


def with_more_seeds(spec: StudySpec, progress: Progress, seeds: int) -> Step:
    """The next step, or first of all the seeds that were asked for."""
    step = next_step(spec, progress)
    if not seeds or step.tickets or step.decision:
        return step
    return Step(strategy_of(spec).further_seeds(progress, seeds))


def describer_of(
    problem: Path, request: Request, context: Context, workforce: Workforce, zygote: Zygote | None
) -> Describer | Crowd | InProcessDescriber:
    classes = asked_classes(request)
    if workforce.in_process:
        rows = rows_folder(context.home)
        return InProcessDescriber(problem, classes, request.jit == "on", request.precision, rows)
    weights, seeds = weights_folder(context.home), ",".join(map(str, first_seeds(request.seed)))
    kept = ["--weights", str(weights), "--seeds", seeds, "--rows", str(rows_folder(context.home))]
    options = [*kept, *training_options(request)]
    return describer_of_many(problem, zygote, classes, options)


# --- serving ------------------------------------------------------------------------------------------


def serve(
    study: StoredStudy,
    database: Database,
    engine: Engine,
    context: Context,
    workforce: Workforce,
    seats: Sequence[Seat],
    view: View,
    extra: tuple[str, ...] = (),
    zygote: Zygote | None = None,
    resumed: bool = False,
) -> Served:
    """Do the study's work on this machine; a zygote may be at hand already."""
    served, count = Served(study, database, engine), workforce.count(seats)
    if study.state != "running":
        behind = send_rest(database, engine, study, context.tracking, verdict=resumed)
        return replace(served, end=ServiceEnd(0, "", behind))
    if workforce.placement is not None:
        started = start_workers(study, database, engine, context.tracking, count, workforce.placement, extra)
        return replace(served, launch=started)
    if count == 0:
        return served
    if workforce.detach:
        detach(study, count, database, context, (*workforce.wish.arguments(), *extra))
        return replace(served, detached=True)
    view.begins(study)
    if workforce.in_process:
        return replace(served, end=train_in_process(database, engine, study, context.tracking))
    view.has_workers(study, count, log_folder(database, study))
    with view.progress() as refresh:
        end = supervise(
            database,
            study,
            count,
            tracking=context.tracking,
            extra=extra,
            zygote=zygote,
            seats=seats,
            show=lambda loading: refresh(look(engine, study, loading)),
        )
    return replace(served, end=end)


def detach(
    study: StoredStudy, count: int, database: Database, context: Context, extra: tuple[str, ...]
) -> None:
    """Start the supervisor as a process of its own that outlives this command."""
    logs = log_folder(database, study)
    make_folder(logs)
    # The password file's folder, removed at its end.
    handed_over = database.home / "run" / f"detached-{uuid.uuid4().hex}"
    environment = child_environment(database, os.environ, handed_over)
    environment["OPTSELECT_HANDED_OVER"] = str(handed_over)
    environment["OPTSELECT_BEGAN"] = f"{began(os.environ):.3f}"
    if context.tracking:
        environment["MLFLOW_TRACKING_URI"] = context.tracking
    with open(logs / "supervisor.log", "ab", opener=closed) as log:
        subprocess.Popen(
            worker_command(study.name, ("--slots", str(count), *extra)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
