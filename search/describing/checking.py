"""Would a launch of this problem work here? A line for each thing that it needs, with its mend."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from optselect.search.bundles.source import rows_folder
from optselect.search.context import Context
from optselect.search.describing.rehearsing import Outlook, look_ahead, rehearse, rehearsing
from optselect.search.errors import SearchError
from optselect.search.processes import devices
from optselect.search.processes.forking import Zygote
from optselect.search.processes.limits import room_here
from optselect.search.processes.supervising import default_workers
from optselect.search.spec.objective import Objective
from optselect.search.spec.study_spec import Request
from optselect.storage.errors import StorageError
from optselect.storage.schema.initialise import ensure_mlflow
from optselect.storage.server.database import Database
from optselect.storage.server.full_disk import full_disk
from optselect.storage.tracking.address import open_client
from optselect.storage.tracking.batches import cause_in_short, is_refusal
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.errors import TrialsError
from optselect.trials.terms.rehearsal import Rehearsal, Rehearsed

Find = TypeVar("Find")


@dataclass(frozen=True)
class Checked:
    """One line."""

    name: str
    is_ok: bool
    detail: str
    """What was found, or what is wrong and how to mend it."""
    is_away: bool = False
    """What fails is a server that does not answer, not what was asked."""
    is_note: bool = False
    """A launch would work, but its user should know this."""


class Attempt(NamedTuple, Generic[Find]):
    """What came of trying one thing."""

    line: Checked
    found: Find | None


def checks(request: Request, context: Context) -> Iterator[Checked]:
    """What is independent of each other is tried whatever else fails."""
    with rehearsing(request.problem) as zygote:
        database = attempt("database", context.open, words_of_database, is_away=True)
        yield database.line
        if database.found is not None:
            ask = partial(tracking_found, context, database.found)
            yield attempt("MLflow", ask, str, is_away=True).line
        yield attempt("devices", devices_found, str).line
        rows = rows_folder(context.home)
        look = partial(look_ahead, request, rows, zygote)
        outlook = attempt("model and data", look, words_of_outlook)
        yield outlook.line
        if outlook.found is not None:
            spec = outlook.found.spec
            yield Checked("loading", True, words_of_loading(outlook.found.loading_seconds))
            yield Checked("objective", True, Objective.of(spec).in_words)
            yield from notes_on(outlook.found.problem)
            yield from optimizers_found(request, outlook.found, rows, zygote)


def attempt(
    name: str, action: Callable[[], Find], words: Callable[[Find], str], is_away: bool = False
) -> Attempt[Find]:
    """A line of what an action found, with the find, or of why it could not."""
    try:
        found = action()
        return Attempt(Checked(name, True, words(found)), found)
    except (SearchError, StorageError, TrialsError, OSError) as error:
        said = full_disk(error, os.environ) or str(error)
        return Attempt(Checked(name, False, " ".join(said.split()), is_away), None)


def words_of_database(database: Database) -> str:
    where = f"embedded, in {database.home}" if database.embedded else database.masked
    return f"{where}; its tables are this version's"


def tracking_found(context: Context, database: Database) -> str:
    if context.tracking is None:
        ensure_mlflow(database)
        return "its tables lie beside ours; optselect ui shows them"
    try:
        open_client(context.tracking).search_experiments(max_results=1)
    except Exception as error:
        if not is_refusal(error):
            raise
        raise StorageError(
            f"{context.tracking} must be an MLflow server that answers. Received: {cause_in_short(error)}. "
            "Start it, or leave --tracking out: curves then lie beside our tables."
        ) from error
    return f"{context.tracking} answers"


def devices_found() -> str:
    found = devices.list_devices()
    seats = devices.seats(devices.NO_WISH, os.environ)
    workers = f"{default_workers(seats)} workers by default"
    if not found:
        return f"no GPU, {room_here().cores} cores: {workers}"
    return f"{len(found)} GPU: {', '.join(device.name for device in found)}: {workers}"


def words_of_outlook(outlook: Outlook) -> str:
    problem = outlook.problem
    steps = f", {problem.steps_per_epoch} batches an epoch" if problem.steps_per_epoch else ""
    return f"{problem.parameters:,} weights{steps}; metrics {', '.join(problem.metrics)}"


def words_of_loading(seconds: Mapping[str, float]) -> str:
    """How long each part of the user's code took.

    >>> words_of_loading({"net.py": 0.02, "data()": 12.0, "model()": 0.41})
    'net.py took 0.02 s, data() 12 s, model() 0.41 s'
    """
    parts = [
        f"{part}{' took' if place == 0 else ''} {s:.2g} s" for place, (part, s) in enumerate(seconds.items())
    ]
    return ", ".join(parts)


def notes_on(problem: ProblemDescription) -> Iterator[Checked]:
    """What a user must know although a launch would work."""
    if problem.seeds_note:
        yield Checked("seeds", True, problem.seeds_note, is_note=True)
    if problem.modules_note:
        yield Checked("module names", True, problem.modules_note, is_note=True)


def optimizers_found(
    request: Request, outlook: Outlook, rows: Path, zygote: Zygote | None
) -> Iterator[Checked]:
    """A line for each optimizer."""
    try:
        found: Rehearsal = rehearse(request, outlook, rows, zygote)
    except TrialsError as error:
        yield Checked("optimizers", False, " ".join(str(error).split()))
        return
    own = f"yours: {outlook.problem.baseline.optimizer}"
    for name, one in found.optimizers.items():
        yield Checked(own if name == BASELINE else name, one.is_sound, said_of(one))


def said_of(one: Rehearsed) -> str:
    """What a few steps showed.

    >>> said_of(Rehearsed("complete", "", 3, "the callback Mine has on_batch_end", True, 1.0, 0.1))
    'trains, resumes from a checkpoint; step 3 of 4: the callback Mine has on_batch_end'
    >>> said_of(Rehearsed("complete", "", 1, "", False, 1.0, 0.1))
    'a training resumed from its checkpoint must give the same numbers. Received: others. Keep all state in variables \
of the model or its optimizer; till then: leave it out by --optimizers'
    """
    if one.outcome == "failed":
        return (
            f"it must train a step. Received: {one.message}. Mend the model, or leave it out by --optimizers"
        )
    if one.is_restored is False:
        return (
            "a training resumed from its checkpoint must give the same numbers. Received: others. Keep all state in "
            "variables of the model or its optimizer; till then: leave it out by --optimizers"
        )
    how = "trains" if one.outcome == "complete" else f"diverges at its defaults ({one.message})"
    goes_on = ", resumes from a checkpoint" if one.is_restored else ""
    way = f"step {one.step} of 4" + (f": {one.step_reason}" if one.step_reason else ", the fastest")
    return f"{how}{goes_on}; {way}"
