"""What model() loads stays for every seed, the rest begins from the seed; a file that changes is never mixed in."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from optselect.trials.describing.describe import describe
from optselect.trials.describing.opened_files import OpenedFiles
from optselect.trials.problem.initial_weights import Values
from optselect.trials.problem.loading import load_problem
from optselect.trials.problem.user_files import hash_named
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.errors import ProblemError, WeightsChanged
from optselect.trials.weights import make_weights
from optselect.trials.weights.weight_files import CHANGED, Origin, WeightFiles, have_made
from tests.support.fits import SEED, Recorder, compiled, curve_ulps, fit_by_keras, state_in, train
from tests.trials.conftest import MakeProblem, WriteProblem

BASE = """
from pathlib import Path
HERE = Path(__file__).parent
def base():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu", name="kept")], name="base")
if not (HERE / "base.weights.h5").exists():
    base().save_weights(HERE / "base.weights.h5")
def model():
    lower = base()
    lower.load_weights(HERE / "base.weights.h5")
    lower.trainable = TRAINABLE
    net = keras.Sequential([keras.Input((4,)), lower, keras.layers.Dense(1, name="head")])
    net.compile("sgd", "mse", metrics=["mae"], run_eagerly=RUN_EAGERLY)
    return net
"""
FROZEN = f"TRAINABLE = False\n{BASE}"
TUNED = f"TRAINABLE = True\n{BASE}"


def held_by(file: Path) -> list[Any]:
    """Kernel and bias in the file."""
    with h5py.File(file) as opened:
        return [opened[f"layers/dense/vars/{number}"][()] for number in range(2)]


def change(file: Path) -> None:
    """Other numbers in the same file."""
    with h5py.File(file, "r+") as opened:
        opened["layers/dense/vars/0"][...] = opened["layers/dense/vars/0"][...] + 0.25


def test_pretrained_layers_are_kept_for_every_seed_and_the_others_begin_from_it(
    make_problem: MakeProblem,
) -> None:
    problem = make_problem(TUNED)
    base = held_by(problem.path.with_name("base.weights.h5"))
    heads = []
    for seed in (3, 4):
        kernel, bias, head, head_bias = problem.initial_weights.make(seed)
        assert np.array_equal(kernel, base[0]) and np.array_equal(bias, base[1])
        keras.utils.set_random_seed(seed)
        assert np.array_equal(head, problem.make_model().get_layer("head").kernel.numpy())
        assert not head_bias.any()
        heads.append(head)
    assert not np.array_equal(heads[0], heads[1])


@pytest.mark.parametrize(("eagerly", "step"), [("False", 1), ("True", 4)])
def test_frozen_layers_stay_frozen_and_the_curve_is_that_of_keras(
    make_problem: MakeProblem, eagerly: str, step: int
) -> None:
    problem = make_problem(f"RUN_EAGERLY = {eagerly}\n{FROZEN}")
    recorder = Recorder()
    result = train(problem, "Adam", recorder, arguments={"learning_rate": 0.05})
    assert result.step is not None and result.step.number == step
    curve, state = fit_by_keras(
        compiled(
            problem, "Adam", {"learning_rate": 0.05}, loss="mse", metrics=["mae"], run_eagerly=step == 4
        ),
        problem,
    )
    assert curve_ulps(curve, result.curve) == 0
    held = state_in(recorder.last)
    assert all(np.array_equal(one, other) for one, other in zip(held, state, strict=True))
    base = held_by(problem.path.with_name("base.weights.h5"))
    assert all(np.array_equal(one, other) for one, other in zip(held[:2], base, strict=True))
    assert not np.array_equal(held[2], problem.initial_weights.make(SEED)[2])


def test_a_description_tells_what_model_reads_and_which_layers_it_loads(write_problem: WriteProblem) -> None:
    path = write_problem(
        FROZEN.replace("    lower.load", READS)
        + "files = ['checkpoint', 'my_problem.py']\ndel fit['batch_size']"
    )
    path.with_name("checkpoint").mkdir()
    for name in ("config.txt", "data.csv", "checkpoint/a.index"):
        (path.parent / name).write_text("1")
    problem, opened = load_problem(path), OpenedFiles()
    opened.listen_to(problem)
    description = describe(problem, (), opened)
    assert set(description.files) == {"base.weights.h5", "config.txt", "checkpoint", "my_problem.py"}
    assert description == ProblemDescription.from_json(json.loads(json.dumps(description.to_json())))
    assert description.weights is not None and description.weights.kept == ("base/kept/kernel",)
    assert len(description.weights.variables) == 4 and description.seeds_differ


READS = """    (HERE / "config.txt").read_text()
    (HERE / "log.txt").write_text("model() writes this")
    (HERE / "log.txt").read_text()
    Path("/proc/self/stat").read_text()
    lower.load"""


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("'base.keras'", r"files must be a list .*Received: 'base.keras'"),
        ("['base.keras']", r"base.keras, which model\(\) reads. Received: no such file in /"),
    ],
)
def test_files_that_are_no_list_or_not_there_are_refused_in_one_line(
    write_problem: WriteProblem, given: str, part: str
) -> None:
    with pytest.raises(ProblemError, match=part):
        load_problem(write_problem(f"files = {given}"))


def test_weights_are_made_only_from_the_files_and_the_beginning_that_are_described(
    write_problem: WriteProblem, tmp_path: Path
) -> None:
    path = write_problem(TUNED)
    problem = load_problem(path)
    description = describe(problem)
    seen = Origin(hash_named(["base.weights.h5"], [path.parent]), description.weights)
    unseen = Origin({}, description.weights)
    folders = [folder_of(tmp_path, path, origin) for origin in (seen, unseen, Origin())]
    assert len({files.folder for files in folders}) == 3
    arguments = [str(path), "--seeds", "0", "--folder"]
    assert make_weights.main([*arguments, str(folders[0].folder)]) == 0
    values = folders[0].read(0)
    assert values is not None and np.array_equal(values[0], held_by(path.with_name("base.weights.h5"))[0])
    change(path.with_name("base.weights.h5"))
    with pytest.raises(WeightsChanged, match=r"base.weights.h5 must be the file .*sha256"):
        have_made(path, folders[0].folder, (1,))
    assert make_weights.main([*arguments, str(folders[1].folder)]) == CHANGED
    with pytest.raises(WeightsChanged, match=r"Received: others in \S*base\w*/kept/kernel\. Restore"):
        unseen.demand(load_problem(path))
    assert not folders[0].file(1).exists() and not folders[1].is_begun


def folder_of(root: Path, path: Path, origin: Origin) -> WeightFiles:
    return WeightFiles.of(root / "kept", path, [path.name], "hash", origin)


def test_no_trial_fails_where_the_beginning_has_changed(make_problem: MakeProblem) -> None:
    def find(seed: int) -> Values:
        raise WeightsChanged("base.keras")

    problem = make_problem()
    problem.initial_weights = problem.initial_weights.found_by(find)
    with pytest.raises(WeightsChanged):
        train(problem)
