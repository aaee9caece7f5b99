"""What data() gave is read from files exactly as it was given, or data() is called; and nothing else differs."""

import os
import random
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pandas
import pytest
import tensorflow as tf

from optselect.trials.data import kept_rows
from optselect.trials.data.fingerprint import hash_data
from optselect.trials.data.kept_rows import KeptRows
from optselect.trials.data.loading import Loading
from optselect.trials.data.splits import Data, named_leaves, read_data
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.state.keras_names import count_names_from
from optselect.trials.state.traces import Left
from tests.trials.conftest import WriteProblem

NOTHING_LEFT = Left("", {"names": {}, "generators": {}})
COUNTS = """
import pathlib
given_by = data
def data():
    with (pathlib.Path(__file__).parent / "calls").open("a") as calls:
        print("called", file=calls)
    {first}
    return given_by()
"""
ROWS = 6
ARRAYS = {
    "float32": np.arange(12, dtype="float32").reshape(ROWS, 2),
    "float64, of Fortran's order": np.asfortranarray(np.arange(12.0).reshape(ROWS, 2)),
    "big endian": np.arange(ROWS, dtype=">f4"),
    "every second": np.arange(12)[::2],
    "bool": np.array([True, False] * 3),
    "complex": np.arange(ROWS) * 1j,
    "bfloat16": np.arange(ROWS).astype(ml_dtypes.bfloat16),
    "words": np.array(["a", "ö", ""] * 2),
    "bytes": np.array([b"a", b"\0b"] * 3),
    "Python's words": np.array(["", "日本", "a\0"] * 2, object),
    "no columns": np.zeros((ROWS, 0), "float32"),
    "a tensor": tf.range(ROWS),
}


def kept(data: Data, root: Path) -> KeptRows:
    rows = KeptRows.of(root, hash_data(data))
    assert rows is not None
    rows.folder.mkdir(parents=True)
    assert rows.keep(data, NOTHING_LEFT), "it can be kept"
    return rows


def never() -> Data:
    raise AssertionError("data() is called")


class NoTraces:
    """A process that has nothing to put back."""

    def put_back(self, memory: Any) -> None:
        pass


@pytest.mark.parametrize("least", [0, 2**20], ids=["mapped", "read"])
def test_arrays_of_each_kind_come_back_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(kept_rows, "LEAST_MAPPED_BYTES", least)
    x = {"all": [ARRAYS[name] for name in ARRAYS], "nested": (ARRAYS["bool"], {"deep": ARRAYS["float32"]})}
    data = read_data(((x, ARRAYS["bool"], ARRAYS["float32"][:, 0]), (ARRAYS["float32"], ARRAYS["bool"])))
    back = kept(data, tmp_path).find(never, NoTraces(), Loading())  # type: ignore[arg-type]
    assert hash_data(back) == hash_data(data) and back.test is None and back.is_mapped == (least == 0)
    for (place, was), (_, now) in zip(named_leaves(data.train), named_leaves(back.train), strict=True):
        assert isinstance(now, tf.Tensor) == isinstance(was, tf.Tensor) and now.dtype == was.dtype, place
        np.testing.assert_array_equal(np.asarray(now), np.asarray(was), err_msg=place)
    assert type(back.train.x["nested"]) is tuple


@pytest.mark.parametrize(
    "x",
    [
        pandas.DataFrame({"a": range(ROWS)}),
        np.ma.masked_array(np.arange(6.0)),
        tf.constant(["a"] * ROWS),
        tf.ragged.constant([[1]] * ROWS),
    ],
    ids=["a table", "masked", "tensor of words", "ragged"],
)
def test_what_is_no_plain_array_is_loaded_by_each_process_at_the_same_time(x: Any, tmp_path: Path) -> None:
    data = read_data(((x, np.arange(ROWS)), (x, np.arange(ROWS))))
    rows = KeptRows.of(tmp_path, hash_data(data))
    assert rows is not None
    rows.folder.mkdir()
    assert not rows.keep(data, NOTHING_LEFT)

    def load() -> Data:
        with rows.lock().acquire(timeout=0):  # nobody has to wait for this process
            return data

    assert rows.find(load, NoTraces(), Loading()) is data  # type: ignore[arg-type]


def test_batches_and_what_takes_more_than_half_of_the_disk_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = tf.data.Dataset.from_tensor_slices((np.ones((4, 2)), np.ones(4))).batch(2)
    assert KeptRows.of(tmp_path, hash_data(read_data((batches, batches)))) is None
    data = read_data(((ARRAYS["float32"], ARRAYS["bool"]), (ARRAYS["float32"], ARRAYS["bool"])))
    monkeypatch.setattr(kept_rows, "MOST_BYTES", 50)
    rows = KeptRows(tmp_path / "few", hash_data(data))
    rows.folder.mkdir()
    assert not rows.keep(data, NOTHING_LEFT) and not list(rows.folder.glob("*.part"))


@pytest.mark.parametrize("harm", ["one bit", "a missing file", "half a header", "another format"])
def test_files_that_lost_something_are_not_trusted(tmp_path: Path, harm: str) -> None:
    data = read_data(((ARRAYS["float32"], ARRAYS["bool"]), (ARRAYS["float32"], ARRAYS["bool"])))
    rows = kept(data, tmp_path)
    array, header = rows.folder / "own-1.npy", rows.folder / "rows.json"
    if harm == "one bit":
        array.write_bytes(array.read_bytes()[:-1] + b"\1")
    elif harm == "a missing file":
        array.unlink()
    else:
        text = header.read_text()
        header.write_text(
            text[:40] if harm == "half a header" else text.replace('"format": 1', '"format": 9')
        )
    assert rows.find(lambda: data, NoTraces(), Loading()) is data  # type: ignore[arg-type]
    back = rows.find(lambda: data, Traceless(), Loading())  # type: ignore[arg-type]
    assert hash_data(back) == rows.data_hash and back is not data, "kept again"


class Traceless(NoTraces):
    """A process whose data() left nothing."""

    def left(self) -> Left:
        return NOTHING_LEFT


# --- problems -----------------------------------------------------------------------------------------


def loaded(path: Path, rows: KeptRows | None) -> Problem:
    return load_problem(path, rows=rows)


def calls(path: Path) -> int:
    return len((path.parent / "calls").read_text().splitlines())


def rows_of(path: Path, since: float = 0.0) -> KeptRows:
    """The place of a problem's rows, which one call of data() tells."""
    data_hash = hash_data(load_problem(path).data)
    (path.parent / "calls").unlink()
    return KeptRows(path.parent / "rows" / data_hash[-32:], data_hash, since)


def test_data_is_called_once_for_all_processes(write_problem: WriteProblem) -> None:
    path = write_problem(COUNTS.format(first="pass"))
    rows = rows_of(path)
    problems = [loaded(path, rows) for _ in range(3)]
    assert calls(path) == 1
    assert {hash_data(problem.data) for problem in problems} == {rows.data_hash}


def test_each_command_has_it_called_once_to_see_whether_it_gives_the_same(
    write_problem: WriteProblem,
) -> None:
    path = write_problem(COUNTS.format(first="pass"))
    rows = rows_of(path)
    loaded(path, rows)
    os.utime(rows.folder / "rows.json", (1e9, 1e9))
    later = KeptRows(rows.folder, rows.data_hash, since=1e9 + 1)
    loaded(path, later)
    loaded(path, later)
    assert calls(path) == 2
    os.utime(rows.folder / "rows.json", (1e9, 1e9))
    path.write_text(path.read_text() + "\ny = -y\n")
    assert hash_data(loaded(path, later).data) != rows.data_hash, "the changed rows are seen"


def test_generators_and_names_stand_where_they_stand_after_the_call(write_problem: WriteProblem) -> None:
    draws = "import random as r; r.random(); np.random.rand(3); random.normal(size=5); keras.metrics.AUC()"
    path = write_problem(COUNTS.format(first=draws))

    def drawn(rows: KeptRows | None) -> list[Any]:
        count_names_from({})  # as a process of its own begins
        problem = loaded(path, rows)
        module = problem.make_model.code.module
        return [random.random(), np.random.rand(), module.random.normal(), keras.metrics.AUC().name]

    rows = rows_of(path)
    assert drawn(None) == drawn(rows) == drawn(rows)
    assert calls(path) == 2


@pytest.mark.parametrize(
    "change",
    [
        "global RUN_EAGERLY; RUN_EAGERLY = False",
        "global NEW; NEW = 3",
        "fit['epochs'] = 4",
        "import os; os.environ['SEEN'] = '1'",
        "tf.random.set_seed(3)",
        "x[0] = 0.0",
    ],
)
def test_where_data_changes_more_than_it_returns_each_process_calls_it(
    write_problem: WriteProblem, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN", "0")
    path = write_problem(COUNTS.format(first=change))
    rows = rows_of(path)
    monkeypatch.setenv("SEEN", "0")
    tf.random.set_seed(1)
    loaded(path, rows)
    loaded(path, rows)
    assert calls(path) == 2
    assert (rows.folder / "why-not").read_text().startswith("data() changes more than it returns: ")
