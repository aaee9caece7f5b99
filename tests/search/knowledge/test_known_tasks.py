"""What the known tasks are kept in, and what is made of tables."""

import io

import numpy as np
import pytest

from benchmarks.verdict.learn import learned
from benchmarks.verdict.table import load_table
from optselect.search.knowledge.known_tasks import FILE, STEP, known_tasks, read, write
from optselect.search.spec.catalogue import CATALOGUE
from tests.support.tasks import tasks


def test_a_file_reads_back_as_it_was_within_its_steps() -> None:
    known, file = tasks(), io.BytesIO()
    write(known, file)
    file.seek(0)
    again = read(file)
    assert (again.names, again.versions, [*again.surfaces]) == (
        known.names,
        known.versions,
        [*known.surfaces],
    )
    for name, surface in again.surfaces.items():
        before = known.surfaces[name]
        assert (surface.dimensions, surface.defaults) == (before.dimensions, before.defaults)
        assert np.abs(surface.levels - before.levels).max() <= STEP / 2
        assert np.abs(surface.points - before.points).max() < 1e-3


def test_the_same_tasks_give_the_same_bytes() -> None:
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        write(tasks(), file)
    assert files[0].getvalue() == files[1].getvalue()


def test_the_packages_own_file_is_small_and_holds_all_optimizers() -> None:
    known = known_tasks()
    assert FILE.stat().st_size < 150_000
    assert set(known.surfaces) == set(CATALOGUE)
    assert len(known.names) >= 18
    assert {"keras", "tensorflow"} <= known.versions.keys()
    for surface in known.surfaces.values():
        assert np.isfinite(surface.levels).all()


@pytest.mark.parametrize("held", ["wine", "breast_cancer", "cancer"])
def test_what_is_kept_for_judging_teaches_nothing(held: str) -> None:
    assert not [name for name in known_tasks().names if held in name]


def test_two_tables_teach_anew_what_the_file_holds_of_them() -> None:
    """The command's own function on tables of trainings, beside what was shipped."""
    names = ("gru", "few_epochs")
    anew, shipped = learned([load_table(name, tuple(CATALOGUE)) for name in names]), known_tasks()
    kept = shipped.only(names)
    order = [anew.names.index(name) for name in kept.names]
    assert np.allclose(anew.heights[order], kept.heights, atol=1e-5)
    assert np.allclose(anew.spreads[order], kept.spreads, atol=1e-5)
    assert np.allclose(anew.noises[order], kept.noises, atol=1e-5)
    for name, surface in anew.surfaces.items():
        stored = kept.surfaces[name]
        assert surface.dimensions == stored.dimensions
        assert surface.defaults == dict(stored.defaults)
        assert np.abs(surface.levels[order] - stored.levels).max() <= STEP / 2 + 1e-9


def test_tasks_and_optimizers_can_be_hidden() -> None:
    known = tasks().only({"task_1", "task_3"}).without_optimizers({"Adam"})
    assert known.names == ("task_1", "task_3")
    assert [*known.surfaces] == ["SGD", "RMSprop"]
    assert all(surface.levels.shape == (2, 64) for surface in known.surfaces.values())
