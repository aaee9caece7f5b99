"""Optuna's studies live in schema optuna, and a lost database costs time, not results.

Optuna's own suite for storages holds for ours, whose trials are read and written past Optuna's ORM.
"""

import itertools
import math
import pickle
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import psycopg2
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL, text
from sqlalchemy.exc import OperationalError

from optselect.storage.errors import SchemaMismatch, Unreachable
from optselect.storage.optuna_tables.storage import PatientStorage, optuna_storage
from optselect.storage.server.database import EMBEDDED_DATABASE, Database, make_engine
from optselect.storage.server.embedded import ensure_running, stop
from tests.service.conftest import execute, fresh_database
from tests.support.homes import THROW_AWAY


@pytest.fixture(scope="module")
def kept_database(server: URL, home: Path, template: str) -> Iterator[Database]:
    with fresh_database(server, home, template) as database:
        yield database


@pytest.fixture
def initialised_database(kept_database: Database) -> Database:
    """The module's database, emptied: a database of its own for each of eighty tests takes a minute in all."""
    execute(kept_database.url, "TRUNCATE optuna.studies RESTART IDENTITY CASCADE")
    return kept_database


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


# --- past the ORM -------------------------------------------------------------------------------------


@pytest.fixture(params=["Asia/Kathmandu", "America/St_Johns"])
def far_away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where local time differs from Optuna's stored one by odd minutes."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def every_kind_of_trial() -> Iterator[FrozenTrial]:
    distributions = {
        "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
        "stepped": FloatDistribution(0.0, 1.0, step=0.25),
        "whole": IntDistribution(1, 100, log=True),
        "halves": IntDistribution(0, 10, step=2),
        "choice": CategoricalDistribution((None, True, 1, 1.5, "sgd")),
    }
    params = {"learning_rate": 1 / 3e3, "stepped": 0.75, "whole": 7, "halves": 4, "choice": None}
    began, ended = datetime(2026, 3, 29, 1, 59, 59, 123456), datetime(2026, 10, 25, 3, 0, 0, 1)
    attributes: Any = {"user_attrs": {"text": 'é "quoted" \\u0000', "nested": {"a": [1, None, 2.5]}}}
    steps = {1: 0.1, 2: math.nan, 10: math.inf, 3: -math.inf, 0: 1e-310}
    given: Any = {"distributions": distributions, "params": params}
    for value in (0.1, 1e308, 5e-324, math.inf, -math.inf, 3.0):
        trial = create_trial(value=value, intermediate_values=steps, **given, **attributes)
        trial.datetime_start, trial.datetime_complete = began, ended
        yield trial
    yield create_trial(state=TrialState.PRUNED, system_attrs={"constraints": [1.5, -0.0]}, **given)
    yield create_trial(state=TrialState.FAIL)
    yield create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"choice": "sgd"}})
    yield create_trial(state=TrialState.RUNNING, **given)


def exactly(trial: FrozenTrial) -> dict[str, str]:
    """A trial to the last bit, NaN and the types of its parameters included."""
    return {
        name: repr(sorted(value.items(), key=repr) if isinstance(value, dict) else value)
        for name, value in vars(trial).items()
    }


def test_what_one_statement_reads_equals_what_optuna_reads(storage: PatientStorage, far_away: None) -> None:
    assert storage.is_known
    study = optuna.create_study(storage=storage)
    study.add_trials(list(every_kind_of_trial()))
    study.ask().set_constraint("diverged", 1.25)
    optuna.create_study(storage=storage).ask()  # somebody else's
    ids = [trial._trial_id for trial in study.trials]
    choices = itertools.product(
        (None, (TrialState.COMPLETE,), (TrialState.RUNNING, TrialState.WAITING)),
        (set(), set(ids[:3]), set(ids)),
        (-1, ids[4], ids[-1]),
    )
    for choice in choices:
        ours = storage._get_trials(study._study_id, *choice)
        stock = RDBStorage._get_trials(storage, study._study_id, *choice)
        assert [exactly(trial) for trial in ours] == [exactly(trial) for trial in stock]
    for number in ids:
        assert exactly(storage.get_trial(number)) == exactly(RDBStorage.get_trial(storage, number))


def test_several_objectives_are_read_in_order(storage: PatientStorage) -> None:
    study = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    study.tell(study.ask(), [math.inf, 2.0])
    assert study.trials[0].values == [math.inf, 2.0]


def test_a_study_or_trial_that_is_not_there_is_a_key_error(storage: PatientStorage) -> None:
    with pytest.raises(KeyError):
        storage._get_trials(77, None, set(), -1)
    with pytest.raises(KeyError):
        storage.get_trial(77)


def test_a_trial_written_past_the_orm_equals_one_that_optuna_writes(
    storage: PatientStorage, far_away: None
) -> None:
    template = create_trial(
        state=TrialState.RUNNING,
        user_attrs={"ticket": 3, "text": 'é \u2028 "'},
        system_attrs={"fixed_params": {"a": None}},
    )
    studies = [optuna.create_study(storage=storage)._study_id for _ in range(2)]
    ours = storage._create_new_trial(studies[0], template)
    stock = RDBStorage._create_new_trial(storage, studies[1], template)
    distribution = CategoricalDistribution(("a", "b"))
    for _ in range(2):  # the second time changes the attribute and leaves the parameter
        storage._set_trial_param(ours._trial_id, "x", 1.0, distribution, distribution)
        RDBStorage._set_trial_param(storage, stock._trial_id, "x", 1.0, distribution, distribution)
        for key, value in (("phase", "quota"), ("phase", "final"), ("ticket", math.inf)):
            storage.set_trial_user_attr(ours._trial_id, key, value)
            storage.set_trial_system_attr(ours._trial_id, key, value)
            RDBStorage.set_trial_user_attr(storage, stock._trial_id, key, value)
            RDBStorage.set_trial_system_attr(storage, stock._trial_id, key, value)
    left, right = (exactly(RDBStorage.get_trial(storage, trial._trial_id)) for trial in (ours, stock))
    assert {**left, "_trial_id": ""} == {**right, "_trial_id": ""}
    assert exactly(ours)["_datetime_start"] == left["_datetime_start"]


def test_nothing_is_written_to_a_trial_that_has_ended(storage: PatientStorage) -> None:
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    study.tell(trial, 1.0)
    distribution = IntDistribution(0, 9)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage._set_trial_param(trial._trial_id, "x", 1.0, distribution, distribution)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial._trial_id, "a", 1)
    with pytest.raises(ValueError, match="different distribution kind"):
        storage._set_trial_param(trial._trial_id, "x", 1.0, distribution, FloatDistribution(0, 1))


def test_racing_processes_number_their_trials_without_a_gap(initialised_database: Database) -> None:
    study_id = optuna.create_study(storage=optuna_storage(initialised_database))._study_id

    def ask() -> None:
        own = optuna_storage(initialised_database)
        for _ in range(10):
            own._create_new_trial(study_id, create_trial(state=TrialState.RUNNING, user_attrs={"a": 1}))
        own.engine.dispose()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = optuna_storage(initialised_database)._get_trials(study_id, None, set(), -1)
    assert [trial.number for trial in trials] == list(range(40))
    assert all(trial.user_attrs == {"a": 1} for trial in trials)


def test_tables_of_another_revision_are_left_to_optuna(
    initialised_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optselect.storage.optuna_tables.storage.SCHEMA_REVISION", "v9")
    storage = optuna_storage(initialised_database)
    assert not storage.is_known
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    study.tell(trial, 0.5)
    assert optuna_storage(initialised_database).get_all_trials(study._study_id) == study.trials
