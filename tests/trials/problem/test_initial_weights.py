"""A seed's initial weights are those of a fresh process, and the processes that train never make them."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock
import keras
import numpy as np
import pytest
import tensorflow as tf

from optselect.trials.data.unused_folders import forget_unused
from optselect.trials.describing.describe import main as describe
from optselect.trials.problem.initial_weights import InitialWeights
from optselect.trials.problem.loading import load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.errors import ProblemError
from optselect.trials.weights import make_weights
from optselect.trials.weights.weight_files import WeightFiles, made_by_children
from tests.support.fits import train
from tests.trials.conftest import MakeProblem, WriteProblem

DROPOUT = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, dtype="bfloat16"), keras.layers.Dropout(0.2),
                            keras.layers.Dense(1, kernel_initializer=lambda shape, dtype: tf.random.normal(shape))])
    net.compile("sgd", "mse", metrics=["mae"])
    return net
"""
SHARED = """
shared = keras.layers.Dense(6)
def model():
    net = keras.Sequential([keras.Input((4,)), shared, keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    return net
"""


@pytest.fixture
def files(tmp_path: Path) -> WeightFiles:
    return WeightFiles(tmp_path / "weights" / "one")


def test_the_short_process_gives_what_a_seeded_model_is_and_all_seeds_at_once(
    write_problem: WriteProblem, tmp_path: Path
) -> None:
    path = write_problem(DROPOUT)
    problem = load_problem(path)
    files = WeightFiles.of(tmp_path / "kept", path, [path.name], "hash")
    find = made_by_children(files, path, lambda seed: (seed, seed + 1))
    for seed in (5, 6):
        keras.utils.set_random_seed(seed)
        variables = problem.make_model().variables
        values = find(seed)
        assert len(values) == len(variables) == 5  # the dropout's seed generator is among them
        assert same_values(values, tuple(variable.numpy() for variable in variables))
    with pytest.raises(AssertionError, match="not again"):
        files.find(7, _not_again)


def test_a_training_process_never_seeds(
    make_problem: MakeProblem, files: WeightFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem()
    files.make([3, 4], problem.initial_weights.make)
    problem.initial_weights = problem.initial_weights.found_by(lambda seed: files.find(seed, _not_again))
    seeded: list[Any] = []
    for holder, name in ((keras.utils, "set_random_seed"), (tf.random, "set_seed")):
        monkeypatch.setattr(holder, name, seeded.append)
    compiled = make_problem("RUN_EAGERLY = False")
    compiled.initial_weights = compiled.initial_weights.found_by(lambda seed: files.find(seed, _not_again))
    programs = Programs()
    for seed in (3, 4):
        assert train(compiled, seed=seed, programs=programs, test=True).step.number == 1  # type: ignore[union-attr]
        assert train(problem, seed=seed, test=True).step.number == 4  # type: ignore[union-attr]
    assert seeded == []


def test_a_spoilt_file_is_made_again(make_problem: MakeProblem, files: WeightFiles) -> None:
    problem = make_problem()
    files.make([3], problem.initial_weights.make)
    whole = files.file(3).read_bytes()
    files.file(3).write_bytes(whole[: len(whole) // 2])
    values = files.find(3, lambda: files.make([3], problem.initial_weights.make))
    assert same_values(values, problem.initial_weights.make(3))
    assert files.file(3).read_bytes() == whole


def test_who_comes_second_waits_for_the_one_who_makes_them(
    make_problem: MakeProblem, files: WeightFiles
) -> None:
    problem = make_problem()
    found: list[Any] = []
    with filelock.FileLock(files.folder / "lock"):
        waiting = threading.Thread(target=lambda: found.append(files.find(3, _not_again)))
        waiting.start()
        files.make([3], problem.initial_weights.make)
    waiting.join()
    assert same_values(found[0], problem.initial_weights.make(3))


def test_a_model_that_cannot_be_made_is_told_in_one_line(write_problem: WriteProblem, tmp_path: Path) -> None:
    path = write_problem("\nraise OSError('no such disk')\n")
    find = made_by_children(WeightFiles(tmp_path), path, lambda seed: (seed,))
    with pytest.raises(ProblemError, match=r"weights of seed 8 could not be made.*code 2.*no such disk"):
        find(8)


def test_another_source_other_data_or_another_float_type_have_weights_of_their_own(
    write_problem: WriteProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_problem()
    folders = [
        WeightFiles.of(tmp_path, path, [path.name, "gone.py"], data).folder for data in ("a", "b", "a")
    ]
    write_problem("\n# other\n")
    folders.append(WeightFiles.of(tmp_path, path, [path.name], "a").folder)
    monkeypatch.setattr(keras.config, "floatx", lambda: "float64")
    folders.append(WeightFiles.of(tmp_path, path, [path.name], "a").folder)
    assert folders[0] == folders[2] and len(set(folders)) == 4


def test_the_folders_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    folders = [WeightFiles(tmp_path / name) for name in ("old", "new")]
    for folder in folders:
        folder.write(0, (np.zeros(1000, "float32"),))
    WeightFiles(tmp_path / "old")  # used again
    forget_unused(tmp_path, 6000, but=tmp_path / "none")
    assert [folder.file(0).exists() for folder in folders] == [True, False]
    forget_unused(tmp_path, 0, but=tmp_path / "old")
    assert folders[0].file(0).exists()


def test_weights_in_memory_have_a_bound(make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optselect.trials.problem.initial_weights.MOST_BYTES", 2000)
    found: list[int] = []

    def find(seed: int) -> tuple[Any, ...]:
        found.append(seed)
        return (np.full(250, seed, "float32"),)

    weights = InitialWeights(lambda: None, lambda: None, find)
    for seed in (1, 2, 1, 3, 1, 2):  # two fit: the one that was not used for longest goes
        assert weights.of_seed(seed)[0].numpy()[0] == seed
    assert found == [1, 2, 3, 2]


def test_a_launch_leaves_the_weights_of_its_seeds(write_problem: WriteProblem, tmp_path: Path) -> None:
    path, root = write_problem(), tmp_path / "weights"
    assert (
        describe([str(path), "--out", str(tmp_path / "out"), "--weights", str(root), "--seeds", "0,1,2"]) == 0
    )
    (folder,) = root.iterdir()
    files, problem = WeightFiles(folder), load_problem(path)
    for seed in (0, 1, 2):
        values = files.read(seed)
        assert values is not None and same_values(values, problem.initial_weights.make(seed))


def test_layers_that_models_share_are_left_to_a_process_that_trains_nothing(
    write_problem: WriteProblem, tmp_path: Path
) -> None:
    path, root = write_problem(SHARED), tmp_path / "weights"
    assert describe([str(path), "--out", str(tmp_path / "out"), "--weights", str(root), "--seeds", "0"]) == 0
    assert list(root.glob("*/*.npz")) == []


def test_seeds_are_read_and_the_pool_has_a_bound(
    write_problem: WriteProblem, files: WeightFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A model here has 148 bytes.
    monkeypatch.setattr("optselect.trials.weights.weight_files.MOST_POOL_BYTES", 300)
    arguments = [str(write_problem()), "--folder", str(files.folder), "--seeds", "9,1,5"]
    assert make_weights.main(arguments) == 0
    assert [files.file(seed).exists() for seed in (9, 1, 5)] == [True, True, False]


def same_values(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two makings of a seed agree to the last bit."""
    first, second = ([(str(v.dtype), v.shape, v.tobytes()) for v in values] for values in (one, other))
    return first == second


def _not_again() -> None:
    raise AssertionError("not again")
