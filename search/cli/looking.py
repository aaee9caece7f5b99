"""What do the reading commands print? stdout holds the answer, as tables or as JSON."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optselect.search.cli.following import progress_view
from optselect.search.cli.terminal import print_document, stdout_console
from optselect.search.context import Context
from optselect.search.documents import SCHEMA, ListedStudy, ShownStudy, Studies
from optselect.search.engines.placing import launch_line, read_logs, scale, scaled_line
from optselect.search.processes.supervising import REFRESH_SECONDS
from optselect.search.spec.objective import Objective
from optselect.search.spec.stored import stored_description, stored_spec, unchecked_spec
from optselect.search.spec.toml.writing import spec_toml
from optselect.search.status import tables
from optselect.search.status.live_view import live_view
from optselect.search.status.progress import look
from optselect.search.status.selecting import Selection, select
from optselect.search.status.standing import trials_json
from optselect.search.status.state import study_status, tracking_address
from optselect.search.status.trial_page import trial_code, trial_page, trial_page_json, why_it_ended
from optselect.storage.errors import NotFound
from optselect.storage.records import overview
from optselect.storage.records.checkpoints import newest_kept
from optselect.storage.records.curves import read_curve
from optselect.storage.records.launches import live_launches
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.records.trial_files import folder_of_trial
from optselect.storage.server.database import Database, Engine
from optselect.storage.tracking.access import ServerNote, note_of
from optselect.storage.tracking.chart_views import BEST, FINALS
from optselect.storage.tracking.experiment import experiment_link, run_link


@dataclass(frozen=True)
class Opened:
    """A database ready to be read."""

    database: Database
    engine: Engine


def opened(context: Context) -> Opened:
    return Opened(*context.connect())


def print_status(name: str, context: Context) -> None:
    """How far a study is."""
    here = opened(context)
    study = load_study(here.engine, name)
    if context.as_json:
        print_document(study_status(study, here.database, here.engine))
        return
    out, sight = stdout_console(), look(here.engine, study)
    out.print(f"{study.state}; objective {Objective.of(study).in_words}")
    out.print(live_view(sight))
    for launch in live_launches(here.engine, study.id) if study.state == "running" else ():
        out.print(launch_line(launch), soft_wrap=True)


def watch_status(name: str, context: Context) -> None:
    """The same, drawn anew each second until the study ends or a signal comes; lines where stdout is no terminal."""
    here = opened(context)
    study = load_study(here.engine, name)
    with stopped_by_signal() as ended, progress_view(quiet=False) as refresh:
        refresh(sight := look(here.engine, study))
        while sight.study.state not in ("finished", "stopped") and not ended.wait(REFRESH_SECONDS):
            refresh(sight := look(here.engine, study))
    print_status(name, context)


def show_logs(name: str, launch: int | None, lines: int, follow: bool, context: Context) -> None:
    """What the workers of a launch say."""
    with contextlib.suppress(KeyboardInterrupt):
        for line in read_logs(name, launch, lines, follow, opened(context).engine):
            print(line, flush=True)


def scale_launch(name: str, workers: int, launch: int | None, context: Context) -> None:
    """More or fewer workers."""
    done = scale(name, workers, launch, opened(context).engine, context.home)
    if context.as_json:
        print_document(done)
    else:
        stdout_console().print(scaled_line(done), soft_wrap=True)


def print_trials(name: str, wanted: Selection, context: Context) -> None:
    """The trials that are wanted, as rows."""
    here = opened(context)
    study = load_study(here.engine, name)
    trials = select(overview.list_trials(here.engine, study.id), wanted, Objective.of(study))
    if context.as_json:
        print_document(trials_json(trials))
    else:
        stdout_console().print(tables.trials_table(study, trials))


def show_study(name: str, context: Context) -> None:
    """The spec of a study, as TOML that launches it."""
    here = opened(context)
    study = load_study(here.engine, name)
    spec = stored_spec(study)
    if context.as_json:
        print_document(shown_json(study))
    else:
        print(spec_toml(spec, study.name), end="")


def shown_json(study: StoredStudy) -> ShownStudy:
    return {
        "schema": SCHEMA,
        "study": study.name,
        "state": study.state,
        "bundle_sha256": study.bundle_sha256,
        "spec": dict(study.spec),
    }


def show_trial(name: str, number: int, context: Context) -> None:
    """One trial: settings, curve, why it ended."""
    here = opened(context)
    study = load_study(here.engine, name)
    trials = overview.list_trials(here.engine, study.id)
    trial = find_trial(study, trials, number)
    curve, kept = read_curve(here.engine, trial.ticket), newest_kept(here.engine, trial.ticket)
    link = link_of(study, trial, here.database)
    if context.as_json:
        print_document(trial_page_json(trial, curve, why_it_ended(trial, study), link, kept))
    else:
        code = trial_code(trial, stored_spec(study), stored_description(study))
        folder = folder_of_trial(study, here.database.home, number)
        print(trial_page(study, trial, curve, code, link, kept, folder if folder.is_dir() else None))


def link_of(study: StoredStudy, trial: overview.TrialRow, database: Database) -> str | None:
    """The trial's page, where an MLflow server is known."""
    address = tracking_address(study, database)
    if not (address and trial.mlflow_run_id and study.mlflow_experiment_id):
        return None
    return run_link(address, study.mlflow_experiment_id, trial.mlflow_run_id)


def find_trial(study: StoredStudy, trials: Sequence[overview.TrialRow], number: int) -> overview.TrialRow:
    for trial in trials:
        if trial.trial == number:
            return trial
    numbers = [trial.trial for trial in trials if trial.trial is not None]
    known = f"its trials are {min(numbers)} to {max(numbers)}" if numbers else "none was started yet"
    raise NotFound(f'Study "{study.name}" has no trial {number}; {known}. See: optselect trials {study.name}')


def print_pair(first: str, second: str, context: Context) -> None:
    """Two studies side by side."""
    from optselect.search.report.side_by_side import (  # SciPy costs half a second
        Pair,
        Side,
        pair_json,
        pair_page,
    )
    from optselect.search.verdict.record import read_record

    engine = opened(context).engine
    sides = [
        Side.of(study, read_record(engine, study))
        for study in (load_study(engine, first), load_study(engine, second))
    ]
    pair = Pair.of(*sides)
    if context.as_json:
        print_document(pair_json(pair))
    else:
        stdout_console().print(pair_page(pair))


def print_studies(context: Context) -> None:
    """All studies."""
    rows = overview.list_studies(opened(context).engine)
    if context.as_json:
        print_document(studies_json(rows))
    elif rows:
        stdout_console().print(tables.studies_table(rows))
    else:
        stdout_console().print("No study yet. Start one: optselect launch diabetes")


def studies_json(rows: Sequence[overview.StudyRow]) -> Studies:
    return {"schema": SCHEMA, "studies": [study_json(row) for row in rows]}


def study_json(row: overview.StudyRow) -> ListedStudy:
    return {
        "name": row.name,
        "state": row.state,
        "budget": row.budget,
        "done": row.done,
        "best": row.best,
        "objective": row.objective,
        "created_at": row.created_at.isoformat(),
    }


# --- MLflow -------------------------------------------------------------------------------------------


def serve_ui(name: str | None, port: int, token: bool | None, context: Context) -> None:
    """Start MLflow over the study's curves and wait for Ctrl-C; a server elsewhere only needs its link."""
    from optselect.search.processes.supervising import run_folder
    from optselect.storage.tracking.server import serving

    here = opened(context)
    study = None if name is None else load_study(here.engine, name)
    elsewhere = context.tracking or (study.tracking_uri if study else None)
    if elsewhere:
        say_links(study, note_of(elsewhere, here.database.home))
        return
    with (
        stopped_by_signal() as ended,
        run_folder(here.database.home) as folder,
        serving(here.database, port, folder, ended, token) as server,
    ):
        say_links(study, server.note)
        if server.process is None:
            say("(a server that runs already)")
            return
        if server.note.token is not None:
            say("These links hold its token, which lets nobody else in.")
        say("Ctrl-C stops the server; the curves stay.")
        while not ended.wait(1.0) and server.process.poll() is None:
            pass


def say(line: str) -> None:
    print(line, flush=True)  # whoever reads a pipe wants the link while the server runs


def say_links(study: StoredStudy | None, server: ServerNote) -> None:
    """Where to look: all curves first, then what was compared on fresh seeds, then every run as a row."""
    if study is None:
        say(server.link(server.address))
        return
    if study.mlflow_experiment_id is None:
        raise NotFound(
            f'Study "{study.name}" has no curves yet: its first worker has not started. See: optselect status {study.name}'
        )
    experiment, address = study.mlflow_experiment_id, server.address
    say(server.link(experiment_link(address, experiment)))
    if unchecked_spec(study).seeds:
        say(f"Finals, a mean curve for each: {server.link(experiment_link(address, experiment, FINALS))}")
    say(f"Runs as a table, best first: {server.link(experiment_link(address, experiment, BEST))}")


@contextlib.contextmanager
def stopped_by_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM or Ctrl-C sets, so that the server is stopped in good order."""
    ended = threading.Event()
    old = {
        number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield ended
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
