"""Where do the curves of a study go, and how is MLflow reached there?

MLflow is imported inside functions only, here and in all of this wing: the import costs 1.7 s of CPU, and most commands
need none of it.
"""

import logging
import os
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optselect.storage.errors import InvalidAddress
from optselect.storage.records.studies import StoredStudy
from optselect.storage.schema.initialise import ensure_mlflow
from optselect.storage.server.database import Database
from optselect.storage.tracking.access import offer_token

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the flusher itself tries again; MLflow's default hangs for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout holds our answer
}


@dataclass(frozen=True)
class Tracking:
    """Where the curves of a study go."""

    uri: str = field(repr=False)  # http://..., or MLflow's own database, with its password
    artifacts: str | None = None  # location of a new experiment's artifacts; None: the server chooses


SCHEMES = ("http", "https", "sqlite", "postgresql", "postgresql+psycopg2", "mysql", "mysql+pymysql", "mssql")


def check_tracking(address: str) -> None:
    """Refuse what MLflow cannot reach, and passwords: a study keeps its address; raises InvalidAddress."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.path):
        raise InvalidAddress(
            f"--tracking must be the address of an MLflow server, such as http://127.0.0.1:5000. "
            f"Received: {parts.scheme or address}."
        )
    if parts.password is not None:
        raise InvalidAddress(
            "--tracking must hold no password, for it is stored with the study. Received: one. "
            "Give it by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or PGPASSFILE for a database."
        )


def find_tracking(database: Database, study: StoredStudy, own: str | None) -> Tracking:
    """Where this process sends a study's curves: its own setting, else the study's, else MLflow's tables beside ours."""
    address = own or study.tracking_uri
    if address:
        check_tracking(address)  # a row may hold what no launch writes, such as a folder of this machine
        return Tracking(address)
    url = ensure_mlflow(database)
    return Tracking(url.render_as_string(hide_password=False), artifact_root(database))


def artifact_root(database: Database) -> str:
    return (database.home / "artifacts").as_uri()


def open_client(uri: str) -> "MlflowClient":
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # before the import, which reads them
    offer_token(uri)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
