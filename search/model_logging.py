"""What does the short process do that hands a study's best model to MLflow? Load it, log it, print its address."""

import json
import os
import subprocess
import sys
from pathlib import Path

from optselect.search.executors.devices import Seat
from optselect.search.executors.local import training_environment
from optselect.storage.errors import Unreachable


def log_in_a_process(
    body: bytes, source: Path, tracking_uri: str, run_id: str, environment: dict[str, str]
) -> str:
    """Start the process and wait for it; returns MLflow's address of the model. Raises Unreachable."""
    order = {
        "source": str(source),
        "uri": tracking_uri,
        "run": run_id,
    }  # by stdin, for the uri may hold a password
    done = subprocess.run(
        [sys.executable, "-m", "optselect.search.model_logging"],
        input=json.dumps(order).encode() + b"\n" + body,
        env={**environment, **training_environment(Seat(), os.getpid())},
        capture_output=True,
        check=False,
    )
    lines = (done.stderr if done.returncode else done.stdout).decode(errors="replace").strip().splitlines()
    if done.returncode or not lines:
        raise Unreachable(f"MLflow must take the model. Received: {lines[-1] if lines else 'nothing'}")
    return lines[-1]


def main() -> None:
    """Read the order and the model from stdin."""
    from optselect.storage.model_logging import log_model  # MLflow
    from optselect.trials.saved_model import load_model  # TensorFlow

    order = json.loads(sys.stdin.buffer.readline())
    model = load_model(sys.stdin.buffer.read(), Path(order["source"]))
    print(log_model(model, order["uri"], order["run"]))


if __name__ == "__main__":
    main()
