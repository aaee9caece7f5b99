"""What does `optselect report` read, and where does the verdict go: a terminal, JSON, a page, a script?"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from optselect.search.documents import print_document
from optselect.search.errors import InvalidInput
from optselect.search.named_file import write_named
from optselect.search.report.chosen_code import chosen_code, chosen_script
from optselect.search.report.publishing import publish
from optselect.search.report.sentences import words_of
from optselect.search.report.verdict_page import answer_json, verdict_page
from optselect.search.spec.study_spec import StudySpec
from optselect.search.studies.describing import stored_description
from optselect.search.studies.launching import Surroundings
from optselect.search.studies.model_logging import Order, log_in_a_process
from optselect.search.studies.source import find_source
from optselect.search.verdict.findings import Findings, Record, find
from optselect.storage.errors import NotFound
from optselect.storage.records import overview
from optselect.storage.records.curves import read_metric
from optselect.storage.records.model_files import model_folder, read_model
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.server.database import Engine, make_engine
from optselect.storage.tracking.flusher import connect, find_tracking
from optselect.storage.tracking.model_logging import Entry

if TYPE_CHECKING:
    from optselect.search.verdict.insight import Curves


@dataclass(frozen=True)
class Evidence:
    """What a report is made of, from a database or from a file."""

    record: Record
    sources: Mapping[str, str]
    """The problem's files, by path."""
    curves: "Callable[[], Curves]"
    """Of the objective."""

    def demand_findings(self) -> Findings:
        """The verdict; raises InvalidInput where there is none."""
        return demand_verdict(find(self.record))


def stored_evidence(name: str, place: Surroundings) -> Evidence:
    """What the database has of a study."""
    engine = make_engine(place.open())
    return evidence_of(engine, load_study(engine, name))


def evidence_of(engine: Engine, study: StoredStudy) -> Evidence:
    def curves() -> "Curves":
        return read_metric(engine, study.id, study.objective)

    return Evidence(read_record(engine, study), study.bundle, curves)


def print_report(evidence: Evidence, as_json: bool, console: Console) -> None:
    """The verdict as a page or as JSON, or why there is none."""
    found = find(evidence.record)
    if as_json:
        print_document(answer_json(evidence.record.name, found))
    else:
        console.print(found if isinstance(found, str) else verdict_page(found))


def print_code(evidence: Evidence, script: bool, optimizer: str | None) -> None:
    """The optimizer to use (or another that was compared) as code, or a whole script that trains with it."""
    found = evidence.demand_findings()
    if optimizer:
        optimizer = compared_name(found, optimizer)
    code = (
        chosen_script(found, evidence.sources, optimizer) if script else chosen_code(found, optimizer) + "\n"
    )
    print(code, end="")


def compared_name(found: Findings, typed: str) -> str:
    """The finalist that was meant; raises InvalidInput."""
    names = [finalist.name for finalist in found.finalists]
    for name in names:
        if name.lower() == typed.lower():
            return name
    raise InvalidInput(
        f"--optimizer must be one that was compared: {', '.join(names)}. Received: {typed}. `optselect report "
        f"{found.record.name}` shows their ranking."
    )


def write_page(evidence: Evidence, file: Path) -> None:
    """The verdict as one HTML file."""
    write_named(file, html_page(evidence.demand_findings(), evidence.curves()).encode())
    print(file)


def html_page(found: Findings, curves: "Curves") -> str:
    """The verdict with all its figures."""
    from optselect.search.report.html_page import Page  # Plotly and Optuna cost a second

    return Page.of(found, curves).html()


def log_model(name: str, registered: str | None, place: Surroundings) -> None:
    """Hand the model of the best final run of the one to use to MLflow, beside the verdict, and to its registry."""
    database = place.open()
    engine = make_engine(database)
    study = load_study(engine, name)
    found = demand_verdict(find(read_record(engine, study)))
    body = best_model(found, model_folder(study, database.home))
    target = find_tracking(database, study, place.tracking)
    run_id = publish(connect(engine, study, target))
    assert run_id is not None, "a study with a verdict has a run of it"
    source = find_source(study, database.home, use_local=False)
    entry = None if registered is None else Entry(registered, name, described(found))
    print(log_in_a_process(Order(str(source), target.uri, run_id, entry), body, dict(os.environ)))


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


def demand_verdict(found: Findings | str) -> Findings:
    if isinstance(found, str):
        raise InvalidInput(found)
    return found


def read_record(engine: Engine, study: StoredStudy) -> Record:
    """Everything that is stored of a study and that a report needs."""
    return Record(
        name=study.name,
        spec=StudySpec.model_validate(study.spec),
        problem=stored_description(study),
        budget=study.budget,
        finished=study.state == "finished",
        decisions=study.decisions,
        trials=overview.list_trials(engine, study.id),
    )
