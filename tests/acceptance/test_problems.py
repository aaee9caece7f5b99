"""Problems of all kinds come through the same door: bundled ones, and a user's own with modules of its own."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import URL

from optselect.storage.server import embedded
from tests.service.conftest import copy_database
from tests.support.commands import Shell, await_that, shell
from tests.support.debian_data import needs_fashion
from tests.support.forked import Forks
from tests.support.homes import THROW_AWAY, throw_away_home

SMALL = ("--optimizers", "sgd", "--trials", "1", "--epochs", "1", "--seeds", "0")

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


# --- a study of one's own modules, on a server, stored first and trained later in the background ----------------------


@pytest.fixture(scope="module")
def server(prepared_cluster: Path) -> Iterator[URL]:
    """A database with a password on a server that is not the home's own."""
    with throw_away_home(prepared=prepared_cluster) as elsewhere:
        server = embedded.ensure_running(elsewhere, THROW_AWAY)
        copy_database(server, "optselect", "studies")
        copy_database(server, "mlflow", "studies_mlflow")
        yield server.set(database="studies")


@pytest.fixture(scope="module")
def here(server: URL, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell whose address names that server and whose password lies in a file."""
    top = tmp_path_factory.mktemp("own modules")
    (top / "password").write_text(f"{server.password}\n")
    plain = shell(top / "home", write_problem(top / "my code").parent)
    settings = {
        "OPTSELECT_STORAGE": f"postgresql://{server.username}@{server.host}:{server.port}/{server.database}",
        "OPTSELECT_STORAGE_PASSWORD_FILE": str(top / "password"),
    }
    return dataclasses.replace(plain, environment={**plain.environment, **settings})


def test_modules_beside_the_problem_win_though_they_bear_the_names_of_our_folders(
    here: Shell, forked: Forks
) -> None:
    stored = here.run("launch", "own net.py", *SMALL, "--epochs", "20", "--workers", "0")
    assert stored.returncode == 0, stored.stderr
    assert forked.json(here, "status", "own-net")["trials"]["waiting"] == 1


def test_a_stored_study_trains_in_the_background_without_its_folder_and_shows_no_password(
    here: Shell, server: URL, forked: Forks
) -> None:
    moved = here.folder.rename(here.folder.with_name("moved away"))
    here = dataclasses.replace(here, folder=moved.parent)
    started = time.monotonic()
    detached = here.run("resume", "own-net", "--workers", "1", "--detach")
    assert detached.returncode == 0, detached.stderr
    assert time.monotonic() - started < 60
    await_that(lambda: bool(here.training_processes("own-net")), "a trainer runs")
    (trainer,) = here.training_processes("own-net")
    for process in (trainer, psutil.Process(trainer.ppid())):
        assert str(server.password) not in " ".join(process.cmdline()) + str(process.environ())

    await_that(lambda: not trainer.is_running(), "the study ends in the background")
    status = forked.json(here, "status", "own-net")
    assert (status["state"], status["best"]["optimizer"]) == ("finished", "SGD")
    assert str(server.password) not in detached.stdout + detached.stderr + str(status)
    assert "yours: Adam" in forked.run(here, "resume", "own-net").stdout
    assert embedded.attach(here.home) is None, "the server was used by its address"


# --- the bundled problems ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "baseline"), [("digits", "Adam"), pytest.param("fashion", "RMSprop", marks=needs_fashion)]
)
def test_bundled_problems_train_and_their_own_optimizer_learns(
    at_home: Shell, forked: Forks, problem: str, baseline: str
) -> None:
    launched = forked.run(at_home, "launch", problem, *SMALL, "--objective", "val_accuracy", "--in-process")
    assert launched.returncode == 0, launched.stderr
    assert f"yours: {baseline}" in launched.stdout
    status = forked.json(at_home, "status", problem)
    assert (status["direction"], status["state"]) == ("maximize", "finished")
    own, searched = forked.json(at_home, "trials", problem)["trials"]
    assert own["phase"] == "baseline" and 0.2 < own["value"] <= 1  # ten classes: chance is 0.1
    assert searched["value"] == status["best"]["value"]
