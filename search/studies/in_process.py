"""How does one step through a study with a debugger? Everything runs here: no child process, one trial at a time."""

import os
from collections.abc import Sequence
from pathlib import Path

from optselect.search.bundles.same_files import demand_same_files
from optselect.search.bundles.source import find_source, rows_folder
from optselect.search.processes.devices import NO_WISH, Seat, seats
from optselect.search.processes.local import training_environment
from optselect.search.processes.observing import observing
from optselect.search.processes.supervising import PATIENCE_SECONDS, ServiceEnd, began
from optselect.search.report.publishing import publish
from optselect.search.worker.departure import Departure
from optselect.search.worker.log import log_to_stderr
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import LEASE_SECONDS
from optselect.storage.server.database import Database, Engine
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.flusher import Flusher
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.reference import AskedClass


class InProcessDescriber:
    """Describes a problem here, where breakpoints in the user's model() and data() are hit."""

    def __init__(
        self,
        problem: Path,
        classes: Sequence[AskedClass] = (),
        jit: bool = False,
        precision: str | None = None,
        rows: Path | None = None,
    ) -> None:
        self._problem, self._classes = problem, classes
        self._jit, self._precision, self._rows = jit, precision, rows

    def result(self) -> ProblemDescription:
        """Load, build and try the problem; raises ProblemError."""
        prepare_tensorflow()
        from optselect.trials.describing.describe import describe, keeping_rows  # TensorFlow
        from optselect.trials.describing.opened_files import OpenedFiles
        from optselect.trials.problem.loading import load_problem
        from optselect.trials.state.keras_names import names_not_counted

        references = [one.reference for one in self._classes]
        with names_not_counted():  # the worker, here too, loads it anew and must find the same metrics
            problem = load_problem(
                self._problem, optimizers=references, jit=self._jit, precision=self._precision
            )
            opened = OpenedFiles()
            opened.listen_to(problem)
            description = describe(problem, self._classes, opened)
            with keeping_rows(problem, description.data_hash, self._rows):
                return description

    def close(self) -> None:
        """Nothing to end."""


def train_in_process(
    database: Database, engine: Engine, study: StoredStudy, tracking: str | None
) -> ServiceEnd:
    """Serve a study in this process until nothing is left or a signal says to leave."""
    log_to_stderr()
    prepare_tensorflow()
    departure = Departure()
    flusher = Flusher(engine, study, lambda: find_tracking(database, study, tracking), publish)
    with departure.on_signals():
        from optselect.search.worker.loop import work
        from optselect.search.worker.preparing import Assignment  # TensorFlow

        source = find_source(study, database.home, use_local=False)
        demand_same_files(study, source)
        rows, since = rows_folder(database.home), began(os.environ)
        assigned = Assignment(database, engine, study, source, LEASE_SECONDS, rows=rows, rows_since=since)
        with observing(engine, study.id):
            code = work(assigned, departure)
    flusher.close(patience_seconds=PATIENCE_SECONDS if code == 0 else 0.0)
    return ServiceEnd(code, "", flusher.behind)


def prepare_tensorflow() -> None:
    """The settings that a training process gets from its supervisor; they count before TensorFlow's import."""
    first = next(iter(seats(NO_WISH, os.environ)), Seat())
    settings = training_environment(first, os.getpid())
    settings.pop("OPTSELECT_SUPERVISOR")
    os.environ.update(settings)
