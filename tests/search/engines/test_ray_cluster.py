"""The job that Ray gets; what a cluster makes of it is shown by `make ray`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from optselect.search.engines.order import Order
from optselect.search.engines.ray_cluster import RayCluster
from optselect.search.errors import InvalidInput

ORDER = Order(
    study="digits",
    workers=8,
    gpus=0.5,
    options={
        "address": "http://head:8265",
        "password-file": "/etc/optselect/password",
        "home": "/scratch/optselect",
    },
    environment={"OPTSELECT_STORAGE": "postgresql://ann@db.example.org/studies", "OPTSELECT_EXECUTOR": "ray"},
    folder="/home/ann/.local/share/optselect/launches/digits",
    has_password=True,
    launch=3,
)


def test_the_job_names_its_launch_and_where_the_password_lies() -> None:
    assert json.loads(RayCluster().render(ORDER)) == {
        "address": "http://head:8265",
        "entrypoint": "python -P -m optselect.search.engines.ray_driver digits 3",
        "runtime_env": {
            "env_vars": {
                **ORDER.environment,
                "RAY_DEDUP_LOGS": "0",
                "OPTSELECT_STORAGE_PASSWORD_FILE": "/etc/optselect/password",
                "OPTSELECT_HOME": "/scratch/optselect",
            }
        },
        "metadata": {"optselect_study": "digits"},
    }


def test_a_password_without_a_file_on_each_machine_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"needs --executor-option password-file=PATH"):
        RayCluster().render(replace(ORDER, options={}))
    assert "PASSWORD" not in RayCluster().render(replace(ORDER, options={}, has_password=False))


def test_a_machine_without_ray_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.job_submission", None)
    with pytest.raises(InvalidInput, match=r"pip install 'optselect\[ray\]'"):
        RayCluster().submit(ORDER)
    assert not Path(ORDER.folder).exists()
