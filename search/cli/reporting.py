"""Where does a verdict or a whole study go: a terminal, JSON, a page, a script, a table?"""

import sys
from pathlib import Path

from rich.console import Console

from optselect.search.cli.terminal import print_document
from optselect.search.context import Context
from optselect.search.errors import InvalidInput
from optselect.search.named_file import write_named
from optselect.search.report.chosen_code import chosen_code, chosen_script
from optselect.search.report.exporting import ENDINGS, content, rows_of
from optselect.search.report.flat_rows import csv_text
from optselect.search.report.reading import Evidence
from optselect.search.report.verdict_page import answer_json, verdict_page
from optselect.search.verdict.findings import Findings, NoVerdict, find
from optselect.storage.records.studies import load_study
from optselect.storage.server.database import make_engine

STDOUT = Path("-")


def print_report(evidence: Evidence, as_json: bool, console: Console) -> None:
    """The verdict as a page or as JSON, or why there is none."""
    found = find(evidence.record)
    if as_json:
        print_document(answer_json(evidence.record.name, found))
    else:
        console.print(found.reason if isinstance(found, NoVerdict) else verdict_page(found))


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
    from optselect.search.report.html_page import html_page  # Plotly and Optuna cost a second

    write_named(file, html_page(evidence.demand_findings(), evidence.curves()).encode())
    print(file)


# --- export -------------------------------------------------------------------------------------------


def export(name: str, file: Path | None, with_epochs: bool, context: Context) -> None:
    """Write a file whose ending says what it is, and print its name; "-" prints CSV instead."""
    file = file or Path(f"{name}.zip")
    if file != STDOUT and file.suffix.lower() not in ENDINGS:
        raise InvalidInput(
            f"FILE must end with {', '.join(ENDINGS)}, or be - for CSV on stdout. Received: {file}."
        )
    engine = make_engine(context.open())
    study = load_study(engine, name)
    if file == STDOUT:
        sys.stdout.write(csv_text(rows_of(engine, study, with_epochs)))
        return
    write_named(file, content(file.suffix.lower(), engine, study, with_epochs))
    print(file)
