"""A worker holds two connections at most, none of its threads asks for one while it holds one, and nothing waits for ever."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import Trial, TrialState
from sqlalchemy import Engine, Pool, event
from sqlalchemy.exc import DBAPIError

from optselect.search.bundles.source import read_bundle
from optselect.search.context import Context
from optselect.search.spec.objective import Objective
from optselect.search.spec.study_spec import Request, StudySpec, resolve
from optselect.search.strategy.asking import (
    ask_for,
    create_optuna_study,
    load_optuna_study,
    tell_pruned,
    told_within,
)
from optselect.search.studies.creating import create, new_study
from optselect.search.studies.in_process import InProcessDescriber
from optselect.search.worker.departure import Departure
from optselect.storage.optuna_tables.storage import optuna_storage
from optselect.storage.records import tickets
from optselect.storage.records.overview import list_trials
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import Ticket, TrialEnding
from optselect.storage.server.database import Database, make_engine, make_worker_engine, one_line, transient
from tests.service.conftest import execute
from tests.service.test_tickets import NOBODY, claim
from tests.support.commands import await_that
from tests.support.forked import Forks
from tests.support.workplace import store_steady, workplace

MOST = 2
PROBLEM = Path(__file__).parents[1] / "support" / "steady.py"


# --- a worker that trains -----------------------------------------------------------------------------


@dataclass
class Watched:
    """What happened to the connections of all pools of this process."""

    open: int = 0
    most_open: int = 0
    most_of_one_thread: int = 0
    users: set[str] = field(default_factory=set)
    _held: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def opened(self, *_: Any) -> None:
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)

    def closed(self, *_: Any) -> None:
        with self._lock:
            self.open -= 1

    def taken(self, _connection: Any, record: Any, _proxy: Any) -> None:
        record.info["taken by"] = name = threading.current_thread().name
        with self._lock:
            self.users.add(name)
            self._held[name] += 1
            self.most_of_one_thread = max(self.most_of_one_thread, self._held[name])

    def given_back(self, _connection: Any, record: Any) -> None:
        with self._lock:
            self._held[record.info.pop("taken by")] -= 1


@contextmanager
def watched() -> Iterator[Watched]:
    """Watch every pool while the block runs."""
    found = Watched()
    told = {
        "connect": found.opened,
        "close": found.closed,
        "checkout": found.taken,
        "checkin": found.given_back,
    }
    for name, listener in told.items():
        event.listen(Pool, name, listener)
    try:
        yield found
    finally:
        for name, listener in told.items():
            event.remove(Pool, name, listener)


def test_a_worker_holds_two_connections_at_most_and_each_of_its_threads_one(
    initialised_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optselect.trials.training.watch.REPORT_SECONDS", 0.0)
    study = stored_study(initialised_database)

    from optselect.search.worker.loop import work
    from optselect.search.worker.preparing import Assignment  # TensorFlow, whose settings are in place now

    with watched() as found:
        engine = make_worker_engine(initialised_database)
        # A beat every 50 ms, so that it meets whatever else is written.
        assert work(Assignment(initialised_database, engine, study, PROBLEM, 0.3), Departure()) == 0
        states = {trial.state for trial in list_trials(engine, study.id)}
        engine.dispose()
    assert "complete" in states
    assert {"MainThread", "writer", "lease"} <= found.users
    assert found.most_of_one_thread == 1
    assert found.most_open <= MOST and found.open == 0


def stored_study(database: Database) -> StoredStudy:
    """Search trials that are cut too, and checkpoints; nobody has begun."""
    engine = make_engine(database, pooled=False)
    description = InProcessDescriber(PROBLEM).result()
    request = Request(problem=str(PROBLEM), optimizers="adamw", trials=16, epochs=16, tune="all", seeds=0)
    spec: StudySpec = resolve(request, description, False, PROBLEM.parent)
    context = Context(None, database.home)
    bundle = read_bundle(PROBLEM, description.modules)
    return create(new_study("counted", spec, description, bundle, context), spec, database, engine)


@pytest.mark.slow
def test_a_worker_process_has_two_connections_at_most(
    initialised_database: Database, forked: Forks, tmp_path: Path
) -> None:
    store_steady(forked, initialised_database, tmp_path)
    with workplace(forked, initialised_database, tmp_path) as here:
        slow = {"EPOCH_SECONDS": "0.1", "OPTSELECT_LEASE_SECONDS": "0.3"}
        with here.forks.start(here.shell, "worker", "study", **slow) as worker:
            seen = list(connections_until_the_end(psutil.Process(worker.pid), initialised_database.url.port))
            assert worker.end() == 0
        here.demand_whole()
        assert here.ask("SELECT count(*) FROM ticket WHERE attempt > 1") == [(0,)]
    assert len(seen) > 100, "looked at all the time"
    assert 1 <= max(seen) <= MOST


def connections_until_the_end(process: psutil.Process, port: int | None) -> Iterator[int]:
    """How many a process has to the server, again and again."""
    try:
        while process.status() != psutil.STATUS_ZOMBIE:
            found = process.net_connections("tcp")
            yield sum(bool(one.raddr) and one.raddr.port == port for one in found)
    except psutil.NoSuchProcess:
        return


# --- the end of a trial -------------------------------------------------------------------------------


@pytest.fixture
def worker_engine(initialised_database: Database) -> Iterator[Engine]:
    engine = make_worker_engine(initialised_database)
    yield engine
    engine.dispose()


@pytest.fixture
def optuna_study(initialised_database: Database, worker_engine: Engine, study: StoredStudy) -> optuna.Study:
    create_optuna_study(optuna_storage(initialised_database), study.name, Objective("val_loss", "minimize"))
    return load_optuna_study(initialised_database, study.name, worker_engine)


@pytest.fixture
def asked(worker_engine: Engine, optuna_study: optuna.Study, study: StoredStudy) -> tuple[Ticket, Trial]:
    """A claimed ticket with its trial."""
    ticket = claim(worker_engine, study)
    trial = ask_for(optuna_study, ticket)
    tickets.bind_trial(worker_engine, ticket.lease, trial._trial_id, trial.number)
    return ticket, trial


def test_a_trial_ends_while_its_beat_holds_the_other_connection_and_a_third_thread_waits(
    worker_engine: Engine, optuna_study: optuna.Study, asked: tuple[Ticket, Trial]
) -> None:
    ticket, trial = asked
    with ThreadPoolExecutor(2) as threads:
        with (
            tickets.finishing(worker_engine, ticket.lease, TrialEnding("pruned", 3)) as connection,
            told_within(optuna_study, connection),
        ):
            beats = [threads.submit(tickets.renew_lease, worker_engine, ticket.lease) for _ in range(2)]
            await_that(lambda: worker_engine.pool.checkedout() == MOST, "a beat waits for the row")  # type: ignore[attr-defined]
            tell_pruned(trial, TrialEnding("pruned", 3), 0.5)
        assert [beat.result(timeout=30) for beat in beats] == [None, None], (
            "there is nothing to keep any more"
        )
    assert optuna_study.get_trials()[0].state == TrialState.PRUNED


def test_what_optuna_was_told_is_taken_back_with_the_end_that_failed_and_told_again(
    initialised_database: Database,
    worker_engine: Engine,
    optuna_study: optuna.Study,
    asked: tuple[Ticket, Trial],
) -> None:
    ticket, trial = asked
    ending = TrialEnding("pruned", 3, message="cut")
    with (
        pytest.raises(DBAPIError) as lost,
        tickets.finishing(worker_engine, ticket.lease, ending) as connection,
        told_within(optuna_study, connection),
    ):
        tell_pruned(trial, ending, 0.5)
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        execute(initialised_database.url, f"SELECT pg_terminate_backend({pid})")
    assert transient(lost.value), "a worker repeats it"
    (before,) = optuna_study.get_trials()
    assert (before.state, before.intermediate_values, before.user_attrs.get("outcome")) == (
        TrialState.RUNNING, {}, None,
    )  # fmt: skip

    with (
        tickets.finishing(worker_engine, ticket.lease, ending) as connection,
        told_within(optuna_study, connection),
    ):
        tell_pruned(trial, ending, 0.5)
    (after,) = optuna_study.get_trials()
    assert (after.state, after.value, after.intermediate_values) == (TrialState.PRUNED, 0.5, {3: 0.5})
    assert [row.state for row in list_trials(worker_engine, 1)][:1] == ["pruned"]


def test_an_end_of_somebody_else_leaves_optuna_untold(
    worker_engine: Engine, optuna_study: optuna.Study, asked: tuple[Ticket, Trial]
) -> None:
    ticket, trial = asked
    with (
        pytest.raises(optuna.exceptions.UpdateFinishedTrialError),
        tickets.finishing(worker_engine, ticket.lease, TrialEnding("failed", 0)) as connection,
        told_within(optuna_study, connection),
    ):
        optuna_study.tell(trial, 0.25)
        trial.set_user_attr("late", 1)
    assert optuna_study.get_trials()[0].state == TrialState.RUNNING
    assert tickets.renew_lease(worker_engine, ticket.lease) is not None


def test_a_thread_that_finds_every_connection_in_use_says_so_and_asks_again(
    worker_engine: Engine, monkeypatch: pytest.MonkeyPatch, study: StoredStudy
) -> None:
    monkeypatch.setattr(worker_engine.pool, "_timeout", 0.1)
    with worker_engine.begin(), worker_engine.begin(), pytest.raises(Exception, match="QueuePool") as busy:
        tickets.claim_ticket(worker_engine, study.id, NOBODY)
    assert transient(busy.value)
    assert one_line(busy.value) == "every connection of this process is in use"
