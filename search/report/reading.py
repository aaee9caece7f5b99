"""What does `optselect report` read, and where does the verdict go: a terminal, JSON, a page, a script?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from optselect.search.documents import print_document
from optselect.search.errors import InvalidInput
from optselect.search.named_file import write_named
from optselect.search.report.chosen_code import chosen_code, chosen_script
from optselect.search.report.verdict_page import answer_json, verdict_page
from optselect.search.surroundings import Surroundings
from optselect.search.verdict.findings import Findings, demand_verdict, find
from optselect.search.verdict.record import Record, read_record
from optselect.storage.records.curves import read_metric
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.server.database import Engine, make_engine

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
