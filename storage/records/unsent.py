"""What becomes of a training when the database stays away? Its state goes into a file of this machine's home.

The file holds a checkpoint and the epochs that the database has not seen. Whoever claims the ticket on this
machine sends them and goes on; on other machines the trial goes on from what the database holds. A file that
does not continue the stored curve is of no use any more and is removed.
"""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from optselect.storage.records import curves
from optselect.storage.records.checkpoint_files import write_file
from optselect.storage.records.checkpoints import Checkpoint
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.jsonb import numbers, storable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unsent:
    """A state that the database does not know yet."""

    checkpoint: Checkpoint
    rows: Sequence[EpochRow]  # the last epoch that the database has, and every later one


def folder_of(study: StoredStudy, home: Path) -> Path:
    """A folder of this very study: another database may use the same names and numbers."""
    identity = f"{study.name} {study.created_at.isoformat()}"
    return home / "unsent" / f"{study.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def keep(folder: Path, ticket_id: int, unsent: Unsent) -> Path:
    """Write the state of a ticket whole; raises OSError."""
    trial = {
        "epoch": unsent.checkpoint.epoch,
        "seconds": unsent.checkpoint.seconds,
        "sha256": hashlib.sha256(unsent.checkpoint.snapshot).hexdigest(),
        "rows": [{**vars(row), "metrics": storable(row.metrics)} for row in unsent.rows],
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("trial.json", json.dumps(trial))
        file.writestr("snapshot.npz", unsent.checkpoint.snapshot)
    return Path(write_file(str(folder), file_name(ticket_id), stream.getvalue()))


def take(engine: Engine, folder: Path, ticket_id: int) -> Unsent | None:
    """What this machine kept of a ticket, where it continues the stored curve; anything else is removed."""
    file = folder / file_name(ticket_id)
    if not file.exists():
        return None
    try:
        unsent = read(file)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("what this machine kept of the trial cannot be used: %s", error)
    else:
        if continues(curves.read_curve(engine, ticket_id), unsent.rows):
            return unsent
        log.info("what this machine kept of the trial is outdated: another worker went on with it")
    forget(folder, ticket_id)
    return None


def forget(folder: Path, ticket_id: int) -> None:
    """Remove what was kept; harmless to repeat."""
    (folder / file_name(ticket_id)).unlink(missing_ok=True)


def continues(stored: Sequence[EpochRow], rows: Sequence[EpochRow]) -> bool:
    """Tell whether rows go on where a stored curve ends: the epochs that both have must be the very same.

    >>> one, two, other = (EpochRow(1, 10, {}), EpochRow(2, 20, {}), EpochRow(1, 11, {}))
    >>> continues([one], [one, two]), continues([], [one, two])
    (True, True)
    >>> continues([other], [one, two]), continues([one], [two])  # another attempt's curve; nothing proves it ours
    (False, False)
    """
    if not rows:
        return False
    if not stored:
        return rows[0].epoch == 1
    stamps = {row.epoch: row.ts_ms for row in rows}
    common = [row for row in stored if row.epoch >= rows[0].epoch]
    return bool(common) and all(stamps.get(row.epoch) == row.ts_ms for row in common)


def read(file: Path) -> Unsent:
    with zipfile.ZipFile(file) as kept:
        trial, snapshot = json.loads(kept.read("trial.json")), kept.read("snapshot.npz")
    if hashlib.sha256(snapshot).hexdigest() != trial["sha256"]:
        raise ValueError(f"{file} does not have its hash any more")
    rows = [EpochRow(**{**row, "metrics": numbers(row["metrics"])}) for row in trial["rows"]]
    return Unsent(Checkpoint(trial["epoch"], trial["seconds"], snapshot), rows)


def file_name(ticket_id: int) -> str:
    return f"ticket-{ticket_id}.zip"
