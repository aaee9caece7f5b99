"""An optimizer class of one's own, from a file anywhere, goes through a whole study like Keras's."""

from pathlib import Path

import pytest

from optselect.trials.terms.bundled import resolve_problem
from tests.acceptance.test_bad_input import GOOD
from tests.support.commands import Shell
from tests.support.forked import Forks

MINE = """
import keras
from neighbour import SHARE

class Mine(keras.optimizers.Optimizer):
    def __init__(self, learning_rate, *, share=SHARE, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.share = share
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, self.share * learning_rate * gradient)
    def get_config(self):
        return {**super().get_config(), "share": self.share}
"""
BEFORE_KERAS_3 = """
import tensorflow as tf

class Momentum(tf.keras.optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, name="Momentum", **kwargs):
        super().__init__(name, **kwargs)
        self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))
    def _create_slots(self, var_list):
        for var in var_list:
            self.add_slot(var, "m")
    def _resource_apply_dense(self, grad, var):
        pass
"""
FLAGS = ("--trials", "4", "--seeds", "0", "--epochs", "2", "--in-process")


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not the problem's."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "mine.py").write_text(MINE)
    (folder / "neighbour.py").write_text("SHARE = 0.5\n")
    return folder


def test_a_class_from_elsewhere_trains_from_the_bundle_once_its_file_is_gone(
    at_home: Shell, forked: Forks, elsewhere: Path
) -> None:
    (at_home.folder / "good.py").write_text(GOOD.replace(", run_eagerly=True", ""))
    names = f"sgd,{elsewhere}/mine.py:Mine"
    launched = forked.run(at_home, "launch", "good.py", "--name", "own", "--optimizers", names, *FLAGS)
    assert launched.returncode == 0, launched.stderr
    assert "Mine: searched are learning_rate 1e-05 .. 0.1 (log)" in launched.stderr
    assert "at its default share=0.5" in launched.stderr

    for file in elsewhere.glob("*.py"):
        file.unlink()
    assert forked.run(at_home, "resume", "own", "--trials", "+2", "--workers", "0").returncode == 0
    joined = forked.run(at_home, "worker", "own")
    assert joined.returncode == 0, joined.stderr

    trials = [t for t in forked.json(at_home, "trials", "own")["trials"] if t["optimizer"] == "Mine"]
    assert [t["state"] for t in trials] == ["complete"] * 3
    page = forked.run(at_home, "show", "own", str(trials[-1]["trial"])).stdout
    assert "from mine import Mine\nMine(learning_rate=" in page
    assert f'"{elsewhere}/mine.py:Mine"' in forked.run(at_home, "show", "own").stdout


def test_the_articles_class_is_told_what_its_methods_became(at_home: Shell, forked: Forks) -> None:
    (at_home.folder / "good.py").write_text(GOOD)
    (at_home.folder / "old.py").write_text(BEFORE_KERAS_3)
    done = forked.run(at_home, "launch", "good.py", "--optimizers", "sgd,old.py:Momentum", *FLAGS)
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 2
    for words in (
        "_create_slots becomes build",
        "_resource_apply_dense becomes update_step",
        "docs/tutorials/own-optimizer.md",
    ):
        assert words in line


def test_a_class_shows_its_arguments_ranges_defaults_and_who_says_so(at_home: Shell) -> None:
    path = resolve_problem("momentum")
    (own,) = at_home.json("optimizers", f"{path}:MyMomentum")["optimizers"]
    assert own["parameters"]["momentum"] == {"default": 0.9, "shown": "0.9", "is_required": False}
    assert [dimension["keyword"] for dimension in own["tier_1"]] == ["learning_rate", "momentum"]
