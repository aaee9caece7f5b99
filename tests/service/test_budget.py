"""As many search trials as were asked for, however often a study is resumed and whoever dies, leaves or stops it."""

import random
import threading
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine

from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.choosing import first_step, next_step
from optselect.storage.errors import LeaseLost
from optselect.storage.records import overview, studies, tickets
from optselect.storage.records.phases import plan_next
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import TrialEnding
from tests.support.simulated import spec_of
from tests.support.studies import new_study

SEEDS = range(3)


def store(engine: Engine, spec: StudySpec) -> StoredStudy:
    new = replace(new_study("budget"), spec=spec.model_dump(mode="json"))
    with studies.creating(engine) as connection:
        return studies.insert_study(connection, new, first_step(spec).tickets, spec.trials)


class Careless(threading.Thread):
    """Works until nothing is left; now and then it dies with its ticket, leaves in good order, or is slow."""

    def __init__(self, engine: Engine, study: StoredStudy, spec: StudySpec, seed: int) -> None:
        super().__init__()
        self._engine, self._study, self._spec = engine, study, spec
        self._chance = random.Random(seed)

    def run(self) -> None:
        while tickets.count_undone(self._engine, self._study.id):
            dies = self._chance.choice((True, False))
            ticket = tickets.claim_ticket(self._engine, self._study.id, uuid.uuid4())
            if ticket is None:
                if studies.study_state(self._engine, self._study.id) != "running":
                    return
            elif ticket.attempts_exhausted or (not dies and self._chance.random() >= 0.3):
                self.finish(ticket)
            elif dies:  # whoever comes next takes it over
                tickets.expire_lease(self._engine, ticket.lease, "its process is gone")
            else:
                tickets.give_back(self._engine, ticket.lease)

    def finish(self, ticket: tickets.Ticket) -> None:
        lost = ticket.attempts_exhausted
        ending = (
            TrialEnding("failed", 0)
            if lost
            else TrialEnding("complete", 10, self._chance.random(), result={"seconds": 2.0})
        )
        try:
            with tickets.finishing(self._engine, ticket.lease, ending, self.plan):
                pass
        except LeaseLost:
            pass  # another one was faster: exactly what the fence is for

    def plan(self, connection: Connection, study_id: int) -> None:
        plan_next(connection, study_id, lambda progress: next_step(self._spec, progress))


@pytest.mark.parametrize("goal", ["verdict", "best-config"])
def test_any_number_of_resumes_adds_exactly_what_each_asked_for(engine: Engine, goal: str) -> None:
    spec = spec_of(trials=12, optimizers="sgd,adam,rmsprop", goal=goal)
    study = store(engine, spec)
    asked = 12
    for more in (5, 1, 0, 7):
        team = [Careless(engine, study, spec, seed) for seed in SEEDS]
        for worker in team:
            worker.start()
        studies.order_state(engine, study.id, random.Random(more).choice(("paused", "stopped")))
        studies.reopen_study(engine, study.id, more, team[0].plan)  # while they work, or after they left
        asked += more
        for worker in team:
            worker.join()
    last = Careless(engine, study, spec, seed=99)
    while studies.study_state(engine, study.id) == "running":
        last.run()
    rows = overview.list_trials(engine, study.id)
    assert sum(row.searched for row in rows) == asked
    assert {row.state for row in rows} <= set(overview.ENDED)
    stored = studies.load_study(engine, "budget")
    assert (stored.state, stored.budget) == ("finished", asked)
