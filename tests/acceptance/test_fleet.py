"""Machines that know nothing but the database's address train whatever study runs, with its own code and data only."""

import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Shell, await_that, holds, query, shell
from tests.support.forked import Forks
from tests.support.homes import throw_away_home

SMALL = ("--optimizers", "sgd", "--trials", "1", "--seeds", "0", "--goal", "best-config", "--workers", "0")

PROBLEM = """
import numpy as np
import keras

def model():
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse")
    return net

def data():
    x = np.load("numbers.npy") + np.random.rand(40, 1)  # drawn alike in every process
    return (x[:30], x[:30, :1]), (x[30:], x[30:, :1])

fit = {"epochs": 2, "batch_size": 10}
"""


@pytest.fixture(scope="module")
def own_home(prepared_cluster: Path) -> Iterator[Path]:
    with throw_away_home(prepared=prepared_cluster) as home:
        yield home


@pytest.fixture
def alone(own_home: Path, tmp_path: Path) -> Shell:
    """A shell whose database holds the studies of this file only, each finished by its test."""
    return shell(own_home, tmp_path)


def write_problem(folder: Path) -> None:
    (folder / "numbers.py").write_text(PROBLEM)
    np.save(folder / "numbers.npy", np.arange(120.0).reshape(40, 3) / 120)


def test_a_worker_trains_the_stored_source_and_refuses_another_one_or_other_data(
    alone: Shell, forked: Forks
) -> None:
    write_problem(alone.folder)
    stored = forked.run(alone, "launch", "numbers.py", *SMALL, "--trials", "2", "--in-process")
    assert stored.returncode == 0, stored.stderr

    (alone.folder / "numbers.py").write_text(PROBLEM + "# another one\n")
    refused = forked.run(alone, "worker", "numbers")
    assert refused.returncode == 64
    assert "must be the one it was launched with" in refused.stderr
    assert "--use-local" in refused.stderr

    (alone.folder / "numbers.py").unlink()  # as on another machine, where data() still finds its file
    np.save(alone.folder / "numbers.npy", np.ones((40, 3)))
    refused = forked.run(alone, "worker", "numbers")
    assert refused.returncode == 64
    assert 'data() must give the data that study "numbers" was launched with (sha256 ' in refused.stderr
    joined = forked.run(alone, "worker", "--max-idle", "1")
    assert joined.returncode == 0, joined.stderr
    assert "numbers is left to other machines. The end of its log here:" in joined.stderr
    assert joined.stderr.count("place 0 serves numbers") == 1, "it is not tried again and again"
    np.save(alone.folder / "numbers.npy", np.ones((40, 4)))
    refused = forked.run(alone, "worker", "numbers")
    assert refused.returncode == 64
    assert "Received: train: x float64(30, 4)" in refused.stderr

    np.save(alone.folder / "numbers.npy", np.arange(120.0).reshape(40, 3) / 120)
    listed = alone.folder / "trusted.txt"
    listed.write_text("0" * 64)
    few = ("numbers", "--trust", "trusted.txt", "--max-trials", "1")
    refused = forked.run(alone, "worker", *few)
    assert (refused.returncode, "listed by --only-bundles or --trust" in refused.stderr) == (64, True)
    listed.write_text(forked.json(alone, "show", "numbers")["bundle_sha256"] + "  # read and known")
    trained = forked.run(alone, "worker", *few)
    assert trained.returncode == 0, trained.stderr
    np.save(alone.folder / "numbers.npy", np.ones((40, 3)))
    trained = forked.run(alone, "worker", "numbers", "--use-local")
    assert trained.returncode == 0, trained.stderr
    assert forked.json(alone, "status", "numbers")["state"] == "finished"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_waits_for_studies_and_serves_them_side_by_side_until_it_is_told_to_leave(
    alone: Shell, forked: Forks
) -> None:
    shutil.copy(Path(__file__).parents[1] / "support" / "steady.py", alone.folder)
    slices = {"EPOCH_SECONDS": "0.1", "OPTSELECT_SLICE_SECONDS": "0.1"}
    with forked.start(alone, "worker", "--slots", "1", **slices) as joined:
        for name in ("one", "two"):
            stored = forked.run(alone, "launch", "steady.py", "--name", name, *SMALL, "--in-process")
            assert stored.returncode == 0, stored.stderr
        for name in ("one", "two"):
            await_that(partial(holds, alone, FINISHED, name), f"study {name} is finished", 200)
        joined.signal(signal.SIGTERM)
        assert joined.end() == 75, joined.words()
    assert "waiting for one" in joined.words()
    order = [row[0] for row in query(alone, ORDER)]
    assert order in (["one", "two", "one", "two"], ["two", "one", "two", "one"]), joined.words()


FINISHED = "SELECT count(*) FROM optselect.study WHERE name = %s AND state = 'finished'"
ORDER = """
    SELECT s.name FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE s.name IN ('one', 'two') ORDER BY t.started_at"""
