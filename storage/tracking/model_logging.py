"""How does a Keras model get into MLflow, as a model that its registry and its servers know?

The one place that uses MLflow's Keras flavour, which loads TensorFlow: only the process of model_logging runs it.
"""

import importlib.metadata
import os
from dataclasses import dataclass
from typing import Any

from optselect.storage.tracking.access import offer_token
from optselect.storage.tracking.address import ENVIRONMENT


@dataclass(frozen=True)
class Entry:
    """What a registry is told of a model."""

    name: str
    study: str
    description: str  # the verdict, in Markdown


def log_model(model: Any, tracking_uri: str, run_id: str, entry: Entry | None = None) -> str:
    """Log a model under a run that exists; returns MLflow's address of it, with an entry that of its new version."""
    os.environ.update(ENVIRONMENT)
    offer_token(tracking_uri)
    import mlflow
    import mlflow.keras

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    # Named here, or MLflow would start one more process to find out what the model imports.
    needed = [f"{name}=={importlib.metadata.version(name)}" for name in ("keras", "tensorflow")]
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.keras.log_model(model, name="model", pip_requirements=needed)
    return str(logged.model_uri) if entry is None else register(str(logged.model_uri), entry)


def register(model_uri: str, entry: Entry) -> str:
    """Make a new version under the entry's name, which is made where it is missing."""
    import mlflow

    version = mlflow.register_model(model_uri, entry.name, tags={"optselect.study": entry.study}).version
    mlflow.MlflowClient().update_model_version(entry.name, version, entry.description)
    return f"models:/{entry.name}/{version}"
