"""Which columns do trials and epochs have in a spreadsheet or a data frame? One kind of value for each."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optselect.storage.records.curves import EpochRow
from optselect.storage.records.overview import TrialRow

Row = dict[str, Any]


def trial_rows(study: str, trials: Sequence[TrialRow]) -> list[Row]:
    """A row for each trial: what it is, how it ended, Keras's arguments as param.NAME, other numbers as result.NAME."""
    return uniform([trial_row(study, trial) for trial in trials])


def trial_row(study: str, trial: TrialRow) -> Row:
    return {
        "study": study,
        "trial": trial.trial,
        "phase": trial.phase,
        "role": trial.role,
        "optimizer": trial.optimizer,
        "state": trial.state,
        "value": trial.value,
        "epochs": trial.epochs,
        "attempts": trial.attempts,
        "seed": trial.seed,
        "started": moment(trial.started),
        "finished": moment(trial.finished),
        "seconds": trial.seconds,
        "message": trial.message,
        "mlflow_run_id": trial.mlflow_run_id,
        **{f"param.{name}": value for name, value in trial.params.items()},
        **{f"result.{name}": value for name, value in trial.result.items()},
    }


def moment(seconds: float | None) -> str | None:
    """A moment as ISO 8601 writes it.

    >>> moment(0.0)
    '1970-01-01T00:00:00+00:00'
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def epoch_rows(study: str, trials: Sequence[TrialRow], curves: Mapping[int, Sequence[EpochRow]]) -> list[Row]:
    """A row for each epoch of each trial, with all its metrics."""
    return uniform(
        [
            {
                "study": study,
                "trial": trial.trial,
                "optimizer": trial.optimizer,
                "phase": trial.phase,
                "epoch": row.epoch,
                "ended": moment(row.ts_ms / 1000),
                **row.metrics,
            }
            for trial in trials
            for row in curves.get(trial.ticket, ())
        ]
    )


def uniform(rows: Sequence[Row]) -> list[Row]:
    """The same columns in every row, None where there is nothing, and one type in each: numbers, else text.

    >>> uniform([{"a": 1, "b": True}, {"a": 0.5, "c": "x"}])
    [{'a': 1.0, 'b': True, 'c': None}, {'a': 0.5, 'b': None, 'c': 'x'}]
    """
    columns = {name: column_type(rows, name) for name in dict.fromkeys(name for row in rows for name in row)}
    return [
        {name: None if row.get(name) is None else kind(row[name]) for name, kind in columns.items()}
        for row in rows
    ]


def column_type(rows: Sequence[Row], name: str) -> type:
    types = {type(row[name]) for row in rows if row.get(name) is not None}
    if len(types) <= 1:
        return next(iter(types), str)
    return float if types <= {int, float} else str


def csv_text(rows: Sequence[Row]) -> str:
    """As a spreadsheet reads it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["study"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """As data frames read it."""
    import pyarrow  # 0.2 s, which a spreadsheet need not wait for
    from pyarrow import parquet

    body = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows), body)
    return bytes(body.getvalue().to_pybytes())
