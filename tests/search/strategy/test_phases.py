"""Each phase follows the one before it, on seeds of its own, and every choice is on record."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest

from optselect.search.spec.objective import Objective
from optselect.search.strategy.choosing import next_step, strategy_of
from optselect.search.strategy.minutes import fitting_budget, seconds_of
from optselect.search.strategy.phases import LOOKED_AT_AGAIN
from optselect.search.strategy.planning import QUOTA, SHARE, baseline_tickets, quota_tickets
from optselect.search.verdict.evidence import competes, contenders, current_finals, scale_of
from optselect.search.verdict.judging import MOST_SEEDS, Judgement, judge
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.tickets import NewTicket
from tests.support.simulated import Simulated, spec_of

TRUTH = {"SGD": 1.0, "Adam": 1.5, "Lion": 3.0, "Nadam": 1.52, "baseline": 2.0}


def noisy(ticket: NewTicket, noise: random.Random) -> float:
    """Better with every trial number; defaults are worse than anything tuned."""
    handicap = {"defaults": 1.0}.get(ticket.role, 0.0)
    return TRUTH[ticket.optimizer] + handicap + noise.gauss(0.0, 0.02) + ticket.seed % 7 * 0.01


def study(**asked: object) -> Simulated:
    return Simulated(
        spec_of(**{"optimizers": "sgd,adam,lion,nadam", "trials": 4 * SHARE + 12, **asked}), noisy
    )


def tried_of(done: Simulated) -> list[list[TrialRow]]:
    """The search trials of each optimizer."""
    names = done.spec.optimizers
    return [[row for row in done.rows if row.searched and row.optimizer == name] for name in names]


def verdict_of(done: Simulated) -> Judgement:
    found = contenders(current_finals(done.rows), scale_of(Objective("val_loss", "minimize"), done.rows))
    return judge([contender for name, contender in found.items() if competes(name)])


def test_a_study_goes_through_all_its_phases_and_searches_exactly_its_budget() -> None:
    done = study().run()
    phases = [(phase, len(list(rows))) for phase, rows in itertools.groupby(row.phase for row in done.rows)]
    assert phases == [
        ("baseline", 5),
        ("quota", 4 * QUOTA),
        ("survivors", 4 * (SHARE - QUOTA)),
        ("elimination", 4 * 3),
        ("survivors", 12),
        ("elimination", 2 * 2 * 3),
        ("final", len(done.of("final"))),
    ]
    assert verdict_of(done).outcome == "winner"
    assert verdict_of(done).leader == "SGD"


def test_the_learned_sampler_needs_no_quota_and_gives_each_its_share_at_once() -> None:
    done = study(sampler="learned").run()
    phases = [(phase, len(list(rows))) for phase, rows in itertools.groupby(row.phase for row in done.rows)]
    assert phases[:3] == [("baseline", 5), ("survivors", 4 * SHARE), ("elimination", 4 * 3)]
    first = [row.optimizer for row in done.of("survivors")[: 4 * SHARE]]
    assert first == ["SGD", "Adam", "Lion", "Nadam"] * SHARE
    assert sum(row.searched for row in done.rows) == 4 * SHARE + 12


def test_a_clear_loser_is_dropped_with_its_reason_and_gets_no_further_trial() -> None:
    done = study().run()
    (decision,) = done.decisions
    assert set(decision["dropped"]) == {"Adam", "Lion", "Nadam"} - {"Adam"}  # two always stay
    assert "worse than SGD on 3 fresh seeds" in decision["dropped"]["Lion"]
    dropped_at = max(row.ord for row in done.of("elimination") if row.optimizer == "Lion")
    assert {row.optimizer for row in done.rows if row.ord > dropped_at + 3} == {"SGD", "Adam", "baseline"}


def test_of_an_optimizers_three_best_single_runs_the_best_on_average_goes_to_the_finals() -> None:
    def lucky(ticket: NewTicket, noise: random.Random) -> float:
        """The best single run of each optimizer is one that is far worse on other seeds."""
        number = (ticket.arguments or {}).get("number")
        return noisy(ticket, noise) + 0.3 * (ticket.phase != "quota" and number in luckiest)

    luckiest: set[object] = set()
    luckiest |= {min(rows, key=lambda row: row.value or 0.0).trial for rows in tried_of(study().run())}
    done = Simulated(study().spec, lucky).run()
    again = {(row.optimizer, row.params["number"]) for row in done.of("elimination")}
    assert Counter(name for name, _ in again)["SGD"] == LOOKED_AT_AGAIN
    finalists = {row.params["number"] for row in done.of("final") if row.role == "tuned"}
    assert not finalists & luckiest


def test_no_phase_meets_a_seed_of_another_one_and_finalists_share_theirs() -> None:
    done = study().run()
    seeds = {phase: {row.seed for row in done.of(phase)} for phase in ("quota", "elimination", "final")}
    assert not seeds["quota"] & seeds["elimination"] and not seeds["final"] & seeds["elimination"]
    assert not seeds["quota"] & seeds["final"]
    by_finalist = {(row.optimizer, row.role): set() for row in done.of("final")}  # type: ignore[var-annotated]
    for row in done.of("final"):
        by_finalist[row.optimizer, row.role].add(row.seed)
    assert len({frozenset(found) for found in by_finalist.values()}) == 1


def test_equals_get_more_seeds_until_a_tie_and_the_users_own_gets_them_too() -> None:
    def alike(ticket: NewTicket, noise: random.Random) -> float:
        return 1.0 + noise.gauss(0.0, 0.006)

    done = Simulated(spec_of(optimizers="sgd,adam", trials=24), alike).run()
    assert verdict_of(done).outcome == "tie"
    seeds = Counter((row.optimizer, row.role) for row in done.of("final"))
    assert seeds["baseline", "own"] == max(seeds["SGD", "tuned"], seeds["Adam", "tuned"]) > 5
    assert seeds["SGD", "defaults"] == 5
    assert max(seeds.values()) <= MOST_SEEDS


def test_a_few_trials_are_a_first_look_without_elimination() -> None:
    done = study(trials=12).run()
    assert Counter(row.phase for row in done.rows) == {"baseline": 5, "quota": 12, "final": 20}
    assert done.decisions == []


def test_an_optimizer_that_always_explodes_is_dropped_and_the_others_go_on() -> None:
    def explosive(ticket: NewTicket, noise: random.Random) -> float | None:
        return None if ticket.optimizer == "Lion" else noisy(ticket, noise)

    done = Simulated(spec_of(optimizers="sgd,adam,lion", trials=3 * SHARE + 9), explosive).run()
    assert done.decisions[0]["dropped"]["Lion"] == "no trial reached its last epoch: 16 diverged"
    assert sum(row.searched for row in done.rows) == 3 * SHARE + 9


def test_a_configuration_that_explodes_on_a_fresh_seed_gives_way_to_the_next_best() -> None:
    def shaky(ticket: NewTicket, noise: random.Random) -> float | None:
        first = ticket.phase == "elimination" and (ticket.arguments or {}).get("number") == best
        return None if first and ticket.optimizer == "SGD" and ticket.seed == 101 else noisy(ticket, noise)

    best: int | None = None
    probe = study().run()
    best = min(
        (row for row in probe.rows if row.searched and row.optimizer == "SGD"), key=lambda row: row.value or 0
    ).trial
    done = Simulated(probe.spec, shaky).run()
    tried = {row.params["number"] for row in done.of("elimination") if row.optimizer == "SGD"}
    assert best in tried and len(tried) == LOOKED_AT_AGAIN
    assert {
        row.params["number"] for row in done.of("final") if row.role == "tuned" and row.optimizer == "SGD"
    } != {best}


def test_a_study_in_which_everything_explodes_ends() -> None:
    done = Simulated(spec_of(optimizers="sgd,adam", trials=30), lambda ticket, noise: None).run()
    assert sum(row.searched for row in done.rows) == 30
    assert done.of("final") == []


def test_more_trials_reopen_the_survivors_and_bring_new_finals_on_new_seeds() -> None:
    done = study().run()
    before = {row.seed for row in done.of("final")}
    done.budget += 10
    done.run()
    assert sum(row.searched for row in done.rows) == 4 * SHARE + 12 + 10
    assert {row.optimizer for row in done.of("survivors")[-10:]} == {"SGD", "Adam"}
    assert not before & {row.seed for row in current_finals(done.rows)}
    assert verdict_of(done).leader == "SGD"


def test_more_seeds_are_added_to_the_present_finals() -> None:
    done = study().run()
    before = Counter((row.optimizer, row.role) for row in done.of("final"))
    done.train(strategy_of(done.spec).further_seeds(done.progress, 3))
    after = Counter((row.optimizer, row.role) for row in done.of("final"))
    assert after - before == {("SGD", "tuned"): 3, ("Adam", "tuned"): 3, ("baseline", "own"): 3}
    assert next_step(done.spec, done.progress).tickets == []


def test_the_best_configuration_alone_needs_no_comparison() -> None:
    def any_of(ticket: NewTicket, noise: random.Random) -> float:
        return 1.0

    done = Simulated(spec_of(optimizers="sgd,adam", trials=15, goal="best-config"), any_of).run()
    assert Counter(row.phase for row in done.rows) == {"baseline": 1, "joint": 15}
    done.budget += 5
    assert len(done.run().of("joint")) == 20


@pytest.mark.parametrize("minutes", [1, 5, 20, 60])
def test_minutes_become_a_budget_at_the_pace_of_the_baseline_runs(minutes: int) -> None:
    done = study(trials=None, minutes=minutes).run()
    searched = sum(row.searched for row in done.rows)
    assert searched == done.budget >= 4
    first_look = 5 + searched + strategy_of(done.spec).evaluation_runs(searched)
    assert first_look * 2.0 <= max(60 * minutes, (5 + 4 + 20) * 2.0)
    assert minutes < 5 or first_look * 2.0 > 0.8 * 60 * minutes


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_is_set_among_the_baseline_runs_makes_the_budget_neither_huge_nor_nothing(
    jump: float,
) -> None:
    runs = study(trials=None, minutes=20).run().of("baseline")
    later = [replace(run, started=run.started + jump, finished=run.finished + jump) for run in runs[2:]]  # type: ignore[operator]
    assert max(run.seconds or 0.0 for run in runs) <= seconds_of([*runs[:2], *later]) <= 3.0 * len(runs)
    assert seconds_of(runs) == 2.0 * len(runs), "a clock that nobody sets is believed"


def test_a_budget_that_fits_nothing_still_tries_each_optimizer_once() -> None:
    assert fitting_budget(strategy_of(spec_of(optimizers="sgd,adam,lion")), runs=-5) == 3


# --- who is set aside ---------------------------------------------------------------------------------


ASIDE = {"phase": "set aside", "dropped": {"Lion": "set aside, for its trials ended their process 3 times"}}


def set_aside_after(tickets: int, name: str = "Lion", **asked: object) -> Simulated:
    """A study in which an optimizer dies once so many of its tickets are done: the next fails, free ones are withdrawn."""
    done = Simulated(spec_of(optimizers="sgd,adam,lion", **asked), noisy)
    done.budget = done.spec.trials
    first = [*baseline_tickets(done.spec), *quota_tickets(done.spec, done.spec.singles, QUOTA)]
    of_it = [ticket for ticket in first if ticket.optimizer == name and ticket.role != "defaults"]
    done.train([ticket for ticket in first if ticket not in of_it[tickets + 1 :]])
    done.decisions.append({**ASIDE, "dropped": {name: "set aside"}})
    return done.run()


def test_who_is_set_aside_gets_nothing_more_and_the_others_have_its_budget() -> None:
    done = set_aside_after(1, trials=60)
    assert sum(row.searched for row in done.rows) == 60
    counts = Counter(row.optimizer for row in done.rows if row.searched)
    assert counts["Lion"] == 2 and counts["SGD"] == counts["Adam"] == 29
    later = [row for row in done.rows if row.phase in ("survivors", "elimination", "final")]
    assert {row.optimizer for row in later} == {"SGD", "Adam", "baseline"}
    assert verdict_of(done).outcome == "winner"


def test_where_all_are_set_aside_the_study_ends() -> None:
    done = Simulated(spec_of(optimizers="sgd", trials=24), noisy)
    done.budget, done.decisions = 24, [{**ASIDE, "dropped": {"SGD": "set aside"}}]
    assert done.run().rows == []


def test_without_the_users_own_the_others_are_compared_with_each_other() -> None:
    done = Simulated(
        spec_of(optimizers="sgd,adam", trials=40),
        noisy,
        decisions=[{**ASIDE, "dropped": {"baseline": "set aside"}}],
    ).run()
    assert {row.optimizer for row in done.of("final")} == {"SGD", "Adam"}
    assert verdict_of(done).leader == "SGD"


def test_minutes_are_planned_for_those_who_are_left() -> None:
    spec = spec_of(optimizers="sgd,adam,lion", minutes=10)
    done = Simulated(spec, noisy, decisions=[ASIDE])
    done.budget = 0
    done.train(baseline_tickets(spec))
    done.run()
    assert "Lion" not in {row.optimizer for row in done.rows if row.phase != "baseline"}
