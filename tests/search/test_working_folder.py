"""The folder where one types has no part in what we import, and every Python of ours is started so."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHADOW = "open({marks!r}, 'a').write(__name__)\n"


@pytest.mark.parametrize("pythonpath", [None, "", ".", f".{os.pathsep}", f"{os.pathsep}/nowhere"])
def test_no_module_of_the_folder_is_imported(tmp_path: Path, pythonpath: str | None) -> None:
    marks = tmp_path / "marks"
    (tmp_path / "optselect").mkdir()  # as a clone of the repository has it
    for name in ("typer", "rich", "secrets", "typing", "logging", "ctypes", "pathlib"):
        (tmp_path / f"{name}.py").write_text(SHADOW.format(marks=str(marks)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {} if pythonpath is None else {"PYTHONPATH": pythonpath}
    if pythonpath:  # an environment's own .pth files import these before we are asked
        for name in ("typing", "logging", "pathlib"):
            (tmp_path / f"{name}.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "optselect", "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:9]) == (0, "optselect"), done.stderr
    assert not marks.exists()


PASSED_ON = """
import os, sys
from optselect.search.working_folder import leave_out_working_folder
leave_out_working_folder()
print(os.environ["PYTHONPATH"], os.environ["OPTSELECT_PYTHONPATH"], os.getcwd() in sys.path, "/lib" in sys.path)
"""


def test_children_get_pythonpath_without_the_folder(tmp_path: Path) -> None:
    asked = os.pathsep.join(["", "/lib", ".", str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", PASSED_ON],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["/lib", asked, "False", "True"]


def commands_in(tree: ast.AST) -> list[list[str]]:
    """The lists and tuples that hold an option of Python's own, -m or -c."""
    found = [node.elts for node in ast.walk(tree) if isinstance(node, (ast.List, ast.Tuple))]
    words = [[ast.unparse(one).strip("'") for one in elts] for elts in found]
    return [line for line in words if {"-m", "-c"} & set(line)]


def test_every_python_of_ours_is_started_without_the_folder() -> None:
    files = [file for part in ("search", "trials", "storage") for file in (ROOT / part).rglob("*.py")]
    lines = [(file.name, line) for file in files for line in commands_in(ast.parse(file.read_text("utf-8")))]
    pythons = [(name, line) for name, line in lines if not line[0].startswith("binaries")]
    assert {name for name, _ in pythons} == {"interpreter.py", "initialise.py", "listed_code.py"}
    assert all("-P" in line for _, line in pythons)
