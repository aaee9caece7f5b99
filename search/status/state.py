"""How far is a study, as one answer, and where does one see its curves?"""

import os

from optselect.search.documents import Status
from optselect.search.engines.placing import launch_json
from optselect.search.status.standing import status_json
from optselect.storage.records import overview
from optselect.storage.records.launches import live_launches
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Database, Engine
from optselect.storage.tracking.experiment import experiment_link
from optselect.storage.tracking.server import running_server


def study_status(study: StoredStudy, database: Database, engine: Engine) -> Status:
    """The answer of `status --json`."""
    trials, workers = overview.list_trials(engine, study.id), overview.list_workers(engine, study.id)
    placed = [launch_json(launch) for launch in live_launches(engine, study.id)]
    return status_json(study, trials, workers, database.masked, tracking_link(study, database), placed)


def tracking_link(study: StoredStudy, database: Database) -> str | None:
    """The study's page, where an MLflow server is known."""
    address = tracking_address(study, database)
    if address is None or study.mlflow_experiment_id is None:
        return None
    return experiment_link(address, study.mlflow_experiment_id)


def tracking_address(study: StoredStudy, database: Database) -> str | None:
    """The MLflow server of a study: the one that was named, or the one that `optselect ui` runs here."""
    own = os.environ.get("MLFLOW_TRACKING_URI") or study.tracking_uri
    if own:
        return own if own.startswith(("http://", "https://")) else None
    return running_server(database)
