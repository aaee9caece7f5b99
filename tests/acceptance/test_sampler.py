"""One model proposes whatever a study searches; Optuna's TPE is a flag away, and a study keeps the one it has."""

import json
from pathlib import Path

import pytest

from tests.acceptance.test_bad_input import GOOD
from tests.support.commands import Shell, query
from tests.support.forked import Forks

QUICK = ("--epochs", "3", "--seeds", "0")
CLASSES = """
import keras

class Kin(keras.optimizers.Adam):
    pass

class Stranger(keras.optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, name="stranger", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * keras.ops.sign(gradient))
"""
EVERYTHING = """
problem = "good.py"
optimizers = ["sgd", "adam", "classes.py:Kin", "classes.py:Stranger"]
trials = 24
epochs = 3
seeds = 0
schedule = ["constant", "cosine"]

[space.SGD]
learning_rate = {low = 1e-4, high = 30.0, log = true}
clipnorm = {low = 0.1, high = 1.0}

[[switch]]
from = "sgd"
to = "adam"
"""


@pytest.fixture
def problem(at_home: Shell) -> Shell:
    (at_home.folder / "good.py").write_text(GOOD.replace(", run_eagerly=True", ""))
    (at_home.folder / "classes.py").write_text(CLASSES)
    return at_home


def test_own_classes_switches_schedules_and_wide_ranges_are_proposed_by_the_model(
    problem: Shell, forked: Forks
) -> None:
    (problem.folder / "study.toml").write_text(EVERYTHING)
    done = forked.run(problem, "launch", "--spec", "study.toml", "--name", "all", "--in-process")
    assert done.returncode == 0, done.stderr
    trials = [one for one in forked.json(problem, "trials", "all")["trials"] if one["phase"] == "survivors"]
    assert len(trials) == 24
    assert {one["optimizer"] for one in trials} == {"SGD", "Adam", "Kin", "Stranger", "SGD_to_Adam"}
    assert not [one for one in trials if one["state"] == "failed"]
    for one in trials:
        assert one["params"], "every trial was given something"
    ((custom,),) = query(problem, "SELECT spec->'custom' FROM optselect.study WHERE name = 'all'")
    assert (custom["Kin"]["kin"], custom["Stranger"]["kin"]) == ("Adam", "")


def test_a_study_keeps_its_sampler_and_is_joined_by_whoever_names_none(problem: Shell, forked: Forks) -> None:
    first = ("launch", "good.py", "--optimizers", "sgd,adam", "--trials", "3", *QUICK, "--workers", "0")
    assert forked.run(problem, *first, "--name", "old", "--sampler", "tpe").returncode == 0
    again = forked.run(problem, *first, "--name", "old")
    assert again.returncode == 0, again.stderr
    refused = forked.run(problem, *first, "--name", "old", "--sampler", "learned")
    assert refused.returncode != 0
    assert "sampler tpe -> learned" in refused.stderr


def test_a_spec_of_before_there_was_a_choice_attaches_and_goes_on_with_tpe(
    problem: Shell, forked: Forks
) -> None:
    first = ("launch", "good.py", "--name", "before", "--optimizers", "sgd,adam", "--trials", "20", *QUICK)
    assert forked.run(problem, *first, "--sampler", "tpe", "--workers", "0").returncode == 0
    query(
        problem,
        "UPDATE optselect.study SET spec = spec - 'sampler', spec_version = 1 WHERE name = 'before' RETURNING id",
    )
    done = forked.run(problem, *first, "--in-process")
    assert done.returncode == 0, done.stderr
    phases = {one["phase"] for one in forked.json(problem, "trials", "before")["trials"]}
    assert phases == {"baseline", "quota", "survivors"}
    assert 'sampler = "tpe"' in forked.run(problem, "show", "before").stdout


def test_what_optuna_stores_tells_the_model_all_it_needs(problem: Shell, forked: Forks) -> None:
    """The baseline's class and the untrained model's value are told once, with the baseline's trial."""
    flags = ("--optimizers", "sgd,adam", "--trials", "2", *QUICK, "--in-process")
    assert forked.run(problem, "launch", "good.py", "--name", "told", *flags).returncode == 0
    rows = query(
        problem,
        """SELECT t.number, a.key, a.value_json FROM optuna.trial_user_attributes a
             JOIN optuna.trials t USING (trial_id) JOIN optuna.studies s USING (study_id)
            WHERE study_name = 'told' AND key IN ('untrained', 'optimizer_class') ORDER BY 1, 2""",
    )
    found = {(number, key): json.loads(value) for number, key, value in rows}
    assert set(found) == {(0, "optimizer_class"), (0, "untrained")}
    assert isinstance(found[0, "untrained"], float)


def test_one_good_configuration_is_found_over_all_optimizers_at_once(problem: Shell, forked: Forks) -> None:
    flags = ("--optimizers", "sgd,adam,rmsprop", "--trials", "9", "--goal", "best-config", *QUICK)
    done = forked.run(problem, "launch", "good.py", "--name", "best", *flags, "--in-process")
    assert done.returncode == 0, done.stderr
    trials = [one for one in forked.json(problem, "trials", "best")["trials"] if one["phase"] == "joint"]
    assert len(trials) == 9 and {one["optimizer"] for one in trials} <= {"SGD", "Adam", "RMSprop"}


def test_an_unknown_sampler_is_refused_in_one_line(problem: Shell, forked: Forks, tmp_path: Path) -> None:
    done = forked.run(problem, "launch", "good.py", "--sampler", "grid")
    assert done.returncode == 2
    assert "learned" in done.stderr and "tpe" in done.stderr


COSINE = """
import keras
import numpy as np

fit = {"batch_size": 32, "epochs": 3}

def model():
    net = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(3)])
    net.compile(optimizer="adam", loss=keras.losses.CosineSimilarity(), metrics=["accuracy"])
    return net

def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(160, 6)).astype("float32")
    y = np.eye(3, dtype="float32")[x[:, :3].argmax(axis=1)]
    return (x[:100], y[:100]), (x[100:], y[100:])
"""


@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy"])
def test_negative_losses_and_scores_are_searched_by_the_model(
    problem: Shell, forked: Forks, objective: str
) -> None:
    (problem.folder / "cosine.py").write_text(COSINE)
    flags = ("--optimizers", "sgd,adam", "--trials", "16", "--seeds", "0", "--objective", objective)
    done = forked.run(problem, "launch", "cosine.py", "--name", objective, *flags, "--in-process")
    assert done.returncode == 0, done.stderr
    trials = forked.json(problem, "trials", objective)["trials"]
    sign = 1 if objective == "val_loss" else -1
    costs = {
        phase: [sign * t["value"] for t in trials if t["phase"] == phase and t["value"] is not None]
        for phase in ("baseline", "survivors")
    }
    assert len(costs["survivors"]) >= 12
    assert min(costs["survivors"]) < costs["baseline"][0], "better than the user's own optimizer"
