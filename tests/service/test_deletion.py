"""What a deleted study leaves: nothing; and whose ticket is held is not deleted."""

import uuid

import pytest
from sqlalchemy import Engine, text

from optselect.storage import deletion
from optselect.storage.errors import InUse
from optselect.storage.records import workers
from optselect.storage.records.curves import EpochRow, write_epochs
from optselect.storage.records.studies import StoredStudy, find_study
from optselect.storage.records.tickets import claim_ticket
from optselect.storage.server.database import Database


def test_everything_of_a_study_is_counted_before_it_goes(engine: Engine, study: StoredStudy) -> None:
    worker = uuid.uuid4()
    workers.register_worker(engine, study.id, worker, slot=None, device="cpu")
    ticket = claim_ticket(engine, study.id, worker)
    assert ticket is not None
    write_epochs(engine, ticket.lease, [EpochRow(1, 1, {"loss": 1.0}), EpochRow(2, 2, {"loss": 0.5})])
    held = deletion.read_holdings(engine, study.id)
    assert (held.trials, held.epochs, held.checkpoints, held.workers) == (1, 2, 0, 1)


def test_a_held_ticket_forbids_it_and_keeps_the_study_as_it_is(engine: Engine, study: StoredStudy) -> None:
    claim_ticket(engine, study.id, uuid.uuid4())
    with pytest.raises(InUse, match=r"1 trials that run\. First: optselect stop study"):
        deletion.close_study(engine, study)
    stored = find_study(engine, study.name)
    assert stored is not None and stored.state == "running"


def test_a_closed_study_gives_out_no_ticket_any_more(engine: Engine, study: StoredStudy) -> None:
    deletion.close_study(engine, study)
    assert claim_ticket(engine, study.id, uuid.uuid4()) is None


def test_deleting_twice_does_no_harm(
    engine: Engine, initialised_database: Database, study: StoredStudy
) -> None:
    for _ in range(2):
        deletion.delete_files(study, initialised_database)
        deletion.delete_rows(engine, initialised_database, study)
    assert find_study(engine, study.name) is None
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM ticket")).scalar_one() == 0
