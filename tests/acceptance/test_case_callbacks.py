"""Callbacks of public bug reports: what they share with the loss, what they set, write and measure."""

import csv
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.commands import Shell, await_that, holds
from tests.support.forked import Forks
from tests.support.plain_fit import copied_case, curve_of, plain_curve

TINY = ("--optimizers", "sgd,adam", "--trials", "2", "--seeds", "0", "--in-process")

EPOCHS = """
    SELECT count(*) >= 2 FROM optselect.epoch_log e JOIN optselect.ticket t ON t.id = ticket_id
      JOIN optselect.study s ON s.id = study_id WHERE s.name = %s"""


def test_a_weight_that_a_callback_raises_is_seen_by_the_loss_also_in_a_trial_that_goes_on(
    at_home: Shell, forked: Forks
) -> None:
    copied_case(at_home.folder, "kl_anneal")
    with forked.start(at_home, "launch", "kl_anneal.py", *TINY, PAUSE="0.4") as launch:
        await_that(lambda: holds(at_home, EPOCHS, "kl_anneal"), "two epochs are stored")
        launch.signal(signal.SIGINT)
        assert launch.end() == 130, launch.words()
    assert forked.run(at_home, "worker", "kl_anneal").returncode == 0

    seed, curve = curve_of(forked, at_home, "kl_anneal")
    plain = plain_curve(forked, at_home, "kl_anneal", seed)
    assert [epoch["raised"] for epoch in plain] == [1, 2, 3, 4, 5, 6] and plain[5]["val_loss"] > plain[0][
        "val_loss"
    ]
    assert curve == plain
    rows = forked.json(at_home, "trials", "kl_anneal")["trials"]
    assert {row["step"] for row in rows} == {1} and rows[0]["attempts"] >= 1
    _, searched = curve_of(forked, at_home, "kl_anneal", "survivors")
    assert [epoch["raised"] for epoch in searched] == [1, 2, 3, 4, 5, 6], "each trial begins anew"


def test_files_of_keras_callbacks_lie_below_a_folder_of_each_trial(at_home: Shell, forked: Forks) -> None:
    copied_case(at_home.folder, "shared_paths")
    launch = forked.run(at_home, "launch", "shared_paths.py", *TINY)
    assert launch.returncode == 0, launch.stderr
    assert (
        "note: BackupAndRestore is left out: an interrupted trial goes on from a checkpoint of its own."
        in launch.stderr
    )
    assert f"note: Notes writes to {at_home.folder}/out/notes.txt: all trials write to it" in launch.stderr
    (line,) = (line for line in launch.stderr.splitlines() if "write below a folder of each trial" in line)
    assert line.startswith("note: ModelCheckpoint and CSVLogger write below")
    assert [file.name for file in (at_home.folder / "out").iterdir()] == ["notes.txt"]

    rows = forked.json(at_home, "trials", "shared_paths")["trials"]
    assert {row["state"] for row in rows} == {"complete"}
    for row in rows:
        shown = forked.json(at_home, "show", "shared_paths", str(row["trial"]))
        files = Path(line.rpartition(": ")[2].replace("NUMBER", str(row["trial"]))) / "out"
        with (files / "log.csv").open() as table:
            assert [float(entry["loss"]) for entry in csv.DictReader(table)] == [
                epoch["loss"] for epoch in shown["curve"]
            ]
        assert sorted(file.name for file in files.iterdir()) == [
            *(f"epoch-{epoch}.keras" for epoch in (1, 2, 3)),
            "log.csv",
        ]
        keras.saving.load_model(files / "epoch-3.keras")
    assert (
        f"Files of its callbacks: {files.parent}"
        in forked.run(at_home, "show", "shared_paths", str(row["trial"])).stdout
    )
    seed, curve = curve_of(forked, at_home, "shared_paths")
    (at_home.folder / "out" / "backup").mkdir()
    assert curve == plain_curve(forked, at_home, "shared_paths", seed)
    assert forked.run(at_home, "delete", "shared_paths", "--yes").returncode == 0 and not files.exists()


def test_the_best_model_of_a_trial_names_the_optimizer_that_trained_it(at_home: Shell, forked: Forks) -> None:
    copied_case(at_home.folder, "checkpoint")
    launch = forked.run(at_home, "launch", "checkpoint.py", *TINY)
    assert launch.returncode == 0, launch.stderr
    place = next(
        line.rpartition(": ")[2] for line in launch.stderr.splitlines() if "ModelCheckpoint write" in line
    )
    x = np.random.default_rng(1).normal(size=(120, 4)).astype("float32")[80:]
    for row in forked.json(at_home, "trials", "checkpoint")["trials"]:
        saved = keras.saving.load_model(
            Path(place.replace("NUMBER", str(row["trial"]))) / "out" / "best.keras"
        )
        shown = forked.json(at_home, "show", "checkpoint", str(row["trial"]))
        best = min(shown["curve"], key=lambda epoch: epoch["val_loss"])
        assert saved.evaluate(x, x.sum(axis=1, keepdims=True), verbose=0) == pytest.approx(
            best["val_loss"], 1e-5
        )
        config = saved.optimizer.get_config()
        assert config["name"] == {"SGD": "sgd", "Adam": "adam", "baseline": "adam"}[row["optimizer"]]
        assert config["learning_rate"] == pytest.approx(
            row["params"].get(f"{row['optimizer']}.learning_rate", 0.001)
        )
        assert int(saved.optimizer.iterations) == 5 * best["epoch"] and all(map(is_plain, config.values())), (
            config
        )


def is_plain(value: object) -> bool:
    return value is None or type(value) in (bool, int, float, str)


def test_a_rate_that_a_callback_sets_for_all_trials_is_refused(at_home: Shell, forked: Forks) -> None:
    copied_case(at_home.folder, "rate_overridden")
    refused = forked.run(at_home, "launch", "rate_overridden.py", *TINY)
    assert refused.returncode == 2 and len(refused.stderr.strip().splitlines()) == 1
    assert "LearningRateScheduler sets it to 0.025 in epoch 2, whatever it was" in refused.stderr
    assert forked.run(at_home, "status", "rate_overridden").returncode == 3


def test_a_schedule_beside_a_callback_that_sets_the_rate_is_refused(at_home: Shell, forked: Forks) -> None:
    copied_case(at_home.folder, "plateau")
    refused = forked.run(at_home, "launch", "plateau.py", *TINY, "--schedule", "cosine")
    assert refused.returncode == 2 and len(refused.stderr.strip().splitlines()) == 1
    assert "the schedule cosine and ReduceLROnPlateau among the callbacks of fit" in refused.stderr
    launched = forked.run(at_home, "launch", "plateau.py", *TINY)
    assert launched.returncode == 0, launched.stderr
    seed, curve = curve_of(forked, at_home, "plateau")
    plain = plain_curve(forked, at_home, "plateau", seed)
    assert curve == [{name: epoch[name] for name in ("loss", "val_loss")} for epoch in plain]


LATE = """
import keras, numpy as np
class Late(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            self.model.optimizer.learning_rate = 1e-4
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile("sgd", loss="mse")
    return net
def data():
    x = np.random.default_rng(1).normal(size=(60, 4)).astype("float32")
    return (x[:40], x[:40, :1]), (x[40:], x[40:, :1])
fit = {"batch_size": 8, "epochs": 4, "callbacks": [Late()]}
"""


def test_a_scheduled_rate_that_is_set_late_ends_the_study_and_not_trial_after_trial(
    at_home: Shell, forked: Forks
) -> None:
    (at_home.folder / "late.py").write_text(LATE)
    ended = forked.run(
        at_home,
        "launch",
        "late.py",
        "--optimizers",
        "sgd",
        "--trials",
        "8",
        "--schedule",
        "cosine",
        "--seeds",
        "0",
        "--in-process",
    )
    assert ended.returncode == 2, ended.stderr
    assert (
        "The study is stopped: a learning rate must have one schedule. Received, in trial 1: " in ended.stderr
    )
    counts = forked.json(at_home, "status", "late")["trials"]
    assert counts["failed"] == 1 and counts["complete"] == 0 and counts["waiting"] > 4


@pytest.mark.slow
def test_rates_that_a_callback_makes_alike_late_are_a_warning(at_home: Shell, forked: Forks) -> None:
    (at_home.folder / "alike.py").write_text(LATE)
    assert (
        forked.run(
            at_home,
            "launch",
            "alike.py",
            "--optimizers",
            "sgd",
            "--trials",
            "4",
            "--sampler",
            "tpe",
            "--in-process",
        ).returncode
        == 0
    )
    report = " ".join(forked.run(at_home, "report", "alike").stdout.split())
    assert "All 4 trials of SGD ended at the learning rate 0.0001, wherever they began" in report


def test_a_score_that_a_callback_puts_into_the_logs_is_an_objective(at_home: Shell, forked: Forks) -> None:
    copied_case(at_home.folder, "score_of_a_callback")
    launched = forked.run(at_home, "launch", "score_of_a_callback.py", *TINY, "--objective", "val_f1:max")
    assert launched.returncode == 0, launched.stderr
    seed, curve = curve_of(forked, at_home, "score_of_a_callback")
    assert curve == plain_curve(forked, at_home, "score_of_a_callback", seed)
    assert forked.json(at_home, "status", "score_of_a_callback")["best"]["value"] == pytest.approx(
        max(
            row["value"]
            for row in forked.json(at_home, "trials", "score_of_a_callback")["trials"]
            if row["phase"] == "survivors"
        )
    )
