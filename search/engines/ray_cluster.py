"""How does Ray run workers? As plain tasks of a Ray Job, whose driver lives on the cluster and outlives whoever submits.

The driver (ray_driver.py) reads in Postgres how many workers are wanted; so scaling needs no word to Ray.
"""

import contextlib
import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optselect.search.engines.order import Order, demand_known
from optselect.search.errors import InvalidInput
from optselect.storage.server.interpreter import own_python

OPTIONS = ("address", "python", "password-file", "home", "cpus")
DRIVER = "optselect.search.engines.ray_driver"
DRAIN_SECONDS = 40.0
"""Workers of a stopped study have left by then, and their driver with them."""


@dataclass(frozen=True)
class RayCluster:
    """Workers as tasks of one Ray Job; the external id is its submission id."""

    scales_by_submitting = False

    def render(self, order: Order) -> str:
        return json.dumps({"address": address(order), **job(order)}, indent=2) + "\n"

    def submit(self, order: Order) -> str:
        wanted = job(order)
        with jobs(order) as client:
            return str(client.submit_job(**wanted))

    def scale(self, order: Order, external_id: str, workers: int) -> str:
        return external_id

    def stop(self, order: Order, external_id: str) -> None:
        end = time.monotonic() + DRAIN_SECONDS
        with jobs(order) as client:
            while not client.get_job_status(external_id).is_terminal():
                if time.monotonic() > end:  # not earlier: Ray kills, and a checkpoint would be lost
                    client.stop_job(external_id)
                    return
                time.sleep(1.0)

    def read_logs(self, order: Order, external_id: str, lines: int, follow: bool) -> Iterator[str]:
        with jobs(order) as client:
            said = client.get_job_logs(external_id)
            yield from said.splitlines()[-lines:] if lines else []
            while follow and not client.get_job_status(external_id).is_terminal():
                time.sleep(1.0)
                # Whole lines: the rest of one comes with the next look.
                before, said = len(said), client.get_job_logs(external_id)
                end = said.rfind("\n") + 1
                yield from said[before:end].splitlines()
                said = said[: max(before, end)]

    def log_command(self, order: Order, external_id: str) -> str:
        return f"ray job logs --address {address(order)} --follow {external_id}"


def job(order: Order) -> dict[str, Any]:
    """What is submitted; raises InvalidInput for an option that cannot be."""
    demand_known(order, "Ray", OPTIONS)
    environment = {**order.environment, "RAY_DEDUP_LOGS": "0"}  # else equal lines of two workers are one
    if order.has_password:
        environment["OPTSELECT_STORAGE_PASSWORD_FILE"] = password_file(order)
    if "home" in order.options:
        environment["OPTSELECT_HOME"] = order.options["home"]
    launch = "LAUNCH" if order.launch is None else str(order.launch)
    return {
        "entrypoint": shlex.join(
            own_python(DRIVER, order.study, launch, python=order.options.get("python", "python"))
        ),
        "runtime_env": {"env_vars": environment},
        "metadata": {"optselect_study": order.study},
    }


def password_file(order: Order) -> str:
    if "password-file" not in order.options:
        raise InvalidInput(
            "--executor ray needs --executor-option password-file=PATH, a file on each of its machines that holds the "
            "password of the database. Received: none. Whatever is handed to Ray itself, its dashboard shows."
        )
    return order.options["password-file"]


def address(order: Order) -> str:
    """Of the cluster's dashboard, which takes jobs."""
    return order.options.get("address", "http://127.0.0.1:8265")


@contextlib.contextmanager
def jobs(order: Order) -> Iterator[Any]:
    """Ray's client for jobs; what goes wrong in the block is one line."""
    try:
        from ray.job_submission import JobSubmissionClient  # an extra, and seconds
    except ImportError:
        raise InvalidInput(
            "--executor ray needs Ray on this machine too, in the cluster's version. Received: it is not installed. "
            "Run: pip install 'optselect[ray]'"
        ) from None
    try:
        yield JobSubmissionClient(address(order))
    except (ConnectionError, RuntimeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInput(
            f"--executor-option address must name a Ray cluster that takes jobs. Received: {address(order)}, and "
            f"{said[:300]}"
        ) from error
