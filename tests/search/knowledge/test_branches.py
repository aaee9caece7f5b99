"""A configuration stands where Keras's arguments put it, whatever is searched of them."""

import pytest

from optselect.search.knowledge.branches import OUTSIDE, branch_of, branches_of
from optselect.search.knowledge.kin import kin_of
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.dimension import Dimension, choice, complement, linear, log
from optselect.search.spec.switching import SwitchSpec
from tests.support.simulated import spec_of
from tests.support.tasks import tasks

KNOWN = tasks()


def test_an_optimizer_in_its_own_ranges_is_known_as_it_is() -> None:
    branch = branch_of("Adam", CATALOGUE["Adam"].tier_1, KNOWN, "Adam", "")
    assert (branch.is_known, branch.has_more) == (True, False)
    assert branch.known_place({"learning_rate": 1e-3, "beta_1": 0.9}) == pytest.approx([0.5, 0.5], abs=0.01)


def test_what_is_not_given_stands_at_keras_default() -> None:
    branch = branch_of("Adam", CATALOGUE["Adam"].tier_1[:1], KNOWN, "Adam", "")
    whole = branch_of("Adam", CATALOGUE["Adam"].tier_1, KNOWN, "Adam", "")
    given = {"learning_rate": 0.01}
    assert branch.known_place(given) == whole.known_place({**given, "beta_1": 0.9})
    assert not branch.has_more


def test_a_range_of_ones_own_within_the_known_one_is_known_and_a_wider_one_is_not() -> None:
    narrow = branch_of("Adam", (log("learning_rate", 1e-4, 1e-2),), KNOWN, "Adam", "")
    wide = branch_of("Adam", (log("learning_rate", 1e-4, 10.0),), KNOWN, "Adam", "")
    assert (narrow.has_more, wide.has_more) == (False, True)
    assert narrow.known_place({"learning_rate": 1e-3})[0] == pytest.approx(0.5)
    assert wide.known_place({"learning_rate": 10.0})[0] == 1 + OUTSIDE


@pytest.mark.parametrize(
    "dimension", [linear("learning_rate", 0.0, 0.1), linear("beta_1", 0.0, 1.0), linear("beta_1", 0.5, 0.99)]
)
def test_a_range_on_another_scale_or_to_nothing_has_its_places(dimension: Dimension) -> None:
    branch = branch_of("Adam", (dimension,), KNOWN, "Adam", "")
    for place in (0.0, 0.5, 1.0):
        arguments = {dimension.keyword: dimension.argument(dimension.at(place))}
        assert branch.own_place(arguments) == pytest.approx([place])
        assert all(-OUTSIDE <= one <= 1 + OUTSIDE for one in branch.known_place(arguments))
    assert branch.has_more == (dimension.low == 0.0)


@pytest.mark.parametrize(
    "further",
    [log("epsilon", 1e-10, 1.0), choice("schedule", "constant", "cosine"), linear("clipnorm", 0.1, 1.0)],
)
def test_a_further_argument_gives_a_branch_a_shape_of_its_own(further: Dimension) -> None:
    branch = branch_of("Adam", (*CATALOGUE["Adam"].tier_1, further), KNOWN, "Adam", "")
    assert branch.is_known and branch.has_more


def test_any_two_choices_are_equally_far_apart() -> None:
    branch = branch_of("Adam", (choice("schedule", "constant", "cosine", "linear"),), KNOWN, "Adam", "")
    places = [branch.own_place({"schedule": kind}) for kind in ("constant", "cosine", "linear")]
    distances = {
        round(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)), 9)
        for one in places
        for other in places
        if one != other
    }
    assert distances == {1.0}


def test_no_momentum_and_no_decay_lie_at_the_edge_and_nothing_breaks() -> None:
    sgd = branch_of("SGD", CATALOGUE["SGD"].tier_1, KNOWN, "SGD", "")
    assert sgd.known_place({"learning_rate": 0.01, "momentum": 0.0})[1] == pytest.approx(1.0, abs=0.01)
    decayed = branch_of("SGD", (log("weight_decay", 1e-7, 5e-5),), KNOWN, "SGD", "")
    assert decayed.own_place({"weight_decay": None}) == decayed.own_place({"weight_decay": 0.0}) == [-OUTSIDE]


def test_a_switch_leans_on_its_second_optimizer_and_stands_where_that_one_does() -> None:
    spec = spec_of(optimizers="sgd,adam", switches=(SwitchSpec(first="SGD", second="Adam"),))
    branch = branches_of(spec.space, KNOWN, kin_of(spec))["SGD_to_Adam"]
    assert (branch.kin_name, branch.is_known, branch.has_more) == ("Adam", False, True)
    given = {"learning_rate": 1.0, "momentum": 0.5, "switch_fraction": 0.3, "second_learning_rate": 1e-3}
    assert branch.known_place(given) == pytest.approx([0.5, 0.5], abs=0.01)


def test_fixed_arguments_are_no_coordinates_and_a_class_without_kin_has_none_of_the_known() -> None:
    fixed = Dimension(keyword="use_ema", scale="fixed", choices=(True,))
    branch = branch_of("Mine", (log("learning_rate", 1e-5, 0.1), fixed), KNOWN, "Mine", "")
    assert branch.kin is None and branch.has_more
    assert branch.known_place({"learning_rate": 1e-3}) == []
    assert branch.own_place({"learning_rate": 1e-3, "use_ema": True}) == pytest.approx([0.5])


def test_an_integer_range_has_a_place_too() -> None:
    branch = branch_of("Mine", (Dimension(keyword="k", scale="integer", low=0, high=4),), KNOWN, "", "")
    assert branch.own_place({"k": 2}) == [0.5]
    assert complement("beta_1", 0.01, 1.0).argument(0.25) == 0.75
