"""Rows that processes share in files are the rows they loaded, to the last bit, or are not taken."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from optselect.trials.data.kept_rows import folder_of_rows
from optselect.trials.data.splits import Data, read_data
from optselect.trials.programs import shared_rows
from optselect.trials.programs.cache import Programs
from optselect.trials.programs.shared_rows import share_rows
from optselect.trials.programs.sources import Streamed
from tests.support.fits import train
from tests.trials.conftest import MakeProblem

RANDOM = np.random.default_rng(5)
X, Y = RANDOM.normal(size=(700, 400)).astype("float32"), RANDOM.integers(0, 9, 700)


def loaded() -> Data:
    return read_data(((X, Y), (X[:300], Y[:300]), (X[:301], Y[:301].astype("float64"))))


def test_rows_in_files_are_those_that_were_loaded(tmp_path: Path) -> None:
    for data in (share_rows(loaded(), tmp_path / "rows", 32) for _ in range(2)):  # who writes, who finds
        np.testing.assert_array_equal(data.train.x, X)
        np.testing.assert_array_equal(data.validation.y, Y[:300])
        assert isinstance(data.test, Streamed)
        batches = list(data.test.dataset)
        assert len(batches) == data.test.batches == 10
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), X[:301])
        assert batches[0][1].dtype == tf.float32, "as evaluate converts it"
        mapped = Path("/proc/self/maps").read_text()
        assert str(tmp_path / "rows" / "train-1.npy") in mapped
    assert not list(tmp_path.glob("rows/*.part"))


def test_other_rows_of_that_name_are_not_taken(tmp_path: Path) -> None:
    share_rows(loaded(), tmp_path / "rows", 32)
    with (tmp_path / "rows" / "train-1.npy").open("r+b") as file:
        file.seek(4096)
        file.write(b"\1")
    (tmp_path / "rows" / "test-1.npy").write_bytes(b"\x93NUMPY\1\0")
    own = loaded()
    data = share_rows(own, tmp_path / "rows", 32)
    assert data.train.x is own.train.x and data.test is own.test
    np.testing.assert_array_equal(data.validation.x, X[:300])


def test_where_no_file_can_be_written_each_process_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("a file where the folder should be")
    own = loaded()
    assert share_rows(own, tmp_path / "rows", 32) is own


@pytest.mark.parametrize("first_step", [1, 4])
def test_a_training_on_shared_rows_is_the_same(
    make_problem: MakeProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_step: int
) -> None:
    monkeypatch.setattr(shared_rows, "LEAST_SHARED_BYTES", 0)
    problem = make_problem("RUN_EAGERLY = False", epochs=1)
    apart = dataclasses.replace(problem, data=share_rows(problem.data, tmp_path / "rows", 16))
    came, expected = (
        train(one, "Adam", test=True, programs=Programs(first_step)) for one in (apart, problem)
    )
    assert came.step == expected.step and came.test == expected.test
    assert keras.tree.map_structure(float, came.test) and came.curve[0].metrics == expected.curve[0].metrics


@pytest.mark.parametrize(
    "written", ["first-batch:" + "/../../../victim".rjust(40, "."), "", "/etc", "a" * 31 + "/"]
)
def test_a_hash_that_another_hand_has_written_names_no_folder_elsewhere(tmp_path: Path, written: str) -> None:
    assert folder_of_rows(tmp_path, written).resolve().parent == tmp_path.resolve()
    assert folder_of_rows(tmp_path, "first-batch:" + "0f" * 32) == tmp_path / ("0f" * 16)
