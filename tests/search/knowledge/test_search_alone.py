"""The benchmark of the search: nothing of a task is known beforehand, and what is measured is what was found."""

import numpy as np
import pytest

from benchmarks.verdict.learn import learned
from benchmarks.verdict.search_alone import (
    MODEL,
    SEARCHES,
    Arena,
    Setting,
    arena_of,
    family,
    found_by,
    learned_list,
)
from benchmarks.verdict.table import load_table
from optselect.search.knowledge.known_tasks import KnownTasks

OPTIMIZERS = ("SGD", "Adam", "Adagrad")
TASKS = ("digits", "digits_conv", "gru", "heavy_tails", "rings")


@pytest.fixture(scope="module")
def known() -> KnownTasks:
    return learned([load_table(name, OPTIMIZERS) for name in TASKS])


@pytest.fixture(scope="module")
def arena(known: KnownTasks) -> Arena:
    return arena_of("gru", known, Setting(OPTIMIZERS))


def test_a_task_teaches_itself_nothing_and_its_family_only_where_it_may(known: KnownTasks) -> None:
    assert arena_of("digits", known, Setting(OPTIMIZERS)).known.names == TASKS[1:]
    kept = arena_of("digits", known, Setting(OPTIMIZERS, whole_family=True)).known.names
    assert kept == ("gru", "heavy_tails", "rings")
    assert family("raw_pixels") >= {"digits", "friedman"}


def test_a_hidden_optimizer_leans_on_its_kin_or_on_nobody(known: KnownTasks) -> None:
    hidden = arena_of("gru", known, Setting(OPTIMIZERS, kin={"Adam": ("SGD", ""), "Adagrad": ("", "")}))
    assert [*hidden.known.surfaces] == ["SGD"]
    branches = hidden.prior.branches
    assert (branches["Adam"].kin_name, branches["Adagrad"].kin) == ("SGD", None)
    assert not branches["Adam"].is_known


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_only_gets_better_at_what_it_sees_and_repeats_itself(arena: Arena, name: str) -> None:
    one, again = (found_by(name, arena, repeats=1, trials=3) for _ in range(2))
    assert np.array_equal(one.ratios, again.ratios)
    assert one.ratios.shape == (1, 3, len(OPTIMIZERS))
    assert (one.ratios > 0.9).all() and np.isfinite(one.ratios).all()
    assert (one.floored <= one.ratios + 1e-9).all() or (one.ratios < 1).any()


def test_the_taught_model_is_nearer_after_two_trials_than_chance_after_two(arena: Arena) -> None:
    taught, chance = (found_by(name, arena, repeats=4, trials=2) for name in (MODEL, "random"))
    assert np.median(taught.ratios[:, -1]) < np.median(chance.ratios[:, -1])
    assert taught.surprises and taught.evidence is not None


def test_a_learned_list_names_no_row_twice(arena: Arena) -> None:
    rows = learned_list(arena, "SGD")
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("costs", ["negative", "ranks"])
def test_the_model_searches_by_negative_losses_and_by_ranks(known: KnownTasks, costs: str) -> None:
    turned = arena_of("gru", known, Setting(OPTIMIZERS, costs=costs))  # type: ignore[arg-type]  # a parameter is a str
    found = found_by(MODEL, turned, repeats=1, trials=3)
    assert np.isfinite(found.ratios).all()


def test_a_task_that_is_turned_around_is_told_from_the_others(known: KnownTasks) -> None:
    usual, turned = (
        found_by(MODEL, arena_of("gru", known, Setting(OPTIMIZERS, mirrored=one)), repeats=2, trials=5)
        for one in (False, True)
    )
    assert usual.evidence is not None and turned.evidence is not None
    assert usual.evidence[:, -1].min() > turned.evidence[:, -1].max()
