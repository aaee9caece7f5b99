"""The tables of real trainings: each problem teaches something, and making them survives an end at any moment."""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from filelock import FileLock

from benchmarks.verdict import laboratory, table
from benchmarks.verdict.laboratory import Laboratory
from benchmarks.verdict.listing import PAGE, task, with_tasks
from benchmarks.verdict.make import make, named_branches
from benchmarks.verdict.table import (
    PROBLEMS,
    Branch,
    first_kept,
    kept_epochs,
    load_table,
    path_of,
    problem_names,
    save_branch,
)
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.space import study_space
from optselect.search.strategy.rungs import rungs
from optselect.trials.problem.loading import load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.configuration import OptimizerConfig

QUICK = ("digits_label_noise", "shifted_inputs")
EPOCHS, SEEDS = 30, 3


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in problem_names()]
)
def test_adam_learns_each_problem_within_two_epochs(name: str) -> None:
    short = Laboratory(load_problem(PROBLEMS / f"{name}.py", epochs=2), {})
    result = short.train(OptimizerConfig("Adam", {"learning_rate": 1e-3}), seed=0)
    losses = [result.initial["val_chosen"], *(epoch.metrics["val_chosen"] for epoch in result.curve)]
    assert len(losses) == 3
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]


def test_one_program_trains_all_configurations_of_muon_and_its_losses_are_those_of_a_study() -> None:
    problem = load_problem(PROBLEMS / "few_epochs.py", epochs=1)
    ours, studys = Laboratory(problem, {}), Laboratory(problem, {}, Programs())
    configs = [
        OptimizerConfig("Muon", {"learning_rate": 1e-2, "momentum": momentum}) for momentum in (0.8, 0.9)
    ]
    losses = [
        [trained.train(config, seed=0).curve[-1].metrics["val_chosen"] for config in configs]
        for trained in (ours, studys)
    ]
    assert (ours.programs.built, studys.programs.built) == (1, 2)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_every_problem_says_its_kind_and_stands_on_the_page() -> None:
    tasks = [task(name) for name in problem_names()]
    assert all(0 < len(one.kind) < 50 and "\n" not in one.kind for one in tasks)
    assert PAGE.read_text() == with_tasks(PAGE.read_text()), "python -m benchmarks.verdict.listing"


def test_branches_are_named_by_problem_or_one_by_one() -> None:
    assert named_branches(["digits"]) == [("digits", name) for name in CATALOGUE]
    assert named_branches(["digits/adam", "gru/Muon"]) == [("digits", "Adam"), ("gru", "Muon")]


def test_the_kept_epochs_hold_the_last_one_and_those_at_which_a_trial_may_be_cut() -> None:
    for epochs in (1, 2, 12, 25, 26, 40, 150):
        kept = kept_epochs(epochs)
        assert {*rungs(epochs), epochs} <= {*kept}
        assert len(kept) <= 30
    assert kept_epochs(25) == tuple(range(1, 26))


# --- files ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def branch() -> Branch:
    """Three configurations and the defaults: two on all seeds, two on one."""
    random, kept = np.random.default_rng(0), kept_epochs(EPOCHS)
    dimensions = study_space(["Adam"], "1", 12)["Adam"]
    curves, tests = random.lognormal(0, 2, (4, SEEDS, len(kept))), random.lognormal(0, 2, (4, SEEDS))
    counts, ended = np.array([SEEDS, 1, 1, SEEDS]), np.full((4, SEEDS), EPOCHS)
    curves[1:3, 1:], tests[1:3, 1:], ended[1:3, 1:] = np.nan, np.nan, 0
    return Branch(dimensions, random.random((3, len(dimensions))), counts, curves, tests, ended, kept, 1.5)


def test_a_branch_comes_back_with_its_last_epoch_exact_and_the_others_to_a_four_thousandth(
    folder: Path, branch: Branch
) -> None:
    save_branch(branch, EPOCHS, np.ones(SEEDS), path_of("bowl", "Adam"))
    loaded = load_table("bowl", ["Adam"]).branches["Adam"]
    assert (loaded.dimensions, loaded.kept, loaded.cpu_seconds) == (branch.dimensions, branch.kept, 1.5)
    np.testing.assert_array_equal(loaded.curves[:, :, -1], branch.curves[:, :, -1].astype(np.float32))
    np.testing.assert_allclose(loaded.curves, branch.curves, rtol=2.5e-4)
    np.testing.assert_array_equal(loaded.tests, branch.tests.astype(np.float32))


def test_the_first_tables_are_read_as_they_were_written() -> None:
    for name, epochs in {"diabetes": 25, "friedman": 20, "digits": 10}.items():
        first = load_table(name)
        assert first.epochs == epochs
        assert len(first.branches) == 8
        for found in first.branches.values():
            assert found.kept == first_kept(epochs)
            assert found.curves.shape == (257, 20, len(found.kept))


def test_a_branch_that_fails_to_be_written_leaves_what_was_there(
    folder: Path, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of("bowl", "Adam")
    save_branch(branch, EPOCHS, np.ones(SEEDS), path)
    whole = path.read_bytes()

    def half(file: BinaryIO, **_: object) -> None:
        file.write(whole[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", half)
    for name in ("Adam", "Lion"):
        with pytest.raises(KeyboardInterrupt):
            save_branch(branch, EPOCHS, np.ones(SEEDS), path_of("bowl", name))
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == ["Adam.npz"]


def test_making_goes_on_where_it_was_ended_and_passes_by_what_another_process_makes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(laboratory, "SEEDS", 2)
    monkeypatch.setattr("benchmarks.verdict.laboratory.CONFIGURATIONS", 2)
    monkeypatch.setattr(laboratory, "ROUNDS", ((2, 1), (1, 2)))
    branches = [("few_epochs", "Adam"), ("few_epochs", "SGD")]
    path_of("few_epochs", "SGD").parent.mkdir(exist_ok=True)
    with FileLock(path_of("few_epochs", "SGD").with_suffix(".lock")):
        make(branches)
    assert capsys.readouterr().out.startswith("few_epochs/Adam: 5 runs, ")
    assert not path_of("few_epochs", "SGD").exists()
    made = path_of("few_epochs", "Adam").read_bytes()
    make(branches)
    assert capsys.readouterr().out.startswith("few_epochs/SGD: 5 runs, ")
    assert path_of("few_epochs", "Adam").read_bytes() == made
    assert {file.suffix for file in folder.rglob("*.*")} <= {".npz", ".lock"}
    whole = load_table("few_epochs", ["Adam", "SGD"])
    assert all(np.isfinite(found.curves[-1]).all() for found in whole.branches.values())
