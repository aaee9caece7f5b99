"""What do launch, resume, pause and stop print, and with which exit code do they end?"""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from optselect.search.cli.following import progress_view
from optselect.search.cli.terminal import print_document, stderr_console, stdout_console
from optselect.search.context import Context
from optselect.search.documents import SCHEMA, Launched, Ordered
from optselect.search.engines.placing import launch_line, preview
from optselect.search.errors import InvalidInput
from optselect.search.exit_codes import UserExit
from optselect.search.notes import RATE_SET_TWICE
from optselect.search.processes.supervising import ServiceEnd, log_folder
from optselect.search.report.verdict_page import verdict_data
from optselect.search.spec.objective import Objective
from optselect.search.spec.stored import stored_spec
from optselect.search.status.progress import Refresh
from optselect.search.status.standing import standing
from optselect.search.status.state import study_status
from optselect.search.status.tables import SINGLE_RUNS, next_commands, summary
from optselect.search.status.ways import ways_lines
from optselect.search.studies.launching import Served, Workforce
from optselect.search.studies.ordering import order
from optselect.search.verdict.findings import NoVerdict, stored_findings
from optselect.storage.records import overview, studies
from optselect.storage.records.launches import Launch
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine


def print_preview(name: str, context: Context, workforce: Workforce, use_local: bool = False) -> int:
    """Print what a launch would hand to an engine, and do nothing."""
    if context.as_json:
        raise InvalidInput(
            "--dry-run prints what an engine gets, in the engine's own format. Received: --json with it. Leave out --json."
        )
    extra = ("--use-local",) if use_local else ()
    count = workforce.count(workforce.seats())
    print(
        preview(name, context.storage, context.home, context.tracking, count, workforce.placement, extra),
        end="",
    )
    return 0


def print_served(served: Served, context: Context) -> int:
    """Print what came of a launch, and return the exit code of a user's command."""
    if served.launch is not None:
        return report_placed(served, served.launch, context)
    if served.end is None:
        return report_stored(served, context)
    return conclude(served, served.end, context)


def conclude(served: Served, end: ServiceEnd, context: Context) -> int:
    """Print the summary, or why there is none, and return the exit code."""
    study = studies.load_study(served.engine, served.study.name)
    trials = overview.list_trials(served.engine, study.id)
    if context.as_json:
        ended: Launched = {
            **study_status(study, served.database, served.engine),
            "verdict": verdict_data(served.engine, study),
        }
        print_document(ended)
    else:
        print_summary(study, trials, served.engine)
    err = stderr_console()
    if end.curves_behind:
        err.print(
            f"MLflow lacks some curves: {end.curves_behind}. They are safe in Postgres; to send what it takes: "
            f"optselect sync {study.name}",
            style="yellow",
            soft_wrap=True,
        )
    if study.state != "finished":
        return print_unfinished(study, trials, end, err)
    return 0 if standing(study, trials).search.best is not None else no_usable_trial(trials, err)


def print_summary(study: StoredStudy, trials: Sequence[overview.TrialRow], engine: Engine) -> None:
    """What was trained, how, and what to type next; the verdict comes last."""
    out, finished = stdout_console(), study.state == "finished"
    out.print(summary(study, trials))
    out.print(SINGLE_RUNS, style="dim")
    for line in ways_lines(trials, debug="OPTSELECT_DEBUG" in os.environ):
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"\n{next_commands(study, finished)}", soft_wrap=True)
    if finished:
        print_verdict(engine, study, out)


def print_verdict(engine: Engine, study: StoredStudy, out: Console) -> None:
    """The verdict as the last thing that is printed; a study that compares nothing has none."""
    from optselect.search.report.verdict_page import short_verdict

    if not stored_spec(study).compares:
        return
    found = stored_findings(engine, study)
    out.print("")
    out.print(found.reason if isinstance(found, NoVerdict) else short_verdict(found))


def print_unfinished(
    study: StoredStudy, trials: Sequence[overview.TrialRow], end: ServiceEnd, err: Console
) -> int:
    """Say why a study is not finished, and return the exit code."""
    if end.code == 130:
        err.print(f"Stopped here. To go on: optselect resume {study.name}", soft_wrap=True)
        return 130
    if end.code not in (0, 75):
        err.print(
            f"The workers could not go on. The end of their log:\n{end.last_lines}",
            markup=False,
            soft_wrap=True,
        )
        return UserExit.OUR_FAILURE
    if (reason := why_no_trial_can_go_on(study, trials)) is not None:
        err.print(reason, markup=False, soft_wrap=True)
        return UserExit.INVALID
    why = f"It was {study.state} from outside" if study.state != "running" else "Not finished yet"
    err.print(f"{why}. To go on: optselect resume {study.name}", soft_wrap=True)
    return end.code or (UserExit.UNFINISHED if study.state == "running" else UserExit.DONE)


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


def no_usable_trial(trials: Sequence[overview.TrialRow], err: Console) -> int:
    reasons = [trial.message for trial in trials if trial.message]
    err.print(
        f"No trial ended with a value. The first reason: {reasons[0] if reasons else 'unknown'}", markup=False
    )
    return UserExit.NO_USABLE_TRIAL


def report_placed(served: Served, launch: Launch, context: Context) -> int:
    """Say how the engine calls the workers, and what can be done with them."""
    study = served.study
    if context.as_json:
        print_document(study_status(study, served.database, served.engine))
        return 0
    out = stdout_console()
    out.print(launch_line(launch), soft_wrap=True)
    out.print(f"objective {Objective.of(study).in_words}", soft_wrap=True)
    out.print(
        f"  optselect status {study.name}   how far it is\n  optselect logs {study.name} --follow\n"
        f"  optselect scale {study.name} {2 * launch.workers}   as many workers instead\n  optselect stop {study.name}",
        soft_wrap=True,
    )
    return 0


def report_stored(served: Served, context: Context) -> int:
    """Say that the study is stored, and who goes on with it."""
    study = served.study
    if context.as_json:
        print_document(study_status(study, served.database, served.engine))
        return 0
    out = stdout_console()
    out.print(
        f"study {study.name}: {f'{study.budget} search trials' if study.budget else 'its first runs'} stored"
        + (", training in the background" if served.detached else "")
    )
    out.print(f"objective {Objective.of(study).in_words}", soft_wrap=True)
    if served.detached:
        log = log_folder(served.database, study) / "supervisor.log"
        out.print(f"  optselect status {study.name}   how far it is\n  log: {log}", soft_wrap=True)
    else:
        out.print(
            f"  optselect resume {study.name}   train here\n  optselect worker {study.name}   join from any machine",
            soft_wrap=True,
        )
    return 0


@dataclass(frozen=True)
class TerminalView:
    """Shows on stderr how a study goes; quiet: nothing."""

    quiet: bool

    def begins(self, study: StoredStudy) -> None:
        self._print(opening(study))

    def has_workers(self, study: StoredStudy, count: int, logs: Path) -> None:
        self._print(f"{count} worker{'s' if count > 1 else ''}, logs in {logs}")

    def progress(self) -> AbstractContextManager[Refresh]:
        return progress_view(self.quiet)

    def _print(self, words: str) -> None:
        if not self.quiet:
            stderr_console().print(words, soft_wrap=True)


def opening(study: StoredStudy) -> str:
    """What is about to happen, in two lines."""
    spec = stored_spec(study)
    tuned = {name: [d.keyword for d in dimensions] for name, dimensions in spec.space.items()}
    most = max(tuned.values(), key=len)
    amount = study.budget or f"as many as fit in {spec.minutes} min:"
    what = "the learning rate of each" if most == ["learning_rate"] else f"up to {len(most)} arguments each"
    objective = Objective.of(study).in_words
    return (
        f"study {study.name}: {amount} search trials of {spec.epochs} epochs\n"
        f"{len(tuned)} optimizers, tuning {what}; objective {objective}"
    )


# --- pause and stop -----------------------------------------------------------------------------------


WHAT_HAPPENS = {
    "paused": "no trial starts any more; running trials end as usual",
    "stopped": "no trial starts any more; running trials leave with a checkpoint, within a second or, in a long "
    "epoch, within ten",
}


def print_order(name: str, state: str, context: Context) -> None:
    """Pause or stop a study and say what its running trials will do."""
    done = order(name, state, context)
    if context.as_json:
        print_document(order_json(name, done.before, done.after, done.running))
    else:
        stdout_console().print(order_line(name, done.before, done.after, done.running), soft_wrap=True)
    for line in done.left_behind:
        print(line, file=sys.stderr)


def order_json(name: str, before: str, after: str, running: int) -> Ordered:
    """What a script gets: the state, the one before, and how many trials run at this moment."""
    return {"schema": SCHEMA, "study": name, "state": after, "state_before": before, "running": running}


def order_line(name: str, before: str, after: str, running: int) -> str:
    """What a person gets.

    >>> order_line("digits", "running", "paused", 2)
    'digits is paused: no trial starts any more; running trials end as usual (2 now). To go on: optselect resume digits'
    >>> order_line("digits", "stopped", "stopped", 0)
    'digits was stopped already. To go on: optselect resume digits'
    >>> order_line("digits", "finished", "finished", 0)
    'digits is finished: nothing is to be ended. To search further: optselect resume digits --trials +24'
    """
    if after == "finished":
        return f"{name} is finished: nothing is to be ended. To search further: optselect resume {name} --trials +24"
    go_on = f"To go on: optselect resume {name}"
    if before == after:
        return f"{name} was {after} already. {go_on}"
    return f"{name} is {after}: {WHAT_HAPPENS[after]} ({running} now). {go_on}"
