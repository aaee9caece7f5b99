"""Shares are equal at every moment, and the optimizers of a turn share their seed."""

from collections import Counter

from optselect.search.planning import SEARCH_SEEDS, first_tickets, search_tickets

OPTIMIZERS = ["SGD", "Adam", "Lion"]


def test_the_baseline_comes_first_and_on_top_of_the_budget() -> None:
    tickets = first_tickets(OPTIMIZERS, 24, seed=0)
    assert (tickets[0].phase, tickets[0].optimizer) == ("baseline", "baseline")
    assert [ticket.phase for ticket in tickets[1:]] == ["quota"] * 24


def test_a_search_that_is_stopped_early_leaves_equal_shares() -> None:
    tickets = search_tickets(OPTIMIZERS, {}, 31, seed=0)
    for stop in range(1, 32):
        shares = Counter(ticket.optimizer for ticket in tickets[:stop])
        assert max(shares.values()) - min(shares.get(name, 0) for name in OPTIMIZERS) <= 1


def test_more_trials_go_on_where_the_first_ended() -> None:
    whole = search_tickets(OPTIMIZERS, {}, 10, seed=3)
    counts = Counter(ticket.optimizer for ticket in whole[:4])
    assert search_tickets(OPTIMIZERS, counts, 6, seed=3) == whole[4:]


def test_all_optimizers_meet_the_same_seeds_from_a_pool_of_twelve() -> None:
    tickets = search_tickets(OPTIMIZERS, {}, 60, seed=2)
    by_optimizer = {name: [t.seed for t in tickets if t.optimizer == name] for name in OPTIMIZERS}
    assert len({tuple(seeds) for seeds in by_optimizer.values()}) == 1
    assert set(by_optimizer["SGD"]) == {2000 + number for number in range(SEARCH_SEEDS)}
