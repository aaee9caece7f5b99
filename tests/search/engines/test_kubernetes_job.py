"""The Job that Kubernetes gets: valid to the letter of its schema, and what kubectl is asked afterwards."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from optselect.search.engines.kubernetes_job import KubernetesJob, manifest
from optselect.search.engines.order import Order
from optselect.search.errors import InvalidInput

GOLDEN = Path(__file__).with_name("golden")
SCHEMA = "1.34"
ORDER = Order(
    study="digits",
    workers=8,
    gpus=1,
    options={"image": "registry.example.org/optselect-gpu:0.1.0", "namespace": "research", "memory": "8Gi"},
    environment={
        "OPTSELECT_STORAGE": "postgresql://ann@db.example.org/studies",
        "OPTSELECT_EXECUTOR": "kubernetes",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    },
    folder="/home/ann/.local/share/optselect/launches/digits",
    has_password=True,
)
JOB = "job.batch/optselect-digits-x7k2p"


def test_the_manifest_is_to_the_letter_that_of_the_golden_file() -> None:
    assert KubernetesJob().render(ORDER) == (GOLDEN / "kubernetes.yaml").read_text()


@pytest.mark.parametrize("has_password", [True, False])
@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_every_field_of_the_manifest_is_one_that_kubernetes_knows(gpus: float, has_password: bool) -> None:
    order = replace(ORDER, gpus=gpus, has_password=has_password, study="My_net." + "x" * 90)
    rendered = yaml.safe_load(KubernetesJob().render(order))
    kubernetes_validate.validate(rendered, SCHEMA, strict=True)
    assert re.fullmatch(r"[a-z0-9-]{1,58}", rendered["metadata"]["generateName"]), (
        "a Job's name: 63 with five letters more"
    )


def test_the_schema_would_have_found_a_mistyped_field() -> None:
    job = manifest(ORDER)
    job["spec"]["paralelism"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, SCHEMA, strict=True)


def test_the_password_comes_from_a_secret_as_a_file() -> None:
    (container,) = manifest(ORDER)["spec"]["template"]["spec"]["containers"]
    named = {entry["name"]: entry["value"] for entry in container["env"]}
    assert named["OPTSELECT_STORAGE_PASSWORD_FILE"] == "/run/secrets/optselect/password"
    assert {entry["mountPath"] for entry in container["volumeMounts"]} == {
        "/dev/shm",
        "/run/secrets/optselect",
    }


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"options": {}}, "needs --executor-option image=NAME"),
        ({"options": {"image": "a", "imgae": "b"}}, r'must be one of image, namespace, .*Received: "imgae"'),
        ({"gpus": 2.0}, "must be 0 or 1 with Kubernetes"),
    ],
)
def test_what_cannot_be_a_job_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        KubernetesJob().render(replace(ORDER, **changed))


# --- kubectl ------------------------------------------------------------------------------------------

KUBECTL = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done > "$CALLS/call-$(ls "$CALLS" | wc -l)"
case "$*" in
    *create*) cat > "$CALLS/given"; echo job.batch/optselect-digits-x7k2p ;;
    *"get secret absent"*) echo 'Error from server (NotFound): secrets "absent" not found' >&2; exit 1 ;;
    *logs*) echo "[pod/optselect-digits-x7k2p-0/worker] trial 1: complete" ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "calls").mkdir()
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def call(calls: Path, number: int) -> list[str]:
    return (calls / f"call-{number}").read_text().splitlines()


def test_the_job_is_handed_in_after_its_secret_was_found(calls: Path) -> None:
    assert KubernetesJob().submit(ORDER) == JOB
    assert call(calls, 0) == ["--namespace=research", "get", "secret", "optselect-storage", "--output=name"]
    assert call(calls, 1) == ["--namespace=research", "create", "--filename=-", "--output=name"]
    assert (calls / "given").read_text() == (GOLDEN / "kubernetes.yaml").read_text()


def test_a_missing_secret_is_named_and_no_job_is_made(calls: Path) -> None:
    order = replace(ORDER, options={**ORDER.options, "secret": "absent"})
    with pytest.raises(
        InvalidInput, match=r'secrets "absent" not found.*kubectl create secret generic absent'
    ):
        KubernetesJob().submit(order)
    assert not (calls / "given").exists()


def test_completions_are_scaled_with_parallelism(calls: Path) -> None:
    assert KubernetesJob().scale(ORDER, JOB, 16) == JOB
    *words, patch = call(calls, 0)
    assert words == ["--namespace=research", "patch", JOB, "--type=merge"]
    assert json.loads(patch.removeprefix("--patch=")) == {"spec": {"parallelism": 16, "completions": 16}}


def test_a_stopped_job_is_deleted_so_that_its_pods_hear_sigterm(calls: Path) -> None:
    KubernetesJob().stop(ORDER, JOB)
    assert call(calls, 0) == ["--namespace=research", "delete", JOB, "--wait=false", "--ignore-not-found"]


def test_the_logs_are_those_of_all_pods_of_the_job(calls: Path) -> None:
    assert any("trial 1: complete" in line for line in KubernetesJob().read_logs(ORDER, JOB, 5, follow=True))
    selector = "--selector=batch.kubernetes.io/job-name=optselect-digits-x7k2p"
    asked = ["logs", selector, "--tail=5", "--prefix", "--follow", "--max-log-requests=1000"]
    assert call(calls, 0) == ["--namespace=research", *asked]
