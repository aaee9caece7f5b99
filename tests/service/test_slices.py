"""A search of any size is planned a slice at a time, by whoever finishes a ticket; together the slices are the whole plan."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, event, text

from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.choosing import first_step, next_slice, next_step
from optselect.search.strategy.joint import joint_tickets
from optselect.search.strategy.planning import survivor_tickets
from optselect.storage.records import studies, tickets
from optselect.storage.records.phases import FEW_FREE, SLICE, SLICED, Progress, Step, plan_next
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import NewTicket, TrialEnding
from tests.support.simulated import spec_of
from tests.support.studies import new_study

MANY = 1_000_000
DONE = text("""
    UPDATE ticket SET state = 'done', outcome = 'complete', trial_value = 0.5, params = '{}'
     WHERE study_id = :study AND id IN (SELECT id FROM ticket WHERE study_id = :study AND state = 'free'
                                         ORDER BY ord LIMIT :count)""")
MADE = text("SELECT phase, optimizer, seed, fixed_params FROM ticket WHERE study_id = :study ORDER BY ord")


def store(engine: Engine, spec: StudySpec, name: str) -> StoredStudy:
    new, step = replace(new_study(name), spec=spec.model_dump(mode="json")), first_step(spec)
    decisions = () if step.decision is None else (step.decision,)
    with studies.creating(engine) as connection:
        return studies.insert_study(connection, new, step.tickets, spec.trials, decisions)


def planned(engine: Engine, study: StoredStudy, spec: StudySpec) -> None:
    """What a worker does at the end of a ticket; a slice is due or not."""
    ticket = tickets.claim_ticket(engine, study.id, uuid.uuid4())
    assert ticket is not None
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 1, 0.5), planner(spec)):
        pass


def planner(spec: StudySpec):  # type: ignore[no-untyped-def]
    def plan(connection: Connection, study_id: int) -> None:
        plan_next(
            connection,
            study_id,
            lambda progress: next_step(spec, progress),
            lambda begun: next_slice(spec, begun),
        )

    return plan


def finish(engine: Engine, study: StoredStudy, count: int) -> None:
    """So many tickets are done, as if workers had ended them."""
    with engine.begin() as connection:
        connection.execute(DONE, {"study": study.id, "count": count})


def made(engine: Engine, study: StoredStudy) -> list[NewTicket]:
    with engine.begin() as connection:
        rows = connection.execute(MADE, {"study": study.id}).all()
    return [NewTicket(*row) for row in rows]


@contextmanager
def inserted(engine: Engine) -> Iterator[list[int]]:
    """How many tickets each statement has made while the block runs."""
    counts: list[int] = []

    def note(_connection, cursor, statement, *_rest) -> None:  # type: ignore[no-untyped-def]
        if "INSERT INTO ticket" in statement:
            counts.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", note)
    yield counts
    event.remove(engine, "after_cursor_execute", note)


def test_a_study_of_a_million_begins_with_one_slice_and_gets_the_next_when_few_wait(engine: Engine) -> None:
    spec = spec_of(optimizers="sgd,adam", trials=MANY, goal="best-config")
    with inserted(engine) as counts:
        study = store(engine, spec, "million")
        planned(engine, study, spec)
        assert len(made(engine, study)) == 1 + SLICE, "there is enough to do"
        finish(engine, study, SLICE - FEW_FREE)
        for _ in range(3):
            planned(engine, study, spec)
    assert max(counts) <= 1 + SLICE
    whole = joint_tickets(spec, 0, 2 * SLICE)
    assert made(engine, study)[1:] == whole, "together the slices are what was planned at once"


def test_planning_goes_on_where_a_crash_stopped_it(engine: Engine) -> None:
    spec = spec_of(optimizers="sgd,adam", trials=MANY, goal="best-config")
    study = store(engine, spec, "crash")
    finish(engine, study, SLICE - FEW_FREE + 2)
    with pytest.raises(RuntimeError), engine.begin() as connection:
        planner(spec)(connection, study.id)
        raise RuntimeError("killed before the commit")
    assert len(made(engine, study)) == 1 + SLICE
    planned(engine, study, spec)
    assert made(engine, study)[1:] == joint_tickets(spec, 0, 2 * SLICE)


def test_the_last_slice_ends_exactly_at_the_budget_and_then_the_next_phase_comes(engine: Engine) -> None:
    spec = spec_of(optimizers="sgd,adam", trials=SLICE + 5, goal="best-config")
    study = store(engine, spec, "end")
    finish(engine, study, SLICE - FEW_FREE + 2)
    for _ in range(3):
        planned(engine, study, spec)
    assert len(made(engine, study)) == 1 + spec.trials
    finish(engine, study, spec.trials)
    while studies.study_state(engine, study.id) == "running":
        with engine.begin() as connection:
            planner(spec)(connection, study.id)
            connection.execute(tickets.FINISH_STUDY, {"study": study.id})
    assert len(made(engine, study)) == 1 + spec.trials


def test_slices_of_survivors_keep_the_equal_share_of_one_plan(engine: Engine) -> None:
    """After the elimination, with one optimizer dropped: seeds and turns go on where the slice before ended."""
    spec = spec_of(optimizers="sgd,adam,rmsprop", trials=3 * SLICE, seeds=5)
    study = store(engine, spec, "share")
    finish(engine, study, MANY)
    had = {"SGD": 16, "Adam": 16, "RMSprop": 16}
    gone = {"phase": "elimination", "dropped": {"RMSprop": "worse"}}

    def decide(progress: Progress) -> Step:
        if not progress.decisions:
            tickets_of_share = survivor_tickets(spec, spec.optimizers, {name: 6 for name in had}, 30)
            return Step(tickets_of_share, decision=gone)
        return next_step(spec, progress)

    def plan(connection: Connection, study_id: int) -> None:
        plan_next(connection, study_id, decide, lambda begun: next_slice(spec, begun))

    with inserted(engine) as counts:
        while len(made(engine, study)) < 4 + spec.trials:
            with engine.begin() as connection:
                plan(connection, study.id)
            finish(engine, study, 400)
    assert max(counts) <= SLICE
    assert studies.load_study(engine, study.name).decisions == [gone, SLICED]
    rest = survivor_tickets(spec, ["SGD", "Adam"], had, spec.trials - 48)
    assert [ticket for ticket in made(engine, study) if ticket.phase == "survivors"][30:] == rest


def test_a_search_of_one_slice_asks_nothing_further_while_it_has_tickets(engine: Engine) -> None:
    spec = spec_of(optimizers="sgd,adam", trials=24)
    study = store(engine, spec, "small")
    statements: list[str] = []
    event.listen(
        engine,
        "after_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    with engine.begin() as connection:
        planner(spec)(connection, study.id)
    assert sum("FROM study" in statement for statement in statements) == 1
    assert not any("GROUP BY" in statement or "epoch_log" in statement for statement in statements)
