"""data() may take its time, and is called once for all processes that a command starts on a machine."""

import re
from pathlib import Path

import pytest

from tests.support.commands import Shell
from tests.support.forked import Forks

PROBLEM = """
import os, time
import keras
import numpy as np

def pause():
    time.sleep(float(os.environ.get("PAUSE_SECONDS", "0")))

pause()

def model():
    if os.environ.get("PAUSED") != str(os.getpid()):  # as a download takes its time once
        os.environ["PAUSED"] = str(os.getpid())
        pause()
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    return net

def data():
    with open(os.environ["CALLS"], "a") as calls:
        print(os.getpid(), file=calls)
    pause()
    x = np.random.default_rng(1).normal(size=(60, 3))
    y = x.sum(axis=1)
    return (x[:30], y[:30]), (x[30:45], y[30:45]), (x[45:], y[45:])

fit = {"epochs": 2, "batch_size": 10}
"""
SMALL = ("--optimizers", "sgd", "--seeds", "0")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where each call of data() leaves a line."""
    return tmp_path / "calls"


def count(calls: Path) -> int:
    return len(calls.read_text().splitlines())


def test_a_command_calls_data_once_and_the_next_one_sees_whether_it_gives_the_same(
    at_home: Shell, forked: Forks, calls: Path
) -> None:
    problem = at_home.folder / "once.py"
    problem.write_text(PROBLEM)
    own = {"CALLS": str(calls)}
    stored = forked.run(at_home, "launch", "once.py", *SMALL, "--trials", "2", "--in-process", **own)
    assert (stored.returncode, count(calls)) == (0, 1), stored.stderr
    assert forked.run(at_home, "resume", "once", "--trials", "+1", "--workers", "0").returncode == 0
    more = forked.run(at_home, "worker", "once", **own)
    assert (more.returncode, count(calls)) == (0, 2), more.stderr


def test_a_variable_that_is_no_number_and_a_name_that_is_no_files_end_a_command(
    at_home: Shell, forked: Forks
) -> None:
    (at_home.folder / "once.py").write_text(PROBLEM)
    for command, code in (("studies", 2), ("worker", 64)):
        refused = forked.run(at_home, command, OPTSELECT_LEASE_SECONDS="nan")
        assert (refused.returncode, refused.stderr.count("\n")) == (code, 1), refused.stderr
        assert (
            'OPTSELECT_LEASE_SECONDS must be a number from 0.001 to 31622400. Received: "nan".'
            in refused.stderr
        )
    refused = forked.run(at_home, "launch", "once.py", "--name", "日" * 100, "--workers", "0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "200 bytes in UTF-8" in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_users_code_may_take_longer_than_the_watchdog_waits(at_home: Shell, calls: Path) -> None:
    (at_home.folder / "longer.py").write_text(PROBLEM)
    slow = {"CALLS": str(calls), "PAUSE_SECONDS": "11", "OPTSELECT_WATCHDOG_SECONDS": "3"}
    done = at_home.run("launch", "longer.py", *SMALL, "--trials", "4", "--workers", "2", **slow)
    assert done.returncode == 0, done.stderr
    assert count(calls) == 1
    for part in ("longer.py", "data()", "model()"):
        assert re.search(rf"^loading {re.escape(part)} since 1\d s$", done.stderr, re.MULTILINE), part
