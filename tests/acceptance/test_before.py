"""What one asks before a launch, from outside: does it work here, what does it cost, how do I begin?"""

import pytest

from tests.acceptance.commands import Shell, answer, query
from tests.acceptance.forked import Forks

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


def test_check_has_a_line_for_all_that_a_launch_needs(at_home: Shell) -> None:
    found = answer(at_home.run("check", "diabetes", "--optimizers", "sgd,adam", "--json"))
    assert (found["schema"], found["is_ok"]) == (1, True)
    lines = {line["name"]: line for line in found["checks"]}
    assert set(lines) == {"database", "MLflow", "devices", "model and data", "yours: SGD", "SGD", "Adam"}
    assert all(line["is_ok"] for line in lines.values())
    assert lines["Adam"]["detail"] == "trains and goes on from a checkpoint; step 1 of 4, the fastest"


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
    asked = ("plan", "diabetes", "--optimizers", "sgd", "--trials", "4", "--name", "planned", "--json")
    found = answer(at_home.run(*asked, "--epochs", "3", "--workers", "1"))
    assert (found["schema"], found["study"], found["trials"], found["workers"]) == (1, "planned", 4, 1)
    rows = {row["optimizer"]: row for row in found["optimizers"]}
    assert (rows["baseline"]["defaults"], rows["SGD"]["search"]) == (1, 4)
    assert all(row["seconds_per_epoch"] > 0 for row in rows.values())
    assert 0 < found["seconds"][0] <= found["seconds"][1]
    assert query(at_home, "SELECT count(*) FROM optselect.study WHERE name = %s", "planned") == [(0,)]


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_mistyped_optimizer_is_answered_before_anything_is_loaded(
    at_home: Shell, forked: Forks, command: str
) -> None:
    done = forked.run(at_home, command, "diabetes", "--optimizers", "adm")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'Did you mean "adam"?' in done.stderr
