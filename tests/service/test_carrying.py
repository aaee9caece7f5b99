"""The process that carries curves to MLflow beside a supervisor: it sends all, is replaced when it dies, and goes with it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from optselect.search.processes.carrier import Carrier
from optselect.storage.records import curves, tickets
from optselect.storage.records.checkpoints import Checkpoint, place
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import TrialEnding
from optselect.storage.server.database import Database, child_environment, make_engine
from optselect.storage.tracking.outbox import count_unsent
from tests.service.test_tickets import claim
from tests.support.commands import await_that
from tests.support.studies import store_study


@pytest.fixture
def engine(tracked_database: Database) -> Iterator[Engine]:
    engine = make_engine(tracked_database)
    yield engine
    engine.dispose()


@pytest.fixture
def carrier(
    tracked_database: Database, engine: Engine, tmp_path: Path
) -> Iterator[tuple[Carrier, StoredStudy]]:
    """A carrier of a study with one trial that has ended."""
    study = store_study(engine, trials=1)
    ticket = claim(engine, study)
    tickets.bind_trial(engine, ticket.lease, 1000, 0)
    tickets.set_params(engine, ticket.lease, ticket.optimizer, {"learning_rate": 0.5})
    state = place(Checkpoint(1, 1.0, b"state"), ticket.lease, "nowhere")
    curves.write_epochs(engine, ticket.lease, [EpochRow(1, 5001, {"val_loss": 0.5})], checkpoint=state)
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 1, 0.5)):
        pass
    environment = child_environment(tracked_database, os.environ, tmp_path)
    started = Carrier(study.name, environment, None)
    yield started, study
    started._process.kill()


def test_one_that_was_killed_is_replaced_and_all_is_sent_before_the_end(
    engine: Engine, carrier: tuple[Carrier, StoredStudy]
) -> None:
    at_work, study = carrier
    os.kill(at_work._process.pid, signal.SIGKILL)
    await_that(lambda: "SIGKILL" in at_work.behind, "its death is told")
    assert at_work.close(patience_seconds=60.0), at_work.behind
    assert count_unsent(engine, study.id) == 0


def test_it_ends_with_its_supervisor(carrier: tuple[Carrier, StoredStudy]) -> None:
    at_work, _ = carrier
    process: subprocess.Popen[str] = at_work._process
    await_that(
        lambda: psutil.Process(process.pid).nice() > psutil.Process().nice(), "it lets trainings go first"
    )
    assert process.stdin is not None
    process.stdin.close()  # as the kernel does when a supervisor is killed
    assert process.wait(60) == 0
