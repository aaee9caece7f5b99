"""What does `optselect report` read, and where does the verdict go: a terminal, JSON, a page, a script?"""

import json
import uuid
from pathlib import Path

from rich.console import Console

from optselect.search.chosen_code import chosen_code, chosen_script
from optselect.search.describing import stored_description
from optselect.search.errors import InvalidInput
from optselect.search.findings import Findings, Record, find
from optselect.search.launching import Surroundings
from optselect.search.spec import StudySpec
from optselect.search.verdict_page import no_verdict_json, verdict_json, verdict_page
from optselect.storage import overview
from optselect.storage.curves import read_metric
from optselect.storage.database import Engine, make_engine
from optselect.storage.studies import StoredStudy, load_study


def print_report(name: str, place: Surroundings, console: Console) -> None:
    """The verdict as a page or as JSON, or why there is none."""
    engine = make_engine(place.open())
    found = find(read_record(engine, load_study(engine, name)))
    if place.as_json:
        answer = no_verdict_json(name, found) if isinstance(found, str) else verdict_json(found)
        print(json.dumps(answer, indent=2))
    else:
        console.print(found if isinstance(found, str) else verdict_page(found))


def print_code(name: str, place: Surroundings, script: bool) -> None:
    """The optimizer to use as code, or a whole script that trains with it."""
    engine = make_engine(place.open())
    study = load_study(engine, name)
    found = demand_verdict(find(read_record(engine, study)))
    print(chosen_script(found, study.bundle) if script else chosen_code(found), end="" if script else "\n")


def write_page(name: str, place: Surroundings, file: Path) -> None:
    """The verdict as one HTML file."""
    from optselect.search.html_page import Page  # Plotly and Optuna cost a second

    engine = make_engine(place.open())
    study = load_study(engine, name)
    found = demand_verdict(find(read_record(engine, study)))
    page = Page.of(found, read_metric(engine, study.id, study.objective)).html()
    aside = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    try:
        aside.write_text(page, "utf-8")
        aside.replace(file)  # whoever opens it sees the old page or the new one
    finally:
        aside.unlink(missing_ok=True)
    print(file)


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
