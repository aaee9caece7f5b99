"""Runs that no seed changes are one run: no verdict, no further seeds, nobody dropped for it."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from optselect.search.cli.checking import row_of
from optselect.search.describing.checking import notes_on
from optselect.search.strategy.phases import ENOUGH_OF_ONE_RUN
from optselect.search.strategy.planning import SHARE
from optselect.search.verdict.findings import Findings, NoVerdict, find
from optselect.search.verdict.record import Record
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.tickets import NewTicket
from tests.support.problems import description
from tests.support.simulated import Simulated, spec_of

TRUTH = {"SGD": 1.3, "Adam": 1.0, "Nadam": 1.2, "baseline": 2.0}


def one_run_each(ticket: NewTicket, random: random.Random) -> float:
    """The same for every seed; another one for every configuration."""
    return TRUTH[ticket.optimizer] + 0.01 * ((ticket.arguments or {}).get("number", 0) or 0)


def study(trials: int) -> Simulated:
    return Simulated(spec_of(optimizers="sgd,adam,nadam", trials=trials), one_run_each).run()


def record(done: Simulated, seeds_differ: bool = True, **changed: Any) -> Record:
    problem = replace(description(), seeds_differ=seeds_differ)
    rows = [replace(row, **changed.get(row.optimizer, {})) for row in done.rows]
    return Record("net", done.spec, problem, done.budget, True, done.decisions, rows)


def test_no_verdict_is_given_from_one_run_that_is_counted_five_times() -> None:
    found = find(record(study(6)))
    assert isinstance(found, NoVerdict)
    assert found.reason.startswith(
        "No verdict: the runs of your present optimizer on 5 seeds are one and the same run, and"
    )
    assert "launch under another --name" in found.reason


def test_neither_more_seeds_are_asked_for_nor_anybody_dropped() -> None:
    done = study(3 * SHARE + 3)
    assert done.decisions == [{"phase": "elimination", "dropped": {}}]
    seeds = Counter((row.optimizer, row.role) for row in done.of("final"))
    assert set(seeds.values()) == {ENOUGH_OF_ONE_RUN}
    assert isinstance(find(record(done)), NoVerdict)


@pytest.mark.parametrize("share", [1e-5, 1e-4])
def test_sums_in_another_order_make_no_other_run_where_seeds_change_nothing(share: float) -> None:
    done = study(12)
    done.rows = [moved(row, share) for row in done.rows]
    assert isinstance(find(record(done, seeds_differ=True)), Findings)
    assert isinstance(find(record(done, seeds_differ=False)), NoVerdict)


def moved(row: TrialRow, share: float) -> TrialRow:
    assert row.value is not None
    return replace(row, value=row.value * (1 + share * (row.seed % 7)))


def test_scores_of_one_hundred_per_cent_are_not_one_run_where_other_numbers_differ() -> None:
    done = study(12)
    done.rows = [replace(row, value=1.0, result={**row.result, "best": row.seed + 1.0}) for row in done.rows]
    assert isinstance(find(record(done)), Findings)


def test_explosions_on_each_seed_are_not_one_run() -> None:
    done = study(12)
    done.rows = [
        moved(row, 0.01) if row.optimizer != "baseline" else replace(row, state="diverged", value=None)
        for row in done.rows
    ]
    assert isinstance(find(record(done)), Findings)


def test_check_marks_what_the_user_must_know() -> None:
    assert list(notes_on(description())) == []
    (line,) = notes_on(replace(description(), seeds_differ=False))
    console = Console(width=200)
    with console.capture() as shown:
        console.print(row_of(line))
    assert line.is_ok and shown.get().startswith("note seeds          Seeds change nothing: two of them")
