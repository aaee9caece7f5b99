"""Clocks may be set while a study runs, and those of machines differ: only silence takes a trial from its worker."""

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from optselect.search.processes.observing import observing
from optselect.search.worker.departure import Beat, kept_lease
from optselect.storage.records import launches, overview, tickets, workers
from optselect.storage.records.tickets import Ticket
from optselect.storage.server import embedded
from optselect.storage.server.database import Database, make_engine
from tests.service.conftest import fresh_database
from tests.support.clocks import Clock, a_clock, needs_faketime, other_clock
from tests.support.commands import await_that
from tests.support.forked import Forks
from tests.support.homes import THROW_AWAY, throw_away_home
from tests.support.studies import store_study
from tests.support.workplace import store_steady, workplace

SOME_BEATS = 1.2
LEASE = 1.5


@pytest.fixture(scope="module")
def clock_and_home(prepared_cluster: Path) -> Iterator[tuple[Clock, Path]]:
    """A server of its own whose clock the test sets."""
    with throw_away_home(prepared=prepared_cluster) as home, a_clock(home / "clock") as clock:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in clock.environment.items():
                patch.setenv(name, value)
            embedded.ensure_running(home, THROW_AWAY)
        yield clock, home


@pytest.fixture
def clock(clock_and_home: tuple[Clock, Path]) -> Clock:
    clock_and_home[0].set("+0")
    return clock_and_home[0]


@pytest.fixture
def database(clock_and_home: tuple[Clock, Path]) -> Iterator[Database]:
    _, home = clock_and_home
    with fresh_database(embedded.ensure_running(home, THROW_AWAY), home, template="optselect") as database:
        yield database


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    engine = make_engine(database)
    yield engine
    engine.dispose()


def claimed(engine: Engine, study_id: int) -> Ticket:
    """By a worker of its own."""
    worker = uuid.uuid4()
    workers.register_worker(engine, study_id, worker, slot=None, device="CPU")
    ticket = tickets.claim_ticket(engine, study_id, worker, LEASE)
    assert ticket is not None
    return ticket


@contextmanager
def living(engine: Engine, ticket: Ticket) -> Iterator[None]:
    with kept_lease(Beat(partial(tickets.renew_lease, engine, ticket.lease, LEASE), LEASE / 6)) as holding:
        yield
        assert not holding.lost, "a living worker keeps its ticket"


@needs_faketime
def test_no_jump_of_the_servers_clock_takes_a_trial_from_a_living_worker_and_a_dead_ones_is_taken_over(
    engine: Engine, clock: Clock
) -> None:
    study = store_study(engine, trials=1, optimizers=("SGD",))
    lives, dead = claimed(engine, study.id), claimed(engine, study.id)
    with living(engine, lives), observing(engine, study.id, LEASE):
        for offset in ("-1h", "+1h"):
            with living(engine, dead):
                clock.set(offset)
                time.sleep(SOME_BEATS)
                assert tickets.claim_ticket(engine, study.id, uuid.uuid4()) is None
                states = [trial.state for trial in overview.list_trials(engine, study.id)]
                assert states == ["running"] * 2, "after a beat what is shown is right again"
        clock.set("-1h")  # its lease lies two hours ahead now
        died, taken = time.monotonic(), []

        def is_taken() -> bool:
            taken.append(tickets.claim_ticket(engine, study.id, uuid.uuid4()))
            return taken[-1] is not None

        await_that(is_taken, "the dead worker's trial is taken over", 30)
    assert taken[-1] is not None and (taken[-1].id, taken[-1].attempt) == (dead.id, 2)
    assert time.monotonic() - died < 4 * LEASE


@needs_faketime
def test_no_time_is_negative_and_nothing_waits_for_a_clock_that_was_set_back(
    engine: Engine, clock: Clock
) -> None:
    study = store_study(engine, trials=1, optimizers=("SGD",))
    launch = launches.begin_launch(
        engine, study.id, executor="local", host="here", workers=1, settings={}, external_id="pid 1"
    )
    ticket = claimed(engine, study.id)
    clock.set("-1h")
    (trial,) = [trial for trial in overview.list_trials(engine, study.id) if trial.started is not None]
    (worker,) = overview.list_workers(engine, study.id)
    assert trial.seconds == 0.0 and worker.seconds == 0.0 and worker.per_minute is None
    assert worker.seconds_silent > 3000, "a beat of the future is an old one"
    assert launches.live_launches(engine, study.id) == []
    assert launches.beat(engine, launch) == 1 and len(launches.live_launches(engine, study.id)) == 1
    with tickets.finishing(
        engine, ticket.lease, tickets.TrialEnding("complete", 3, 0.5, result={"seconds": 2.5})
    ):
        pass
    (ended,) = [trial for trial in overview.list_trials(engine, study.id) if trial.state == "complete"]
    assert ended.seconds == 2.5, "as the worker measured it"


@needs_faketime
@pytest.mark.slow
def test_workers_whose_clocks_differ_by_minutes_train_a_study_while_the_servers_clock_jumps(
    forked: Forks, database: Database, clock: Clock, tmp_path: Path
) -> None:
    store_steady(forked, database, tmp_path)
    hurry = tmp_path / "hurry"
    slow = {"EPOCH_SECONDS": "4", "OPTSELECT_LEASE_SECONDS": "3", "HURRY_FILE": str(hurry)}
    # All behind the true time: libfaketime lets libpq's connections time out in a process whose clock is ahead.
    clock.set("-5m")
    with workplace(forked, database, tmp_path) as here, ExitStack() as started:
        late = started.enter_context(here.shell.start("worker", "study", **slow, **other_clock("-10m")))
        started.callback(late.kill)
        await_that(lambda: here.ask(HELD_IN_THE_MIDDLE) == [(1,)], "one is in the middle of a trial", 180)
        early = started.enter_context(forked.start(here.shell, "worker", "study", **slow))
        await_that(lambda: here.ask(HELD_IN_THE_MIDDLE) == [(2,)], "both are in the middle of a trial", 180)
        idle = started.enter_context(forked.start(here.shell, "worker", "study", **slow))
        for offset in ("-1h", "+1h", "-1h"):
            clock.set(offset)
            time.sleep(4)
            assert here.ask("SELECT attempt FROM ticket") == [(1,)] * 2, "no living trial is stolen"
        late.send_signal(signal.SIGKILL)
        clock.set("-2h")
        died = time.monotonic()
        await_that(
            lambda: here.ask("SELECT max(attempt) FROM ticket") == [(2,)], "the dead trial is taken over"
        )
        assert time.monotonic() - died < 10
        hurry.touch()
        assert idle.end() == 0, idle.words()
        assert early.end() == 0, early.words()
        here.demand_whole()
        assert here.ask("SELECT attempt FROM ticket ORDER BY attempt") == [(1,), (2,)]


HELD_IN_THE_MIDDLE = "SELECT count(*) FROM ticket WHERE state = 'leased' AND epochs >= 1"
