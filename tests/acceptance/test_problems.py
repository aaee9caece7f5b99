"""Problems of all kinds come through the same door: bundled ones, and a user's own with modules of its own."""

import os
import time
from pathlib import Path

import psutil
from sqlalchemy.engine import make_url

from tests.acceptance.commands import Shell, await_that, ended_trials
from tests.trials.debian_data import needs_fashion

SMALL = ("--optimizers", "sgd", "--trials", "1", "--epochs", "1", "--workers", "1", "--seeds", "0")

PROBLEM = '''
"""A problem whose own modules bear the names of optselect's folders."""
import search, storage
from trials import WIDTH

def model():
    import keras
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(WIDTH), keras.layers.Dense(1)])
    net.compile("adam", "mse", metrics=["mae"])
    return net

def data():
    return storage.load(40), storage.load(search.ROWS)

fit = {"epochs": 2, "batch_size": 8}
'''


def write_problem(folder: Path) -> Path:
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "__init__.py").write_text("WIDTH = 4\n")
    (folder / "search.py").write_text("ROWS = 16\n")
    (folder / "storage.py").write_text(
        "import numpy as np\n\ndef load(n):\n    x = np.linspace(0, 1, 3 * n).reshape(n, 3)\n    return x, x.sum(axis=1)\n"
    )
    (folder / "own net.py").write_text(PROBLEM)
    return folder / "own net.py"


def test_modules_beside_the_problem_win_and_travel_with_the_study(at_home: Shell) -> None:
    problem = write_problem(at_home.folder / "my code")
    launched = at_home.run("launch", str(problem), *SMALL)
    assert launched.returncode == 0, launched.stderr
    assert "yours: Adam" in launched.stdout
    (at_home.folder / "my code").rename(at_home.folder / "moved away")
    resumed = at_home.run("resume", "own-net", "--trials", "+1", "--workers", "1")
    assert resumed.returncode == 0, resumed.stderr
    assert at_home.json("status", "own-net")["trials"]["complete"] == 2


def test_a_server_is_used_by_its_address_and_its_password_stays_in_files(at_home: Shell) -> None:
    shown = at_home.run("db", "url", "--show-password").stdout.strip()
    url = make_url(shown)
    at_home.folder.joinpath("password").write_text(f"{url.password}\n")
    created = psycopg_create(shown)
    address = f"postgresql://{url.username}@{url.host}:{url.port}/{created}"
    launch = at_home.start(
        "launch", "diabetes", "--name", "remote", *SMALL, "--trials", "3", "--epochs", "30", "--storage", address,
        OPTSELECT_STORAGE_PASSWORD_FILE="password",
    )  # fmt: skip
    await_that(lambda: bool(at_home.training_processes("remote")), "a trainer runs")
    for process in [psutil.Process(launch.pid), *at_home.training_processes("remote")]:
        assert str(url.password) not in " ".join(process.cmdline()) + str(process.environ())
    output, words = launch.communicate(timeout=120)
    assert launch.returncode == 0, words
    assert str(url.password) not in output + words
    listed = at_home.run("studies", "--storage", address, OPTSELECT_STORAGE_PASSWORD_FILE="password")
    assert "remote" in listed.stdout
    assert "remote" not in at_home.run("studies").stdout


def psycopg_create(address: str) -> str:
    """A new database on the server of an address."""
    from optselect.storage.database import create_database

    name = f"server_{os.getpid()}"
    create_database(make_url(address), name)
    return name


def test_a_study_can_be_stored_now_and_trained_later_in_the_background(at_home: Shell) -> None:
    stored = at_home.run(
        "launch", "digits", "--optimizers", "adam", "--trials", "1", "--epochs", "1", "--workers", "0"
    )
    assert stored.returncode == 0, stored.stderr
    assert at_home.json("status", "digits")["trials"]["waiting"] == 1
    started = time.monotonic()
    detached = at_home.run("resume", "digits", "--workers", "1", "--detach")
    assert detached.returncode == 0, detached.stderr
    assert time.monotonic() - started < 60
    await_that(lambda: ended_trials(at_home, "digits") == 1, "the study ends in the background")
    assert at_home.json("status", "digits")["best"]["optimizer"] == "Adam"


@needs_fashion
def test_fashion_runs_on_debians_package(at_home: Shell) -> None:

    launched = at_home.run("launch", "fashion", *SMALL, "--objective", "val_accuracy")
    assert launched.returncode == 0, launched.stderr
    assert "yours: RMSprop" in launched.stdout
    status = at_home.json("status", "fashion")
    assert status["direction"] == "maximize"
    assert 0 < status["best"]["value"] <= 1
