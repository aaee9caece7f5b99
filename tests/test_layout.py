"""The house keeps its plan: packages are listed, the front door stays narrow, light modules stay light."""

import ast
import doctest
import graphlib
import importlib
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp
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


MOST_MODULES = 14
"""In a package's own folder, without its door."""
MOST_LINES = 60
"""Of a function, with its signature and docstring."""


def code_files() -> Iterator[Path]:
    return (file for top in TOP_FOLDERS for file in sorted((ROOT / top).rglob("*.py")))


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("optselect", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(list(graphlib.TopologicalSorter(imports).static_order())) > 200  # CycleError names a circle


def test_no_folder_of_code_holds_more_modules_than_one_reads_at_a_glance() -> None:
    counted = Counter(file.parent.relative_to(ROOT) for file in code_files() if file.name != "__init__.py")
    assert not {str(folder): count for folder, count in counted.items() if count > MOST_MODULES}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{file.relative_to(ROOT)}: {node.name} has {length} lines"
        for file in code_files()
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and (length := lines_of(node)) > MOST_LINES
    ]
    assert not long


def lines_of(node: ast.FunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_the_door_of_a_wing_holds_one_sentence_and_imports_nothing() -> None:
    doors = [file for file in code_files() if file.name == "__init__.py" and file.parent.parent != ROOT]
    assert len(doors) > 20
    for door in doors:
        (said,) = ast.parse(door.read_text("utf-8")).body
        assert isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant), door


SPEAKING = ("cli",)
"""The wings that print; a child process's own main answers its parent on stdout."""
CHILDREN = ("studies/carrying.py", "studies/model_logging.py", "engines/ray_driver.py")


def test_only_the_command_line_prints() -> None:
    printing = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "search").rglob("*.py"))
        if file.relative_to(ROOT / "search").parts[0] not in SPEAKING
        and str(file.relative_to(ROOT / "search")) not in (*CHILDREN, "voice.py")
        and prints(ast.parse(file.read_text("utf-8")))
    ]
    assert not printing


def prints(tree: ast.Module) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Name) and call.id == "print" for call in calls)


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
