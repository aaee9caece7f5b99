"""What goes when a study is deleted, and how does it go so that a second try finishes what a first one began?"""

import contextlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from optselect.storage.errors import InUse
from optselect.storage.records.checkpoint_files import remove_ours
from optselect.storage.records.checkpoints import folder_for
from optselect.storage.records.studies import LOCK_STUDY, StoredStudy
from optselect.storage.records.tickets import IS_RUNNING, LEASE_SECONDS
from optselect.storage.records.trial_files import files_folder
from optselect.storage.server.database import Database
from optselect.storage.tracking.address import Tracking, open_client


@dataclass(frozen=True)
class Holdings:
    """All that is stored of a study, counted."""

    trials: int  # those that were begun
    epochs: int
    checkpoints: int
    checkpoint_bytes: int
    workers: int  # alive


HOLDINGS = text("""
    SELECT (SELECT count(*) FROM ticket WHERE study_id = :study AND attempt > 0) AS trials,
           (SELECT count(*) FROM epoch_log e JOIN ticket t ON t.id = e.ticket_id WHERE t.study_id = :study) AS epochs,
           count(c.ticket_id) AS checkpoints, coalesce(sum(c.bytes), 0)::bigint AS checkpoint_bytes,
           (SELECT count(*) FROM worker WHERE study_id = :study AND state <> 'gone'
               AND abs(extract(epoch FROM clock_timestamp() - heartbeat_at)) < :lease_seconds) AS workers
      FROM ticket t JOIN checkpoint c ON c.ticket_id = t.id WHERE t.study_id = :study""")


def read_holdings(engine: Engine, study_id: int) -> Holdings:
    """What would go."""
    values = {"study": study_id, "lease_seconds": LEASE_SECONDS}
    with engine.begin() as connection:
        return Holdings(**connection.execute(HOLDINGS, values).mappings().one())


HELD = text(f"SELECT count(*) FROM ticket WHERE study_id = :study AND {IS_RUNNING}")
CLOSE = text("UPDATE study SET state = 'stopped' WHERE id = :study AND state <> 'finished'")
DELETE = text("DELETE FROM study WHERE id = :study")


def close_study(engine: Engine, study: StoredStudy) -> None:
    """Let no worker begin anything more; raises InUse while one holds a ticket."""
    with engine.begin() as connection:
        connection.execute(LOCK_STUDY, {"study": study.id})
        held = connection.execute(HELD, {"study": study.id}).scalar_one()
        if held:
            raise InUse(
                f"No worker may train {study.name} while it is deleted. Received: {held} trials that run. First: "
                f"optselect stop {study.name}"
            )
        connection.execute(CLOSE, {"study": study.id})


def delete_experiment(study: StoredStudy, tracking: Tracking) -> None:
    """Put the experiment into MLflow's trash, under another name: a new study of the old name begins a new one."""
    client = open_client(tracking.uri)
    found = client.get_experiment_by_name(f"optselect/{study.name}")
    if found is None or found.lifecycle_stage == "deleted":
        return
    client.rename_experiment(
        found.experiment_id, f"{found.name} (deleted {datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ})"
    )
    client.delete_experiment(found.experiment_id)


def delete_files(study: StoredStudy, database: Database) -> None:
    """Remove checkpoints and models, on this machine or in a place that all share, and what callbacks wrote here."""
    remove_ours(folder_for(study, database.home))
    shutil.rmtree(files_folder(study, database.home), ignore_errors=True)  # of a link it follows none


def delete_rows(engine: Engine, database: Database, study: StoredStudy) -> None:
    """Remove the study from Optuna's tables and ours; ours go last, for the name in them finds the rest."""
    from optselect.storage.optuna_tables.storage import optuna_storage  # Optuna costs half a second

    storage = optuna_storage(database)
    with contextlib.suppress(KeyError):  # an earlier try came so far
        storage.delete_study(storage.get_study_id_from_name(study.name))
    with engine.begin() as connection:
        connection.execute(DELETE, {"study": study.id})
