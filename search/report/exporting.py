"""How does a study leave the database? As a table for other programs, or as a bundle that proves its verdict."""

from optselect.search.report.flat_rows import Row, csv_text, epoch_rows, parquet_bytes, trial_rows
from optselect.storage.records import overview
from optselect.storage.records.curves import read_curves
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine

ENDINGS = (".csv", ".parquet", ".zip")


def content(ending: str, engine: Engine, study: StoredStudy, with_epochs: bool) -> bytes:
    """What a file with that ending holds."""
    if ending == ".csv":
        return csv_text(rows_of(engine, study, with_epochs)).encode()
    if ending == ".parquet":
        return parquet_bytes(rows_of(engine, study, with_epochs))
    from optselect.search.report.evidence_bundle import bundle_of  # SciPy, Plotly and Optuna cost two seconds
    from optselect.search.report.reading import evidence_of

    return bundle_of(study, evidence_of(engine, study), read_curves(engine, study.id))


def rows_of(engine: Engine, study: StoredStudy, with_epochs: bool) -> list[Row]:
    """A row for each trial, or for each of its epochs."""
    trials = overview.list_trials(engine, study.id)
    if with_epochs:
        return epoch_rows(study.name, trials, read_curves(engine, study.id))
    return trial_rows(study.name, trials)
