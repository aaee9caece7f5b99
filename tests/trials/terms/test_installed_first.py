"""A module beside the problem file is the user's, but for the names that Python and our packages need."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optselect.trials.problem.loading import import_problem
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.installed_first import (
    ASKED_FOR,
    InstalledFirst,
    lost_names,
    named_by_pythonpath,
    put_first,
)


@pytest.fixture(autouse=True)
def finders_of_before() -> Iterator[None]:
    before = sys.meta_path[:]
    yield
    sys.meta_path[:] = before


def write(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder / "problem.py"


@pytest.mark.parametrize("name", ["secrets", "random", "optuna", "sqlalchemy", "yaml", "colorsys", "numpy"])
def test_a_library_that_imports_later_finds_what_is_installed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = write(tmp_path, problem="", **{name: "raise SystemError('the wrong one')"})
    import_problem(problem)
    if name != "numpy":  # which cannot be loaded twice
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module(name)
    assert not str(found.__file__).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["helper", "data", "utils", "models", "search", "trials", "storage", "tests", "test"]
)
def test_every_other_name_is_the_users_own(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tests_of_before", sys)  # and whatever else is loaded stays
    module = import_problem(write(tmp_path, problem=f"import {name} as found", **{name: "VALUE = 1"}))
    assert module.found.VALUE == 1


@pytest.mark.parametrize("stem", ["optuna", "keras", "test", "typing", "random"])
def test_a_problem_file_may_have_any_name(tmp_path: Path, stem: str) -> None:
    write(tmp_path, **{stem: "import random, keras\nVALUE = keras.Model, random.random"})
    module = import_problem(tmp_path / f"{stem}.py")
    assert module.VALUE[0].__module__.startswith("keras")


def test_a_mistake_that_comes_of_such_a_name_is_said_to_come_of_it(tmp_path: Path) -> None:
    problem = write(tmp_path, problem="import random\nrandom.split_rows()", random="def split_rows(): ...")
    with pytest.raises(
        ProblemError, match=r"no attribute 'split_rows'.*random beside the problem file is not imported"
    ):
        import_problem(problem)


def test_only_what_the_files_import_is_told(tmp_path: Path) -> None:
    problem = write(
        tmp_path,
        problem="import random, helper\nfrom queue import Queue\nfrom .json import x",
        random="",
        helper="",
        json="",
    )
    finder = InstalledFirst(tmp_path)
    assert lost_names(finder, [problem]) == ["random"]


def test_what_pythonpath_named_of_the_working_folder_comes_behind_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ASKED_FOR, f":{tmp_path / 'here'}:")
    put_first(tmp_path, named_by_pythonpath())
    assert (sys.path[0], sys.path[-1], "" in sys.path[1:]) == (str(tmp_path), str(tmp_path / "here"), False)


def test_a_module_of_the_working_folder_is_not_found_and_why_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "only_here.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(ProblemError, match=r"only_here lies in .*PYTHONPATH=\."):
        import_problem(write(tmp_path / "inner", problem="import only_here"))
