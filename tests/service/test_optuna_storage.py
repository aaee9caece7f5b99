"""Optuna's studies live in schema optuna, and a lost database costs time, not results.

Optuna's own suite for storages runs with OPTSELECT_STORAGE_SUITE=1 (`make storage-suite`).
"""

import os
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psycopg2
import pytest
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from optselect.storage.database import EMBEDDED_DATABASE, Database, make_engine
from optselect.storage.embedded import ensure_running, stop
from optselect.storage.errors import SchemaMismatch, Unreachable
from optselect.storage.optuna_storage import PatientStorage, optuna_storage
from tests.homes import THROW_AWAY
from tests.service.conftest import execute, fresh_database


@pytest.fixture
def storage(initialised_database: Database) -> Iterator[PatientStorage]:
    storage = optuna_storage(initialised_database)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def restartable(restartable_home: Path) -> Iterator[Database]:
    """A database whose server the test may stop."""
    server = ensure_running(restartable_home, THROW_AWAY)
    with fresh_database(server, restartable_home, template=EMBEDDED_DATABASE) as database:
        yield database
        ensure_running(restartable_home, THROW_AWAY)


if "OPTSELECT_STORAGE_SUITE" in os.environ:  # else absent: it takes as long as all our service tests together

    class TestOptunasOwnSuite(StorageTestCase):
        pass


def test_a_study_is_kept_in_schema_optuna(storage: PatientStorage, initialised_database: Database) -> None:
    study = optuna.create_study(storage=storage, study_name="a")
    trial = study.ask()
    trial.suggest_float("Adam.learning_rate", 1e-5, 1e-1, log=True)
    study.tell(trial, 0.25)
    with make_engine(initialised_database, pooled=False).connect() as connection:
        assert connection.execute(text("SELECT value FROM optuna.trial_values")).scalar() == 0.25
    loaded = optuna.load_study(storage=optuna_storage(initialised_database), study_name="a")
    assert loaded.best_value == 0.25


def test_another_process_goes_on_with_the_same_trial(initialised_database: Database) -> None:
    study = optuna.create_study(storage=optuna_storage(initialised_database), study_name="a")
    asked = study.ask()
    learning_rate = asked.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    other = optuna.load_study(storage=optuna_storage(initialised_database), study_name="a")
    adopted = optuna.trial.Trial(other, asked._trial_id)
    other.get_trials(deepcopy=False)
    assert adopted.number == asked.number
    assert adopted.suggest_float("learning_rate", 1e-5, 1e-1, log=True) == learning_rate
    assert other.tell(adopted, 1.0).state == TrialState.COMPLETE


def test_no_result_is_lost_when_the_server_restarts_before_tell(
    restartable: Database, restartable_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = optuna.create_study(storage=optuna_storage(restartable, patience_seconds=30), study_name="a")
    trial = study.ask()
    trial.report(2.0, step=1)
    stop(restartable_home)
    back = threading.Timer(1.0, ensure_running, [restartable_home, THROW_AWAY])
    back.start()
    trial.report(1.0, step=2)
    told = study.tell(trial, 1.0)
    back.join()
    assert told.state == TrialState.COMPLETE
    assert study.get_trials()[0].intermediate_values == {1: 2.0, 2: 1.0}
    assert "Database lost, waiting up to 30 s" in caplog.text
    assert "Database back after" in caplog.text


def test_patience_ends_in_one_plain_line(restartable: Database, restartable_home: Path) -> None:
    study = optuna.create_study(storage=optuna_storage(restartable, patience_seconds=0.6), study_name="a")
    stop(restartable_home)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not come back within 1 s"):
        study.ask()
    assert time.monotonic() - began < 10
    ensure_running(restartable_home, THROW_AWAY)
    assert study.ask().number == 0


def test_a_cut_connection_is_replaced_unseen(storage: PatientStorage, initialised_database: Database) -> None:
    study = optuna.create_study(storage=storage, study_name="a")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    execute(initialised_database.url, f"{others} AND pid <> pg_backend_pid()")
    assert study.ask().number == 0


def test_a_tell_whose_answer_was_lost_counts_as_told(
    storage: PatientStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = RDBStorage.set_trial_state_values
    lost = [OperationalError("COMMIT", {}, psycopg2.OperationalError("server closed the connection"))]

    def commit_and_lose_the_answer(*arguments: Any) -> bool:
        answer = stock(*arguments)
        if lost:
            raise lost.pop()
        return answer

    monkeypatch.setattr(RDBStorage, "set_trial_state_values", commit_and_lose_the_answer)
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    assert storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):  # a second tell is still an error
        storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])


def test_opening_makes_no_tables(database: Database) -> None:
    with pytest.raises(SchemaMismatch, match="optselect db upgrade"):
        optuna_storage(database)
    assert execute(database.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'optuna'") == [(0,)]


def test_a_storage_sent_elsewhere_opens_the_same_tables(storage: PatientStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="a")
    copied: PatientStorage = pickle.loads(pickle.dumps(storage))
    assert copied.get_study_id_from_name("a") == study._study_id
