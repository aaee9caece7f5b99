"""How does Kubernetes run workers? As the pods of an Indexed Job, which kubectl hands in.

The supervisor inside a pod starts its worker again, so that an exit code of the contract costs no try of the Job; the Job
replaces pods that are lost with their node.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from optselect.search.engines.order import (
    Order,
    demand_known,
    demand_whole_gpus,
    lines_of,
    run_program,
)
from optselect.search.errors import InvalidInput
from optselect.search.exit_codes import WorkerExit

OPTIONS = ("image", "namespace", "context", "secret", "cpu", "memory", "shm", "service-account")
DEFAULTS = {"secret": "optselect-storage", "cpu": "1", "memory": "4Gi", "shm": "1Gi"}
PASSWORD_FOLDER = "/run/secrets/optselect"
ACCOUNT = 10001
"""The one of our images."""
GRACE_SECONDS = 60
WEEK_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class KubernetesJob:
    """Workers as pods of one Job; the external id is `job.batch/NAME`."""

    scales_by_submitting = False

    def render(self, order: Order) -> str:
        return str(yaml.safe_dump(manifest(order), sort_keys=False))

    def submit(self, order: Order) -> str:
        text, kubectl = self.render(order), kubectl_of(order)
        if order.has_password:
            self._demand_secret(order)
        return run_program([*kubectl, "create", "--filename=-", "--output=name"], text)

    def scale(self, order: Order, external_id: str, workers: int) -> str:
        # Both together, or the API server refuses it: an Indexed Job is elastic only while they are equal.
        patch = json.dumps({"spec": {"parallelism": workers, "completions": workers}})
        run_program([*kubectl_of(order), "patch", external_id, "--type=merge", f"--patch={patch}"])
        return external_id

    def stop(self, order: Order, external_id: str) -> None:
        run_program([*kubectl_of(order), "delete", external_id, "--wait=false", "--ignore-not-found"])

    def read_logs(self, order: Order, external_id: str, lines: int, follow: bool) -> Iterator[str]:
        return lines_of(logs_command(order, external_id, lines, follow))

    def log_command(self, order: Order, external_id: str) -> str:
        return " ".join(logs_command(order, external_id, 20, follow=True))

    def _demand_secret(self, order: Order) -> None:
        """Without it the pods would wait for ever, and only their events would say for what."""
        name = option(order, "secret")
        try:
            run_program([*kubectl_of(order), "get", "secret", name, "--output=name"])
        except InvalidInput as error:
            raise InvalidInput(
                f"The password of the database must lie in Secret {name} under the key password. Received: {error} "
                f"Make it: kubectl create secret generic {name} --from-file=password=FILE"
            ) from error


def kubectl_of(order: Order) -> list[str]:
    """kubectl, for the cluster and namespace that are meant."""
    named = [f"--{name}={order.options[name]}" for name in ("context", "namespace") if name in order.options]
    return ["kubectl", *named]


def logs_command(order: Order, external_id: str, lines: int, follow: bool) -> list[str]:
    job = external_id.partition("/")[2]
    asked = [f"--selector=batch.kubernetes.io/job-name={job}", f"--tail={lines}", "--prefix"]
    # kubectl follows five pods unless it is told otherwise.
    return [
        *kubectl_of(order),
        "logs",
        *asked,
        *(["--follow", "--max-log-requests=1000"] if follow else []),
    ]


def option(order: Order, name: str) -> str:
    return order.options.get(name) or DEFAULTS[name]


def manifest(order: Order) -> dict[str, Any]:
    """The Job; raises InvalidInput for an option that cannot be."""
    demand_known(order, "Kubernetes", OPTIONS)
    demand_whole_gpus(order, "Kubernetes")
    if not order.options.get("image"):
        raise InvalidInput(
            "--executor kubernetes needs --executor-option image=NAME, an image built from our Dockerfile that the "
            "cluster can pull. Received: none."
        )
    namespace = {"namespace": order.options["namespace"]} if "namespace" in order.options else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"optselect-{as_name(order.study)}-",
            **namespace,
            "labels": {"app.kubernetes.io/name": "optselect"},
            "annotations": {"optselect/study": order.study},
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": order.workers,
            "parallelism": order.workers,
            "backoffLimitPerIndex": 20,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": WEEK_SECONDS,
            "podFailurePolicy": {"rules": failure_rules()},
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": "optselect"}},
                "spec": pod(order),
            },
        },
    }


def as_name(study: str) -> str:
    """A study's name within the name of a Job, which gets some letters more and allows fewer of them.

    >>> as_name("My_net.2")
    'my-net-2'
    """
    return re.sub(r"[^a-z0-9]+", "-", study.lower())[:40].strip("-") or "study"


def failure_rules() -> list[dict[str, Any]]:
    """A lost node is nobody's fault; what would end the same way everywhere ends the Job."""
    codes = {"containerName": "worker", "operator": "In", "values": [int(WorkerExit.MISCONFIGURED)]}
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": codes},
    ]


def pod(order: Order) -> dict[str, Any]:
    account = order.options.get("service-account")
    secret = {"secretName": option(order, "secret"), "defaultMode": 0o440}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        **({"serviceAccountName": account} if account else {}),
        "securityContext": {"runAsNonRoot": True, "runAsUser": ACCOUNT, "fsGroup": ACCOUNT},
        "containers": [container(order)],
        "volumes": [
            # TensorFlow's collectives and data workers want more than the usual 64 MB.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": option(order, "shm")}},
            *([{"name": "password", "secret": secret}] if order.has_password else []),
        ],
    }


def container(order: Order) -> dict[str, Any]:
    environment = dict(order.environment)
    if order.has_password:
        environment["OPTSELECT_STORAGE_PASSWORD_FILE"] = f"{PASSWORD_FOLDER}/password"
    wanted: dict[str, Any] = {"cpu": option(order, "cpu"), "memory": option(order, "memory")}
    gpus = {"nvidia.com/gpu": int(order.gpus)} if order.gpus else {}
    return {
        "name": "worker",
        "image": order.options["image"],
        "args": order.worker_arguments,  # behind the entry point of our image
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": wanted, "limits": {"memory": wanted["memory"], **gpus}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},
            *(
                [{"name": "password", "mountPath": PASSWORD_FOLDER, "readOnly": True}]
                if order.has_password
                else []
            ),
        ],
    }
