"""Which trained model is the one to use, and how does MLflow get it?"""

import os

from optselect.search.bundles.source import find_source
from optselect.search.context import Context
from optselect.search.report.chosen_code import chosen_code
from optselect.search.report.publishing import publish
from optselect.search.report.sentences import words_of
from optselect.search.studies.model_logging import LoggingTask, log_in_a_process
from optselect.search.verdict.findings import Findings, demand_verdict, find
from optselect.search.verdict.record import read_record
from optselect.storage.errors import NotFound
from optselect.storage.records.model_files import model_folder, read_model
from optselect.storage.records.studies import load_study
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.flusher import connect
from optselect.storage.tracking.model_logging import Entry


def log_best_model(name: str, registered: str | None, context: Context) -> str:
    """Hand the model of the best final run of the one to use to MLflow, beside the verdict, and to its registry; returns its address there."""
    database, engine = context.connect()
    study = load_study(engine, name)
    found = demand_verdict(find(read_record(engine, study)))
    body = best_model(found, model_folder(study, database.home))
    target = find_tracking(database, study, context.tracking)
    run_id = publish(connect(engine, study, target))
    assert run_id is not None, "a study with a verdict has a run of it"
    source = find_source(study, database.home, use_local=False)
    entry = None if registered is None else Entry(registered, name, described(found))
    return log_in_a_process(LoggingTask(str(source), target.uri, run_id, entry), body, dict(os.environ))


def described(found: Findings) -> str:
    """What a registry shows of a model, in Markdown."""
    return f"{words_of(found).answer}\n\n```python\n{chosen_code(found)}\n```"


def best_model(found: Findings, folder: str) -> bytes:
    """The file that was kept of the one whose code is shown; raises NotFound."""
    scale, finalist = found.record.scale, found.finalist(found.shown)
    complete = [run for run in finalist.runs if run.state == "complete" and run.value is not None]
    for run in sorted(complete, key=lambda run: scale.cost(run.value or 0.0)):
        if (body := read_model(folder, run.ticket)) is not None:
            return body
    raise NotFound(
        f"{folder}/models must hold a trained model of {finalist.name}. Received: none. It lies on the machine that trained "
        "it, unless --checkpoints names a place that all machines share; a model that Keras cannot save is not kept."
    )
