"""The benchmark of the verdict drives the real plan: what it counts as right must be right."""

import numpy as np
import optuna
import pytest
from scipy.stats import qmc

from benchmarks.verdict.replaying import Replay, Verdict, best_of_random, best_of_tpe_each, spec_of
from benchmarks.verdict.scoring import score, truth_of
from benchmarks.verdict.table import Branch, Table, kept_epochs
from benchmarks.verdict.world import World
from optselect.search.spec.space import study_space

TRUTH = {"SGD": 1.0, "Adam": 1.0, "Lion": 2.0}
ROWS, SEEDS, EPOCHS = 32, 12, 25


@pytest.fixture
def world() -> World:
    """Two optimizers that are alike and one that is worse; a bowl over the learning rate, and noise."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = study_space(list(TRUTH), "1", 12)
    random = np.random.default_rng(0)
    branches = {}
    for name, dimensions in space.items():
        points = qmc.Sobol(len(dimensions), rng=1).random(ROWS)
        depth = TRUTH[name] * (1 + 4 * (points[:, :1] - 0.6) ** 2)
        last = np.vstack([depth, [[3.0]]]) * (1 + random.normal(0, 0.02, (ROWS + 1, SEEDS)))
        kept = kept_epochs(EPOCHS)
        curves = last[:, :, None] * np.linspace(2.0, 1.0, len(kept))
        ended = np.full((ROWS + 1, SEEDS), EPOCHS)
        branches[name] = Branch(dimensions, points, np.full(ROWS + 1, SEEDS), curves, last * 1.1, ended, kept)
    return World(Table("bowl", EPOCHS, np.full(SEEDS, 5.0), branches))


def test_a_replayed_study_goes_through_all_phases_and_counts_its_epochs(world: World) -> None:
    replay = Replay(world, spec_of(world, each=30, seed=1)).run()
    assert {row.phase for row in replay.rows} == {"baseline", "quota", "elimination", "survivors", "final"}
    assert replay.cost == sum(row.epochs for row in replay.rows)
    assert any(row.state == "pruned" and row.epochs < EPOCHS for row in replay.rows)
    assert not any(row.state == "pruned" for row in Replay(world, spec_of(world, each=12, seed=1)).run().rows)
    verdict = replay.verdict()
    assert set(verdict.named) <= {"SGD", "Adam"}
    assert set(verdict.found) == {*TRUTH, "baseline"}


def test_the_truth_of_a_table_knows_who_is_alike(world: World) -> None:
    truth = truth_of(world)
    assert truth.truly_best == {"SGD", "Adam"}
    assert truth.is_tie


@pytest.mark.parametrize(
    ("outcome", "named", "right", "wrong"),
    [
        ("winner", ("SGD",), 1, 0),
        ("winner", ("Lion",), 0, 1),
        ("tie", ("SGD", "Adam"), 1, 0),
        ("tie", ("SGD", "Lion"), 0, 0),
        ("not_enough_evidence", (), 0, 0),
    ],
)
def test_right_is_a_truly_best_winner_or_a_tie_without_a_worse_one(
    world: World, outcome: str, named: tuple[str, ...], right: int, wrong: int
) -> None:
    truth = truth_of(world)
    leader = named[0] if named else "SGD"
    found = score(world, truth, [Verdict(outcome, leader, named, truth.best, 100)])
    assert (found.right.hits, found.wrong_winner.hits, found.left_behind.hits) == (right, wrong, 0)


def test_whoever_was_never_tried_is_left_behind(world: World) -> None:
    truth = truth_of(world)
    found = score(world, truth, [Verdict("winner", "SGD", ("SGD",), {"SGD": truth.best["SGD"]}, 100)])
    assert (found.left_behind.hits, found.left_behind.repeats) == (2, 3)


def test_other_strategies_spend_the_epochs_that_they_are_given(world: World) -> None:
    spec = spec_of(world, each=12, seed=1)
    for strategy in (best_of_random, best_of_tpe_each):
        verdict = strategy(world, spec, 20 * EPOCHS)
        assert verdict.cost == 20 * EPOCHS
        assert set(verdict.found) == set(TRUTH)


def test_a_configuration_is_answered_by_the_nearest_and_pairs_by_seed(world: World) -> None:
    branch = world.table.branches["SGD"]
    values = {d.keyword: d.at(x) for d, x in zip(branch.dimensions, branch.points[7] + 1e-4, strict=True)}
    arguments = {"learning_rate": values["learning_rate"], "momentum": 1.0 - float(str(values["momentum"]))}
    place = world.place("SGD", arguments)
    assert place.row == 7
    assert world.run(place, 1, 200) == world.run(place, 1, 200)
    assert {world.run(place, 1, seed).test for seed in range(40)} <= set(branch.tests[7].tolist())
