"""What happens between a command and the first trial? Describe, store, supervise, summarise."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from optselect.search.bundles.same_files import demand_same_files, demand_same_weights, has_pretrained
from optselect.search.bundles.source import bundle_hash, local_hash, read_bundle, rows_folder, weights_folder
from optselect.search.cli.terminal import stdout_console
from optselect.search.documents import Launched, print_document
from optselect.search.engines.placing import Placement, launch_line, preview, start_workers
from optselect.search.errors import InvalidInput
from optselect.search.exit_codes import UserExit
from optselect.search.names import demand_apart, study_name
from optselect.search.notes import RATE_SET_TWICE
from optselect.search.processes import devices
from optselect.search.processes.devices import NO_WISH, Seat, Wish
from optselect.search.processes.forking import Zygote, closing
from optselect.search.processes.local import worker_command, zygote_of
from optselect.search.processes.supervising import (
    Ending,
    began,
    default_workers,
    demand_room,
    log_folder,
    supervise,
)
from optselect.search.report.verdict_page import verdict_data
from optselect.search.spec.custom import asked_classes, knows_all, notes, read_customs
from optselect.search.spec.objective import difference_today, in_words, settled
from optselect.search.spec.stored import stored_description
from optselect.search.spec.study_spec import SPEC_VERSION, Request, StudySpec, differences, resolve
from optselect.search.status.progress import look, progress_view
from optselect.search.status.standing import standing
from optselect.search.status.state import study_status
from optselect.search.status.tables import SINGLE_RUNS, next_commands, summary
from optselect.search.status.ways import ways_lines
from optselect.search.strategy.seeds import first_seeds
from optselect.search.studies.describing import Describer, training_options
from optselect.search.studies.in_process import InProcessDescriber, train_in_process
from optselect.search.studies.sending import send_rest
from optselect.search.studies.trying import Crowd, describer_of_many
from optselect.search.surroundings import Surroundings
from optselect.search.verdict.findings import stored_findings
from optselect.storage.records import overview, studies
from optselect.storage.records.checkpoint_files import check_place
from optselect.storage.records.launches import Launch
from optselect.storage.records.phases import Progress, Step, plan_next
from optselect.storage.records.studies import NewStudy, StoredStudy
from optselect.storage.records.trial_files import folder_of_trial
from optselect.storage.server.database import (
    Connection,
    Database,
    Engine,
    child_environment,
    make_engine,
)
from optselect.storage.server.own_files import closed, make_folder
from optselect.trials.terms.bundled import is_bundled, resolve_problem
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.errors import ProblemError


@dataclass(frozen=True)
class Staff:
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
class More:
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
        if self.trials or spec.goal != "verdict" or not spec.seeds or study.state != "finished":
            raise InvalidInput(
                "--seeds adds to the finals of a finished study that has some, and without --trials, which brings "
                f"finals of its own. Received: +{self.seeds} for study {study.name}, which is {study.state}."
            )


def print_preview(name: str, place: Surroundings, staff: Staff, use_local: bool = False) -> int:
    """Print what a launch would hand to an engine, and do nothing."""
    if place.as_json:
        raise InvalidInput(
            "--dry-run prints what an engine gets, in the engine's own format. Received: --json with it. Leave out --json."
        )
    extra = ("--use-local",) if use_local else ()
    count = staff.count(staff.seats())
    print(preview(name, place.storage, place.home, place.tracking, count, staff.placement, extra), end="")
    return 0


def launch(request: Request, name: str | None, place: Surroundings, staff: Staff) -> int:
    """Create a study, or attach to the one of the same spec, and serve it; returns the exit code."""
    problem = resolve_problem(request.problem)
    name = study_name(name, problem)
    seats = staff.seats()
    zygote = None if staff.in_process else zygote_of(name, os.environ, seats)
    with (
        closing(zygote),
        contextlib.closing(describer_of(problem, request, place, staff, zygote)) as describer,
    ):
        database = place.open()
        engine = make_engine(database)
        study = find_or_create(request, name, problem, describer, database, engine, place)
        return serve(study, database, engine, place, staff, seats, zygote=zygote)


def resume(name: str, more: More, place: Surroundings, staff: Staff, use_local: bool) -> int:
    """Go on with a stored study, with further search trials or seeds; returns the exit code."""
    database = place.open()
    engine = make_engine(database)
    study = studies.load_study(engine, name)
    spec = StudySpec.model_validate(study.spec)
    more.demand_possible(study, spec)
    seats = staff.seats()
    if not use_local and staff.trains_here(seats) and (study.state != "finished" or more != More()):
        demand_same_beginning(study, spec, place.home)

    def plan(connection: Connection, study_id: int) -> None:
        plan_next(connection, study_id, lambda progress: with_more_seeds(spec, progress, more.seeds))

    studies.reopen_study(engine, study.id, more.trials, plan)
    study = studies.load_study(engine, name)
    extra = ("--use-local",) if use_local else ()
    return serve(study, database, engine, place, staff, seats, extra, resumed=True)


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
    from optselect.search.strategy.phases import further_seeds, next_step  # SciPy costs half a second

    step = next_step(spec, progress)
    if not seeds or step.tickets or step.decision:
        return step
    return Step(further_seeds(spec, progress, seeds))


def describer_of(
    problem: Path, request: Request, place: Surroundings, staff: Staff, zygote: Zygote | None
) -> Describer | Crowd | InProcessDescriber:
    classes = asked_classes(request)
    if staff.in_process:
        rows = rows_folder(place.home)
        return InProcessDescriber(problem, classes, request.jit == "on", request.precision, rows)
    weights, seeds = weights_folder(place.home), ",".join(map(str, first_seeds(request.seed)))
    kept = ["--weights", str(weights), "--seeds", seeds, "--rows", str(rows_folder(place.home))]
    options = [*kept, *training_options(request)]
    return describer_of_many(problem, zygote, classes, options)


# --- creating -----------------------------------------------------------------------------------------


def find_or_create(
    request: Request,
    name: str,
    problem: Path,
    describer: Describer | Crowd | InProcessDescriber,
    database: Database,
    engine: Engine,
    place: Surroundings,
) -> StoredStudy:
    """The study of that name where it is the same one, else a new one; raises InvalidInput where it is another."""
    bundled = is_bundled(request.problem)
    stored = studies.find_study(engine, name)
    if stored is not None:
        return attached(stored, request, problem, describer, bundled)
    demand_apart(name, studies.study_names(engine))
    description = describer.result()
    spec = resolved(request, description, bundled)
    bundle = read_bundle(problem, description.modules, spec.custom)
    warnings = (
        *description.warnings,
        description.seeds_note,
        description.modules_note,
        *notes(spec, description.optimizers),
        spec.few_trials,
    )
    for warning in filter(None, warnings):
        print(f"note: {warning}", file=sys.stderr)
    study = create(new_study(name, spec, description, bundle, place), spec, database, engine)
    if description.moved:
        place_of_files = folder_of_trial(study, database.home, "NUMBER")
        print(f"note: {files_line(description.moved, place_of_files)}", file=sys.stderr)
    return study


def files_line(callbacks: Sequence[str], folder: Path) -> str:
    """Where the callbacks that write files write them.

    >>> files_line(["CSVLogger", "ModelCheckpoint"], Path("/home/me/files/digits-1/trial-NUMBER"))
    'CSVLogger and ModelCheckpoint write below a folder of each trial: /home/me/files/digits-1/trial-NUMBER'
    """
    return f"{' and '.join(callbacks)} write below a folder of each trial: {folder}"


def is_described(stored: StoredStudy, request: Request, problem: Path) -> bool:
    """Whether the source and the classes that a request names are those of a stored study."""
    spec = StudySpec.model_validate(stored.spec)
    same = local_hash(problem, stored.bundle, spec.custom) == stored.bundle_sha256
    return same and knows_all(request, stored_description(stored).optimizers)


def tells_direction(stored: StoredStudy, typed: str) -> bool:
    """Whether the stored description is enough to judge an objective; an older one knows metrics by their names only."""
    is_said = typed.strip() != stored.objective or stored.objective == "val_loss"
    return is_said or bool(stored_description(stored).known_metrics)


def attached(
    stored: StoredStudy,
    request: Request,
    problem: Path,
    describer: Describer | Crowd | InProcessDescriber,
    bundled: bool,
) -> StoredStudy:
    """Refuse another study and other files; of the same one say where a launch of today would do otherwise."""
    typed = request.objective
    request = replace(request, objective=settled(typed, stored.objective, stored.direction))
    is_same = is_described(stored, request, problem)  # then there is no need to build the model
    is_described_anew = not is_same or not tells_direction(stored, typed) or has_pretrained(stored)
    description = describer.result() if is_described_anew else stored_description(stored)
    # A stored study keeps its description: what is looked at since then is no difference of the spec.
    spec = resolved(request, stored_description(stored) if is_same else description, bundled)
    own = (
        stored.bundle_sha256
        if is_same
        else bundle_hash(read_bundle(problem, description.modules, spec.custom))
    )
    refuse_another(stored, spec, own)
    if typed.strip() == stored.objective:  # else the direction was said
        note_direction(stored, description)
    demand_same_files(stored, problem)
    if is_described_anew:
        demand_same_weights(stored, description)
    describer.close()
    return stored


def note_direction(stored: StoredStudy, description: ProblemDescription) -> None:
    """Say where today's direction is not that of the stored study."""
    if today := difference_today(stored.objective, stored.direction, description.known_metrics):
        print(f"note: study {stored.name} keeps {today}.", file=sys.stderr)


def resolved(request: Request, description: ProblemDescription, bundled: bool) -> StudySpec:
    customs = read_customs(request, description.optimizers)
    return resolve(request, description, bundled, Path.cwd(), customs)


def new_study(
    name: str, spec: StudySpec, problem: ProblemDescription, bundle: dict[str, str], place: Surroundings
) -> NewStudy:
    return NewStudy(
        name=name,
        spec=spec.model_dump(mode="json"),
        spec_version=SPEC_VERSION,
        problem=problem.to_json(),
        bundle=bundle,
        bundle_sha256=bundle_hash(bundle),
        data_hash=problem.data_hash,
        versions=dict(problem.versions),
        objective=spec.objective,
        direction=spec.direction,
        tracking_uri=place.tracking,
        checkpoints=None if place.checkpoints is None else check_place(place.checkpoints),
    )


def create(study: NewStudy, spec: StudySpec, database: Database, engine: Engine) -> StoredStudy:
    """Store the study and its first tickets; where another launcher was faster, its study must be the same."""
    # Optuna and SciPy cost a second: only where they are needed.
    from optselect.search.strategy.asking import create_optuna_study
    from optselect.search.strategy.planning import first_step
    from optselect.storage.optuna_tables.storage import optuna_storage

    storage = optuna_storage(database, engine=engine)  # it asks for its tables: before the transaction
    with studies.creating(engine) as connection:
        stored = studies.find_study(connection, study.name)
        if stored is None:
            with storage.part_of(connection):
                create_optuna_study(storage, study.name, spec.objective, spec.direction)
            step = first_step(spec)
            decisions = () if step.decision is None else (step.decision,)
            return studies.insert_study(connection, study, step.tickets, spec.trials, decisions)
    refuse_another(stored, spec, study.bundle_sha256)
    return stored


def refuse_another(stored: StoredStudy, wanted: StudySpec, wanted_hash: str) -> None:
    changes = list(differences(stored.spec, wanted))
    if wanted_hash != stored.bundle_sha256:
        changes.append(f"the problem's source {stored.bundle_sha256[:12]} -> {wanted_hash[:12]}")
    if changes:
        raise InvalidInput(
            f'Study "{stored.name}" exists with another spec: {"; ".join(changes)}. '
            f"Launch this one under another --name, or go on with the stored one: optselect resume {stored.name}"
        )


# --- serving ------------------------------------------------------------------------------------------


def serve(
    study: StoredStudy,
    database: Database,
    engine: Engine,
    place: Surroundings,
    staff: Staff,
    seats: Sequence[Seat],
    extra: tuple[str, ...] = (),
    zygote: Zygote | None = None,
    resumed: bool = False,
) -> int:
    """Do the study's work on this machine and say how it ended; a zygote may be at hand already."""
    console = Console(stderr=True, highlight=False)
    count = staff.count(seats)
    if study.state != "running":
        behind = send_rest(database, engine, study, place.tracking, verdict=resumed)
        return conclude(study, database, engine, place, Ending(0, "", behind))
    if staff.placement is not None:
        started = start_workers(study, database, engine, place.tracking, count, staff.placement, extra)
        return report_placed(study, database, engine, place, started)
    if count == 0 or staff.detach:
        if count:
            detach(study, count, database, place, (*staff.wish.arguments(), *extra))
        return report_stored(study, database, engine, place, detached=count > 0)
    if not place.as_json:
        console.print(opening(study), soft_wrap=True)
    if staff.in_process:
        return conclude(
            study, database, engine, place, train_in_process(database, engine, study, place.tracking)
        )
    if not place.as_json:
        console.print(staff_line(study, count, database), soft_wrap=True)
    with progress_view(place.as_json) as refresh:
        ending = supervise(
            database,
            study,
            count,
            tracking=place.tracking,
            extra=extra,
            zygote=zygote,
            seats=seats,
            show=lambda loading: refresh(look(engine, study, loading)),
        )
    return conclude(study, database, engine, place, ending)


def opening(study: StoredStudy) -> str:
    """What is about to happen, in two lines."""
    tuned = {name: [d["keyword"] for d in dimensions] for name, dimensions in study.spec["space"].items()}
    most = max(tuned.values(), key=len)
    amount = study.budget or f"as many as fit in {study.spec['minutes']} min:"
    what = "the learning rate of each" if most == ["learning_rate"] else f"up to {len(most)} arguments each"
    objective = in_words(study.objective, study.direction)
    return (
        f"study {study.name}: {amount} search trials of {study.spec['epochs']} epochs\n"
        f"{len(tuned)} optimizers, tuning {what}; objective {objective}"
    )


def staff_line(study: StoredStudy, count: int, database: Database) -> str:
    """Who does it."""
    return f"{count} worker{'s' if count > 1 else ''}, logs in {log_folder(database, study)}"


def conclude(
    study: StoredStudy, database: Database, engine: Engine, place: Surroundings, ending: Ending
) -> int:
    """Print the summary, or why there is none, and return the exit code of a user's command."""
    study = studies.load_study(engine, study.name)
    trials = overview.list_trials(engine, study.id)
    out, err = stdout_console(), Console(stderr=True, highlight=False)
    finished = study.state == "finished"
    if place.as_json:
        ended: Launched = {
            **study_status(study, database, engine),
            "verdict": verdict_data(engine, study),
        }
        print_document(ended)
    else:
        out.print(summary(study, trials))
        out.print(SINGLE_RUNS, style="dim")
        for line in ways_lines(trials, debug="OPTSELECT_DEBUG" in os.environ):
            out.print(line, markup=False, soft_wrap=True)
        out.print(f"\n{next_commands(study, finished)}", soft_wrap=True)
        if finished:
            print_verdict(engine, study, out)
    if ending.curves_behind:
        err.print(
            f"MLflow lacks some curves: {ending.curves_behind}. They are safe in Postgres; to send what it takes: "
            f"optselect sync {study.name}",
            style="yellow",
            soft_wrap=True,
        )
    if not finished and ending.code == 130:
        err.print(f"Stopped here. To go on: optselect resume {study.name}", soft_wrap=True)
        return 130
    if not finished and ending.code not in (0, 75):
        err.print(
            f"The workers could not go on. The end of their log:\n{ending.last_words}",
            markup=False,
            soft_wrap=True,
        )
        return UserExit.OUR_FAILURE
    if not finished:
        if (reason := why_no_trial_can_go_on(study, trials)) is not None:
            err.print(reason, markup=False, soft_wrap=True)
            return UserExit.INVALID
        why = f"It was {study.state} from outside" if study.state != "running" else "Not finished yet"
        err.print(f"{why}. To go on: optselect resume {study.name}", soft_wrap=True)
        return ending.code or (UserExit.UNFINISHED if study.state == "running" else UserExit.DONE)
    return 0 if standing(study, trials).search.best is not None else no_usable_trial(trials, err)


def why_no_trial_can_go_on(study: StoredStudy, trials: Sequence[overview.TrialRow]) -> str | None:
    """Why a study stopped itself; None where it did not."""
    ended = [trial for trial in trials if trial.finished is not None]
    last = max(ended, key=lambda trial: trial.finished or 0.0, default=None)
    if study.state != "stopped" or last is None or last.notes.get("cause") != RATE_SET_TWICE:
        return None
    return (
        f"The study is stopped: a learning rate must have one schedule. Received, in trial {last.trial}: "
        f"{last.message}. Leave out the callback or the schedule, and launch under another --name."
    )


def print_verdict(engine: Engine, study: StoredStudy, out: Console) -> None:
    """The verdict as the last thing that is printed; a study that compares nothing has none."""
    from optselect.search.report.verdict_page import short_verdict

    if study.spec.get("goal") == "best-config":
        return
    found = stored_findings(engine, study)
    out.print("")
    out.print(found if isinstance(found, str) else short_verdict(found))


def no_usable_trial(trials: list[overview.TrialRow], err: Console) -> int:
    reasons = [trial.message for trial in trials if trial.message]
    err.print(
        f"No trial ended with a value. The first reason: {reasons[0] if reasons else 'unknown'}", markup=False
    )
    return UserExit.NO_USABLE_TRIAL


def report_placed(
    study: StoredStudy, database: Database, engine: Engine, place: Surroundings, launch: Launch
) -> int:
    """Say how the engine calls the workers, and what can be done with them."""
    if place.as_json:
        print_document(study_status(study, database, engine))
        return 0
    out = stdout_console()
    out.print(launch_line(launch), soft_wrap=True)
    out.print(f"objective {in_words(study.objective, study.direction)}", soft_wrap=True)
    out.print(
        f"  optselect status {study.name}   how far it is\n  optselect logs {study.name} --follow\n"
        f"  optselect scale {study.name} {2 * launch.workers}   as many workers instead\n  optselect stop {study.name}",
        soft_wrap=True,
    )
    return 0


def report_stored(
    study: StoredStudy, database: Database, engine: Engine, place: Surroundings, detached: bool
) -> int:
    if place.as_json:
        print_document(study_status(study, database, engine))
        return 0
    out = stdout_console()
    out.print(
        f"study {study.name}: {f'{study.budget} search trials' if study.budget else 'its first runs'} stored"
        + (", training in the background" if detached else "")
    )
    out.print(f"objective {in_words(study.objective, study.direction)}", soft_wrap=True)
    if detached:
        out.print(
            f"  optselect status {study.name}   how far it is\n  log: {log_folder(database, study) / 'supervisor.log'}",
            soft_wrap=True,
        )
    else:
        out.print(
            f"  optselect resume {study.name}   train here\n  optselect worker {study.name}   join from any machine",
            soft_wrap=True,
        )
    return 0


def detach(
    study: StoredStudy, count: int, database: Database, place: Surroundings, extra: tuple[str, ...]
) -> None:
    """Start the supervisor as a process of its own that outlives this command."""
    logs = log_folder(database, study)
    make_folder(logs)
    handed_over = (
        database.home / "run" / f"detached-{uuid.uuid4().hex}"
    )  # the password file's, removed at its end
    environment = child_environment(database, os.environ, handed_over)
    environment["OPTSELECT_HANDED_OVER"] = str(handed_over)
    environment["OPTSELECT_BEGAN"] = f"{began(os.environ):.3f}"
    if place.tracking:
        environment["MLFLOW_TRACKING_URI"] = place.tracking
    with open(logs / "supervisor.log", "ab", opener=closed) as log:
        subprocess.Popen(
            worker_command(study.name, ("--slots", str(count), *extra)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
