"""Deaths count across machines, by optimizer: who dies of itself too often is set aside, the others have its budget."""

import threading
import uuid

import pytest
from sqlalchemy import Engine, text

from optselect.storage.records import overview, studies, tickets, workers
from optselect.storage.records.deaths import DeadWorker, Death, release_dead, set_aside
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import Ticket, TrialEnding
from tests.support.studies import store_study

OWN = Death(1, "SIGSEGV", is_own=True)
FOREIGN = Death(1, "SIGKILL")


@pytest.fixture
def study(engine: Engine) -> StoredStudy:
    return store_study(engine, trials=4, name="deaths", optimizers=("Adam", "SGD"))


def die(
    engine: Engine, study: StoredStudy, death: Death, optimizer: str = "Adam"
) -> tuple[Ticket, DeadWorker]:
    """One life: claim until it has a ticket of the optimizer, end the others as a worker does, and die with it."""
    worker = uuid.uuid4()
    workers.register_worker(engine, study.id, worker, slot=0, device="CPU")
    while True:
        ticket = tickets.claim_ticket(engine, study.id, worker)
        assert ticket is not None
        if ticket.optimizer == optimizer and not ticket.attempts_exhausted:
            return ticket, release_dead(engine, study.id, worker, death)
        ending = TrialEnding("failed", 0) if ticket.attempts_exhausted else TrialEnding("complete", 3, 0.5)
        with tickets.finishing(engine, ticket.lease, ending):
            pass


def aside(engine: Engine, study: StoredStudy) -> dict[str, str]:
    return set_aside(studies.load_study(engine, study.name).decisions)


def free(engine: Engine, study: StoredStudy) -> list[str]:
    rows = overview.list_trials(engine, study.id)
    return [row.optimizer for row in rows if row.state == "waiting"]


def test_the_third_death_of_its_own_sets_an_optimizer_aside_and_withdraws_what_is_free(
    engine: Engine, study: StoredStudy
) -> None:
    dead = [die(engine, study, OWN)[1] for _ in range(3)]
    assert [one.set_aside for one in dead[:2]] == [{}, {}]
    assert list(dead[2].set_aside or ()) == ["Adam"]
    assert "3 times; the last time: SIGSEGV" in aside(engine, study)["Adam"]
    assert free(engine, study) == ["Adam", "SGD", "SGD", "SGD", "SGD"], (
        "its own ticket is to be given up by the next worker"
    )
    claimed = tickets.claim_ticket(engine, study.id, uuid.uuid4())
    assert claimed is not None and claimed.optimizer == "Adam" and claimed.attempts_exhausted
    assert claimed.cause == "SIGSEGV"


def test_a_ticket_with_many_attempts_left_ends_with_its_optimizer(engine: Engine, study: StoredStudy) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET max_attempts = 1000"))
    for _ in range(3):
        die(engine, study, OWN)
    claimed = tickets.claim_ticket(engine, study.id, uuid.uuid4())
    assert claimed is not None and (claimed.optimizer, claimed.attempts_exhausted) == ("Adam", True)


def test_kills_by_another_hand_set_nobody_aside(engine: Engine, study: StoredStudy) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET max_attempts = 1000"))
    for _ in range(9):
        assert die(engine, study, FOREIGN)[1].charged == 1
    assert aside(engine, study) == {}
    assert free(engine, study).count("Adam") == 4


def test_one_that_has_trained_to_an_end_is_set_aside_only_by_three_different_trials(
    engine: Engine, study: StoredStudy
) -> None:
    die(engine, study, FOREIGN, optimizer="SGD")  # on its way there a trial of Adam ends well
    trials = []
    while not aside(engine, study):
        trials.append(die(engine, study, OWN)[0].id)
    assert [trials.count(trial) for trial in dict.fromkeys(trials)] == [3, 3, 1]


def test_a_death_is_counted_once_and_nothing_without_a_ticket(engine: Engine, study: StoredStudy) -> None:
    worker = uuid.uuid4()
    workers.register_worker(engine, study.id, worker, slot=0, device="CPU")
    while (
        ticket := tickets.claim_ticket(engine, study.id, worker)
    ) is not None and ticket.optimizer != "Adam":
        with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 3, 0.5)):
            pass
    assert release_dead(engine, study.id, worker, OWN) == DeadWorker(finished=1, charged=1, set_aside={})
    assert ticket is not None
    assert tickets.claim_ticket(engine, study.id, uuid.uuid4()) is not None
    assert release_dead(engine, study.id, worker, OWN) == DeadWorker(finished=1, charged=0, set_aside={})
    assert release_dead(engine, study.id, uuid.uuid4(), OWN) == DeadWorker(
        finished=0, charged=0, set_aside={}
    )
    decisions = studies.load_study(engine, study.name).decisions
    assert [made["phase"] for made in decisions] == ["death"]


def test_deaths_at_the_same_moment_are_all_counted(engine: Engine) -> None:
    study = store_study(engine, trials=6, name="deaths-at-once", optimizers=("Adam",))
    held = []
    for _ in range(7):
        worker = uuid.uuid4()
        workers.register_worker(engine, study.id, worker, slot=0, device="CPU")
        ticket = tickets.claim_ticket(engine, study.id, worker)
        assert ticket is not None
        held += [worker] if ticket.optimizer == "Adam" else []
    threads = [threading.Thread(target=release_dead, args=(engine, study.id, worker, OWN)) for worker in held]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decisions = studies.load_study(engine, study.name).decisions
    assert [made["phase"] for made in decisions] == ["death", "death", "death", "set aside"]
