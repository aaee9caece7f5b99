"""A supervisor carries no curves itself: it never loads MLflow, nor anything else that takes a hundred megabytes."""

import subprocess
import sys

HEAVY = ("mlflow", "tensorflow", "keras", "scipy", "numpy", "optuna", "plotly", "pandas")
SUPERVISING = f"""
import sys
import optselect.search.processes.supervising, optselect.search.processes.fleet, optselect.search.cli.looking
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_supervising_and_looking_load_neither_mlflow_nor_tensorflow_nor_numpy() -> None:
    done = subprocess.run([sys.executable, "-c", SUPERVISING], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
