"""The next phase is planned once, by whoever finishes the last ticket, however many finish at the same moment."""

import threading
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine

from optselect.storage.records import overview, studies, tickets
from optselect.storage.records.phases import Progress, Step, decide_once, plan_next
from optselect.storage.records.tickets import NewTicket, TrialEnding
from tests.support.studies import store_study


def next_phase(progress: Progress) -> Step:
    """Two phases after the search: a decision that needs no ticket, then eight runs."""
    if not progress.decisions:
        return Step(decision={"phase": "elimination", "dropped": {"SGD": "worse"}}, and_then=True)
    if any(trial.phase == "final" for trial in progress.trials):
        return Step()
    arguments = {"learning_rate": 0.125}
    return Step(
        [
            NewTicket("final", "Adam", seed, {"optimizer": "Adam"}, role="tuned", arguments=arguments)
            for seed in range(8)
        ]
    )


def plan(connection: Connection, study_id: int) -> None:
    plan_next(connection, study_id, next_phase)


def test_racing_workers_plan_each_phase_once_and_the_study_ends_after_the_last(engine: Engine) -> None:
    study = store_study(engine, trials=11, name="race-of-phases")

    def work() -> None:
        while studies.study_state(engine, study.id) == "running":
            ticket = tickets.claim_ticket(engine, study.id, uuid.uuid4())
            if ticket is not None:
                with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 3, 0.5), plan):
                    pass

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = overview.list_trials(engine, study.id)
    assert [row.phase for row in sorted(rows, key=lambda row: row.ord)] == [
        "baseline",
        *["quota"] * 11,
        *["final"] * 8,
    ]
    assert {row.seed for row in rows if row.phase == "final"} == set(range(8))
    stored = studies.load_study(engine, study.name)
    assert stored.decisions == [{"phase": "elimination", "dropped": {"SGD": "worse"}}]
    assert (stored.state, stored.budget) == ("finished", 11)


def test_what_is_measured_once_is_known_to_all_who_ask(engine: Engine) -> None:
    study = store_study(engine, trials=1, name="measured")
    made: list[int] = []
    known: list[Mapping[str, Any]] = []

    def measure() -> dict[str, Any]:
        made.append(len(made))
        return {"jit": True, "because": f"measured by process {made[-1]}"}

    def ask() -> None:
        known.append(decide_once(engine, study.id, "jit", measure))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [0]
    assert known == [{"phase": "jit", "jit": True, "because": "measured by process 0"}] * 4
    assert list(studies.load_study(engine, study.name).decisions) == known[:1]


def test_a_given_configuration_comes_with_its_ticket(engine: Engine) -> None:
    study = store_study(engine, trials=1, name="given")
    for _ in range(2):
        ticket = tickets.claim_ticket(engine, study.id, uuid.uuid4())
        assert ticket is not None and ticket.role == "search" and ticket.arguments is None
        with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 3, 0.5), plan):
            pass
    final = tickets.claim_ticket(engine, study.id, uuid.uuid4())
    assert final is not None
    assert (final.role, final.arguments, final.seed) == ("tuned", {"learning_rate": 0.125}, 0)
