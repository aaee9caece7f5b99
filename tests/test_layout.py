"""The house keeps its plan: packages are listed, the front door stays narrow, light modules stay light."""

import doctest
import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import optselect
from optselect.search.cli.commands.examples import EXAMPLES

ROOT = Path(__file__).resolve().parent.parent
TOP_FOLDERS = ("search", "trials", "storage", "examples")
MODULES = [
    ".".join(("optselect", *file.relative_to(ROOT).with_suffix("").parts))
    for top in ("search", "trials", "storage")
    for file in sorted((ROOT / top).rglob("*.py"))
    if "migrations" not in file.parts
]
LIGHT = [
    "optselect.search.cli.app",
    "optselect.search.spec.study_spec",
    "optselect.search.spec.catalogue",
    "optselect.search.studies.launching",
    "optselect.search.studies.joining",
    "optselect.search.cli.looking",
    "optselect.search.processes.local",
    "optselect.storage.tracking.flusher",
]


def test_every_code_folder_is_listed_in_pyproject() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {file.parent.relative_to(ROOT) for top in TOP_FOLDERS for file in (ROOT / top).rglob("*.py")}
    assert set(listed) == {"optselect"} | {".".join(("optselect", *folder.parts)) for folder in found}


def test_the_front_door_holds_its_seven_entries_and_no_code() -> None:
    entries = {entry.name for entry in (ROOT / "optselect").iterdir() if entry.name != "__pycache__"}
    assert entries == {"__init__.py", "__main__.py", "py.typed", *TOP_FOLDERS}
    assert all((ROOT / "optselect" / top).is_symlink() for top in TOP_FOLDERS)


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == optselect.__version__
    assert f"## {optselect.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_bears_a_name_that_shadows_another_module() -> None:
    files = {file.stem for top in TOP_FOLDERS for file in (ROOT / top).rglob("*.py")} - {"__init__"}
    others = {
        "keras",
        "tensorflow",
        "optuna",
        "mlflow",
        "sqlalchemy",
        "alembic",
        "numpy",
        "typer",
        "rich",
        "ray",
    }
    assert not files & (set(sys.stdlib_module_names) | others)


def imported_by(module: str) -> set[str]:
    """The modules that one import loads, in a fresh process."""
    code = f"import {module}, sys; print('\\n'.join(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_a_process_that_does_not_train_imports_no_tensorflow_and_no_mlflow(module: str) -> None:
    assert not imported_by(module) & {"tensorflow", "keras", "mlflow"}


HELPS = """
import sys
from optselect.search.cli.app import COMMANDS, DATABASE, main
names = [function.__name__ for functions in COMMANDS.values() for function in functions]
for words in ([], ["db"], *([name] for name in names), *(["db", function.__name__] for function in DATABASE)):
    sys.argv = ["optselect", *words, "--help"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0
print("modules:", *sys.modules)
"""


def test_no_commands_help_imports_a_library_of_the_search_or_reads_values() -> None:
    done = subprocess.run([sys.executable, "-c", HELPS], capture_output=True, text=True, check=True)
    helps, _, modules = done.stdout.rpartition("modules: ")
    assert helps.count("Usage: optselect") == 2 + len(EXAMPLES)
    loaded = set(modules.split())
    assert "typer" in loaded
    assert not loaded & {
        "tensorflow",
        "keras",
        "mlflow",
        "optuna",
        "sqlalchemy",
        "pydantic",
        "numpy",
        "psycopg2",
    }


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_hold(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
