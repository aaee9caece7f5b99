"""How does a Keras model get into MLflow, as a model that its registry and its servers know?

The one place that uses MLflow's Keras flavour, which loads TensorFlow: only the process of model_logging runs it.
"""

import importlib.metadata
import os
from typing import Any

from optselect.storage.tracking import ENVIRONMENT


def log_model(model: Any, tracking_uri: str, run_id: str) -> str:
    """Log a model under a run that exists; returns MLflow's address of it."""
    os.environ.update(ENVIRONMENT)
    import mlflow
    import mlflow.keras

    mlflow.set_tracking_uri(tracking_uri)
    # Named here, or MLflow would start one more process to find out what the model imports.
    needed = [f"{name}=={importlib.metadata.version(name)}" for name in ("keras", "tensorflow")]
    with mlflow.start_run(run_id=run_id):
        return str(mlflow.keras.log_model(model, name="model", pip_requirements=needed).model_uri)
