"""What one asks before a launch, from outside: does it work here, what does it cost, how do I begin?"""

import runpy

import pytest

from tests.support.commands import Shell, query
from tests.support.forked import Forks

BROKEN = """
import keras
import numpy as np


def model():
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse")
    return net


def data():
    x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
    return (x, y), (x, y)
"""


def test_check_has_a_line_for_all_that_a_launch_of_what_init_wrote_needs(
    at_home: Shell, forked: Forks
) -> None:
    written = forked.run(at_home, "init", "--name", "wine", "--task", "classification")
    assert (written.returncode, written.stdout) == (
        0,
        "wine.py\nwine.toml\nnext: optselect check --spec wine.toml\n",
    )
    found = at_home.json("check", "--spec", "wine.toml", "--optimizers", "sgd,adam")
    assert (found["schema"], found["is_ok"]) == (1, True)
    lines = {line["name"]: line for line in found["checks"]}
    assert set(lines) == {
        "database",
        "MLflow",
        "devices",
        "loading",
        "model and data",
        "objective",
        "yours: Adam",
        "SGD",
        "Adam",
    }
    assert lines["objective"]["detail"] == "val_loss, less is better"
    assert all(line["is_ok"] for line in lines.values())
    assert lines["Adam"]["detail"] == "trains, resumes from a checkpoint; step 1 of 4, the fastest"


def test_check_names_what_is_wrong_and_ends_with_2(at_home: Shell) -> None:
    (at_home.folder / "broken.py").write_text(BROKEN)
    done = at_home.run("check", "broken.py")
    assert done.returncode == 2, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:4] for line in lines] == ["ok  ", "ok  ", "ok  ", "FAIL"]
    assert "broken.py: one batch of the data must train the model. Received:" in lines[-1]


def test_check_goes_on_without_a_database_and_ends_with_5(forked: Forks, at_home: Shell) -> None:
    done = forked.run(
        at_home, "check", "broken.py", "--storage", "postgresql://nobody@127.0.0.1:1/none", "--json"
    )
    assert done.returncode == 5
    assert '"name": "devices"' in done.stdout and "no such file" not in done.stderr.lower()


def test_plan_says_who_gets_what_and_stores_nothing(at_home: Shell) -> None:
    asked = ("--optimizers", "sgd", "--trials", "4", "--name", "planned", "--epochs", "3", "--workers", "1")
    found = at_home.json("plan", "diabetes", *asked)
    assert (found["schema"], found["study"], found["trials"], found["workers"]) == (1, "planned", 4, 1)
    rows = {row["optimizer"]: row for row in found["optimizers"]}
    assert (rows["baseline"]["defaults"], rows["SGD"]["search"]) == (1, 4)
    assert all(row["seconds_per_epoch"] > 0 for row in rows.values())
    assert 0 < found["seconds"][0] <= found["seconds"][1]
    assert query(at_home, "SELECT count(*) FROM optselect.study WHERE name = %s", "planned") == [(0,)]


def test_init_reads_a_table_and_names_its_columns(at_home: Shell, forked: Forks) -> None:
    (at_home.folder / "table.csv").write_text("length,colour,kind\n1.5,red,a\n2.5,blue,b\n")
    unknown = forked.run(at_home, "init", "--data", "table.csv", "--target", "knd")
    assert unknown.returncode == 2
    assert 'table.csv: length, colour, kind. Received: knd. Did you mean "kind"?' in unknown.stderr
    written = forked.json(at_home, "init", "--name", "own", "--data", "table.csv", "--task", "classification")
    assert written == {"schema": 1, "files": ["own.py", "own.toml"]}
    space = runpy.run_path(str(at_home.folder / "own.py"))
    assert (space["X"].shape, list(space["Y"])) == ((2, 3), [0, 1])


def test_init_writes_over_nothing_unless_it_is_told(at_home: Shell, forked: Forks) -> None:
    (at_home.folder / "my_problem.py").write_text("mine")
    refused = forked.run(at_home, "init")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "init writes over nothing. Received: my_problem.py, which are here already." in refused.stderr
    assert not (at_home.folder / "my_problem.toml").exists()
    assert forked.run(at_home, "init", "--force").returncode == 0
    assert "def model():" in (at_home.folder / "my_problem.py").read_text()


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_mistyped_optimizer_is_answered_before_anything_is_loaded(
    at_home: Shell, forked: Forks, command: str
) -> None:
    done = forked.run(at_home, command, "diabetes", "--optimizers", "adm")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'Did you mean "adam"?' in done.stderr
