"""A folder full of files that are called as libraries are, under a umask that closes nothing: all works, nothing is theirs."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from optselect.storage.server.home import is_root
from tests.support.commands import Shell, shell
from tests.support.homes import throw_away_home

LIBRARIES = [
    "alembic",
    "asyncio",
    "code",
    "filelock",
    "flask",
    "grain",
    "importlib_metadata",
    "jax",
    "jinja2",
    "json",
    "keras",
    "logging",
    "mlflow",
    "numpy",
    "optuna",
    "packaging",
    "plotly",
    "psutil",
    "psycopg2",
    "pydantic",
    "queue",
    "random",
    "requests",
    "rich",
    "scipy",
    "secrets",
    "sitecustomize",
    "sklearn",
    "sqlalchemy",
    "statistics",
    "tensorflow",
    "token",
    "torch",
    "typer",
    "typing",
    "usercustomize",
    "uvicorn",
    "yaml",
]
OWN = {"helper": "helper.py", "data": "data.py", "search": "search/__init__.py", "tests": "tests/__init__.py"}
PROBLEM = """
import helper, data as rows, search, tests, keras, random, secrets
import numpy as np
assert (helper.VALUE, rows.VALUE, search.VALUE, tests.VALUE) == ("helper", "data", "search", "tests")
fit = {"epochs": 2}

def model():
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse")
    return net

def data():
    draw = np.random.default_rng(0)
    rows = [(draw.normal(size=(64, 3)), draw.normal(size=64)) for _ in range(3)]
    return tuple(rows)
"""
SMALL = ("problem.py", "--name", "shadows", "--optimizers", "sgd", "--trials", "2", "--goal", "best-config")


@pytest.fixture(scope="module")
def there(prepared_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell of its own home in such a folder; an empty entry of PYTHONPATH means that folder."""
    folder = tmp_path_factory.mktemp("shadows")
    for name in LIBRARIES:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'marks')!r}, 'a').write('{name} ')\n")
    for name, file in OWN.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(f"VALUE = {name!r}\n")
    (folder / "problem.py").write_text(PROBLEM)
    before = os.umask(0)
    with throw_away_home(prepared=prepared_cluster) as home:
        yield shell(home, folder)
    os.umask(before)


def test_check_imports_nothing_of_that_folder_and_says_which_names_are_taken(there: Shell) -> None:
    done = there.run("check", "problem.py", "--optimizers", "sgd")
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    assert "keras and numpy and random and secrets beside the problem file are not imported" in words
    assert not (there.folder / "marks").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.timeout(900)
def test_a_study_runs_through_there_and_its_home_is_closed_to_others(there: Shell) -> None:
    commands = (
        ("launch", *SMALL),
        ("resume", "shadows", "--trials", "+1", "--workers", "0"),
        ("worker", "shadows", "--slots", "1"),
        ("report", "shadows"),
        ("sync", "shadows", "--check"),
    )
    for command in commands:
        done = there.run(*command)
        assert done.returncode == 0, (command, done.stderr)
    server = there.start("ui", "shadows", "--port", "5321", "--token")
    assert server.stdout is not None and "?token=" in server.stdout.readline()
    open_to_others = opened_below(there.home)
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 0
    assert not (there.folder / "marks").exists()
    assert open_to_others == ([(".", 0o711)] if is_root() else [])


def opened_below(home: Path) -> list[tuple[str, int]]:
    """What others may read, or enter, of a home."""
    modes = [(path, path.lstat().st_mode) for path in (home, *home.rglob("*")) if not path.is_symlink()]
    return [(str(path.relative_to(home)), mode & 0o777) for path, mode in modes if mode & 0o077]
