"""How does a study leave the database? As a table for other programs, or as a bundle that proves its verdict."""

import sys
from pathlib import Path

from optselect.search.errors import InvalidInput
from optselect.search.named_file import write_named
from optselect.search.report.flat_rows import Row, csv_text, epoch_rows, parquet_bytes, trial_rows
from optselect.search.surroundings import Surroundings
from optselect.storage.records import overview
from optselect.storage.records.curves import read_curves
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.server.database import Engine, make_engine

STDOUT = Path("-")
ENDINGS = (".csv", ".parquet", ".zip")


def export(name: str, file: Path | None, with_epochs: bool, place: Surroundings) -> None:
    """Write a file whose ending says what it is, and print its name; "-" prints CSV instead."""
    file = file or Path(f"{name}.zip")
    if file != STDOUT and file.suffix.lower() not in ENDINGS:
        raise InvalidInput(
            f"FILE must end with {', '.join(ENDINGS)}, or be - for CSV on stdout. Received: {file}."
        )
    engine = make_engine(place.open())
    study = load_study(engine, name)
    if file == STDOUT:
        sys.stdout.write(csv_text(rows_of(engine, study, with_epochs)))
        return
    write_named(file, content(file.suffix.lower(), engine, study, with_epochs))
    print(file)


def content(ending: str, engine: Engine, study: StoredStudy, with_epochs: bool) -> bytes:
    if ending == ".csv":
        return csv_text(rows_of(engine, study, with_epochs)).encode()
    if ending == ".parquet":
        return parquet_bytes(rows_of(engine, study, with_epochs))
    from optselect.search.report.evidence_bundle import bundle_of  # SciPy, Plotly and Optuna cost two seconds
    from optselect.search.report.reading import evidence_of

    return bundle_of(study, evidence_of(engine, study), read_curves(engine, study.id))


def rows_of(engine: Engine, study: StoredStudy, with_epochs: bool) -> list[Row]:
    trials = overview.list_trials(engine, study.id)
    if with_epochs:
        return epoch_rows(study.name, trials, read_curves(engine, study.id))
    return trial_rows(study.name, trials)
