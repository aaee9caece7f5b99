"""How a trial was trained, and that it ran out of memory, stands wherever one looks for it."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import optuna
import pytest
from mlflow import MlflowClient

from tests.support.commands import Shell, shell
from tests.support.forked import Forks

GREEDY = """
import keras, numpy, tensorflow as tf

class Greedy(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if type(self.model.optimizer).__name__ == "Adam":
            tf.zeros([1 << 16, 1 << 16, 1 << 16])  # a petabyte

def model():
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    return net

def data():
    x = numpy.linspace(0, 1, 32).reshape(16, 2)
    return (x, x.sum(axis=1)), (x, x.sum(axis=1))

fit = {"epochs": 1, "batch_size": 8, "callbacks": [Greedy()]}
"""
REASON = "the callback Greedy has on_train_batch_end"


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("ways")
    (folder / "greedy.py").write_text(GREEDY)
    yield shell(acceptance_home, folder)


@pytest.fixture(scope="module")
def launched(here: Shell) -> CompletedProcess[str]:
    flags = ("--optimizers", "adam,sgd", "--trials", "2", "--seeds", "0", "--workers", "1")
    return here.run("launch", "greedy.py", *flags)


def test_after_a_trial_without_memory_a_fresh_process_trains_the_others(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    assert launched.returncode == 0, launched.stderr
    counts = forked.json(here, "status", "greedy")["trials"]
    assert (counts["complete"], counts["failed"]) == (1, 1)
    log = (here.home / "logs" / "greedy" / "worker-0.log").read_text()
    words = (
        "out of memory: ",
        "a fresh process goes on: a trial ran out of memory",
        "ready to train",
        ": complete",
    )
    places = [log.rindex(word) for word in words]
    assert places == sorted(places), log


def test_a_launch_says_which_slower_way_was_taken_and_why(launched: CompletedProcess[str]) -> None:
    assert (
        f"runs were trained by Keras's fit on a model that is kept (step 3 of 4): {REASON}\n"
        in launched.stdout
    )


def test_the_page_the_json_optuna_and_mlflow_tell_step_reason_and_cause(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    rows = forked.json(here, "trials", "greedy")["trials"]
    assert {(row["step"], row["step_reason"]) for row in rows} == {(3, REASON)}
    assert {row["optimizer"] for row in rows if row["cause"] == "oom"} == {"Adam"}
    assert (
        forked.json(here, "status", "greedy")["programs_built"]
        == sum(row["programs_built"] for row in rows)
        > 0
    )
    (failed,) = (row for row in rows if row["state"] == "failed" and row["phase"] == "survivors")

    page = forked.run(here, "show", "greedy", str(failed["trial"])).stdout
    assert "It failed: out of memory: " in page
    assert f"(step 3 of 4), made for it: {REASON}." in page

    address = forked.run(here, "db", "url", "--show-password", "--optuna").stdout.strip()
    trial = optuna.load_study(study_name="greedy", storage=address).trials[failed["trial"]]
    assert trial.user_attrs | {"step": 3, "step_reason": REASON, "cause": "oom"} == trial.user_attrs

    address = forked.run(here, "db", "url", "--show-password", "--mlflow").stdout.strip()
    tags = MlflowClient(tracking_uri=address).get_run(failed["mlflow_run_id"]).data.tags
    expected = {"optselect.step": "3", "optselect.step_reason": REASON, "optselect.cause": "oom"}
    assert tags | expected == tags
