"""Programs are kept as long as there is room, the least recently used go first, and what goes is gone."""

import gc
import weakref
from typing import Any

import numpy as np
import psutil
import pytest

from optselect.trials.programs import cache as kept
from optselect.trials.programs.cache import Programs
from optselect.trials.programs.memory import memory_of_process
from tests.support.fits import train
from tests.trials.conftest import MakeProblem


def test_beyond_the_bound_the_least_recently_used_programs_free_their_memory(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 0)
    monkeypatch.setattr(kept, "FEWEST_PROGRAMS", 2)
    # Each program grows it by one byte.
    monkeypatch.setattr(kept, "memory_of_process", iter(range(100)).__next__)
    problem, programs = make_problem("RUN_EAGERLY = False", epochs=1), Programs()
    graphs: list[Any] = []
    for optimizer in ("SGD", "Adam", "SGD", "Lion"):
        assert train(problem, optimizer, programs=programs).step.number == 1  # type: ignore[union-attr]
        graphs = [weakref.ref(program.graph) for held in programs._held.values() for program in held] + graphs
    assert programs.optimizers == ("SGD", "Lion") and programs.built == 3
    assert len({id(graph) for reference in graphs if (graph := reference()) is not None}) == 2
    assert [program.bytes for held in programs._held.values() for program in held] == [1, 1]


def test_the_memory_of_a_process_is_its_own() -> None:
    before = memory_of_process()
    block = bytearray(64 * 2**20)
    block[::4096] = b"\x01" * len(block[::4096])
    assert 60 * 2**20 < memory_of_process() - before < 80 * 2**20


def test_trials_of_programs_that_are_held_leave_no_memory_behind(make_problem: MakeProblem) -> None:
    problem, programs = make_problem("RUN_EAGERLY = False", epochs=2), Programs()

    def train_some(trials: int) -> int:
        for number in range(trials):
            train(problem, ("SGD", "Adam")[number % 2], programs=programs)
        gc.collect()
        memory = psutil.Process().memory_info()
        # Pages of libraries are this process's own or not as others come and go.
        return int(memory.rss - memory.shared)

    before = train_some(20)
    assert train_some(100) - before < 3_000_000
    assert programs.built == 2


def test_rows_that_keras_takes_as_they_are_lie_in_memory_once(make_problem: MakeProblem) -> None:
    problem = make_problem("y = y.astype('float64')")
    tensors = Programs().bench(problem).train.tensors  # type: ignore[union-attr]
    assert _address(problem.data.train.x) == _address(tensors[0])
    assert isinstance(problem.data.train.y, np.ndarray) and tensors[1].dtype == "float32"


def _address(rows: Any) -> int:
    return int(np.asarray(rows).ctypes.data)
