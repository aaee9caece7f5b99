"""What may fail, and the test that shows what must hold then: one row for each failure; those proved nowhere else are here."""

import ast
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from optselect.search.processes.observing import observing
from optselect.search.strategy.asking import ask_for, load_optuna_study, tell_ending
from optselect.storage.records import curves, tickets
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.tickets import TrialEnding
from optselect.storage.server import embedded
from optselect.storage.server.database import Database
from tests.service.conftest import fresh_database
from tests.service.test_tickets import NOBODY
from tests.support.commands import await_that
from tests.support.forked import Forks
from tests.support.homes import THROW_AWAY
from tests.support.workplace import EPOCHS, Workplace, store_steady, workplace

HERE = "service/test_failure_matrix.py"

ROWS = {
    "worker kill -9": "acceptance/test_kills.py::"
    "test_kill_9_of_trainer_zygote_and_supervisor_and_an_interrupt_cost_no_epoch_of_any_trial",
    "a machine without power": "acceptance/test_two_machines.py::"
    "test_a_machine_without_power_loses_no_trial_and_the_other_one_finishes",
    "a partition": "acceptance/test_two_machines.py::"
    "test_a_partition_longer_than_the_lease_ends_with_one_result_for_each_trial",
    "everything at once": "acceptance/test_chaos.py::test_a_study_in_chaos_ends_as_one_that_nobody_disturbed",
    "kill -9 between ask and storing the trial": f"{HERE}::test_kill_9_between_ask_and_storing_the_trial_costs_no_budget",
    "kill -9 between tell and ticket done": f"{HERE}::test_kill_9_between_tell_and_ticket_done_trains_nothing_again",
    "worker suspended and back": f"{HERE}::test_worker_suspended_and_back_tells_nothing_and_takes_the_next_ticket",
    "Postgres restart or cut": f"{HERE}::test_postgres_restart_or_cut_costs_no_epoch",
    "Postgres gone for too long": f"{HERE}::test_postgres_gone_for_too_long_keeps_the_trial_on_this_machine",
    "starter of the embedded server killed": "service/test_embedded.py::"
    "test_four_processes_start_one_server_which_survives_them_all",
    "MLflow slow": "service/test_tracking.py::test_a_slow_tracking_server_holds_up_no_statement_of_a_training",
    "MLflow down": "service/test_tracking.py::test_a_dead_tracking_server_is_said_and_hurts_nobody",
    "MLflow back": "service/test_tracking.py::test_what_was_sent_before_a_crash_is_sent_again_without_doubling_a_point",
    "disk full (checkpoint)": "service/test_checkpoints.py::"
    "test_a_full_disk_costs_a_checkpoint_and_a_warning_and_the_older_one_stays",
    "disk full (Postgres)": f"{HERE}::test_disk_full_in_postgres_is_waited_out_as_an_outage",
    "two workers, one ticket": "service/test_tickets.py::test_racing_workers_never_hold_the_same_ticket",
    "N workers on an empty database": "service/test_initialise.py::test_eight_processes_on_an_empty_database_all_come_up",
    "clocks that are set": "service/test_clocks.py::"
    "test_no_jump_of_the_servers_clock_takes_a_trial_from_a_living_worker_and_a_dead_ones_is_taken_over",
    "failover": "service/test_server_errors.py::test_a_server_that_takes_no_writes_for_a_while_costs_no_epoch",
    "what a server may answer": "service/test_server_errors.py::"
    "test_a_study_whose_statements_the_server_spoils_at_random_is_whole",
    "checkpoint gone or corrupt": f"{HERE}::test_checkpoint_gone_or_corrupt_begins_the_same_trial_again",
    "Optuna upgraded": "service/test_initialise.py::test_tables_of_another_optuna_are_refused_with_both_versions",
    "our tables upgraded": "service/test_initialise.py::test_tables_of_another_revision_are_refused_with_both_versions",
    "SIGTERM": f"{HERE}::test_sigterm_gives_the_trial_back_with_a_checkpoint",
    "a training that ends its own process": "acceptance/test_deaths.py::"
    "test_an_optimizer_that_kills_its_process_is_set_aside_and_the_others_have_its_budget",
    "a kill for memory": "acceptance/test_deaths.py::test_a_kill_for_memory_is_told_as_one",
    "a training that hangs": f"{HERE}::test_a_training_that_hangs_is_ended_three_times_and_then_failed_as_stuck",
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_its_test(row: str) -> None:
    file, name = ROWS[row].split("::")
    tree = ast.parse((Path(__file__).parents[1] / file).read_text())
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.fixture(scope="module")
def stored(
    forked: Forks, server: URL, home: Path, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database with the study, of which each test gets a copy."""
    with fresh_database(server, home, template) as database:
        store_steady(forked, database, tmp_path_factory.mktemp("steady"))
        yield database


@pytest.fixture
def database(server: URL, home: Path, stored: Database) -> Iterator[Database]:
    with fresh_database(server, home, str(stored.url.database)) as database:
        yield database


@pytest.fixture
def here(forked: Forks, database: Database, tmp_path: Path) -> Iterator[Workplace]:
    with workplace(forked, database, tmp_path) as here:
        yield here


@pytest.fixture
def restartable(forked: Forks, restartable_home: Path, tmp_path: Path) -> Iterator[Workplace]:
    """As `here`, on a server that the test may stop."""
    server = embedded.ensure_running(restartable_home, THROW_AWAY)
    with fresh_database(server, restartable_home, template="optselect") as database:
        store_steady(forked, database, tmp_path)
        with workplace(forked, database, tmp_path) as here:
            yield here
            embedded.ensure_running(restartable_home, THROW_AWAY)


def test_kill_9_between_ask_and_storing_the_trial_costs_no_budget(
    here: Workplace, database: Database
) -> None:
    lost = tickets.claim_ticket(here.engine, here.study.id, NOBODY)
    assert lost is not None
    ask_for(load_optuna_study(database, "study"), lost)  # and dies here
    tickets.expire_lease(here.engine, lost.lease, "its process is gone")
    worked = here.work()
    assert worked.returncode == 0, worked.stderr
    here.demand_whole()
    assert here.ask("SELECT state::text FROM optuna.trials ORDER BY number") == [
        ("FAIL",),
        ("COMPLETE",),
        ("COMPLETE",),
    ]


def test_kill_9_between_tell_and_ticket_done_trains_nothing_again(
    here: Workplace, database: Database
) -> None:
    lost = tickets.claim_ticket(here.engine, here.study.id, NOBODY)
    assert lost is not None
    trial = ask_for(load_optuna_study(database, "study"), lost)
    tickets.bind_trial(here.engine, lost.lease, trial._trial_id, trial.number)
    rows = [EpochRow(epoch, epoch, {"val_loss": 1.0 / epoch}) for epoch in range(1, EPOCHS + 1)]
    curves.write_epochs(here.engine, lost.lease, rows)
    tell_ending(trial, TrialEnding("complete", EPOCHS, 1.0 / EPOCHS), None)  # and dies here
    tickets.expire_lease(here.engine, lost.lease, "its process is gone")
    worked = here.work()
    assert worked.returncode == 0, worked.stderr
    here.demand_whole()
    assert curves.read_curve(here.engine, lost.id) == rows
    assert here.ask("SELECT trial_value FROM ticket WHERE id = :id", id=lost.id) == [(1.0 / EPOCHS,)]


@pytest.mark.slow
def test_worker_suspended_and_back_tells_nothing_and_takes_the_next_ticket(here: Workplace) -> None:
    with here.worker() as worker:
        worker.signal(signal.SIGSTOP)
        with observing(here.engine, here.study.id):
            await_that(lambda: bool(here.ask(FREE_AGAIN)), "an observer ends its lease")
        other = tickets.claim_ticket(here.engine, here.study.id, NOBODY)
        assert other is not None and other.attempt == 2
        before = curves.read_curve(here.engine, other.id)
        worker.signal(signal.SIGCONT)
        await_that(
            lambda: "now belongs to another worker" in worker.words(), "it hears that it lost its ticket"
        )
        assert curves.read_curve(here.engine, other.id) == before
        tickets.give_back(here.engine, other.lease)
        assert worker.end() == 0
    here.demand_whole()
    assert re.search("it goes on after epoch [1-9]", worker.words())


def test_postgres_restart_or_cut_costs_no_epoch(restartable: Workplace, restartable_home: Path) -> None:
    with restartable.worker() as worker:
        restartable.ask(CUT)
        embedded.stop(restartable_home)
        await_that(lambda: "is away; waiting" in worker.words(), "it says that the database is away")
        time.sleep(1.5)  # epochs end meanwhile
        embedded.ensure_running(restartable_home, THROW_AWAY)
        assert worker.end() == 0
    restartable.demand_whole()
    assert "ERROR" not in worker.words()
    assert "it goes on" not in worker.words()
    assert restartable.ask("SELECT max(attempt) FROM ticket") == [(1,)]


@pytest.mark.slow
def test_postgres_gone_for_too_long_keeps_the_trial_on_this_machine(
    restartable: Workplace, restartable_home: Path
) -> None:
    with restartable.worker(OPTSELECT_OUTAGE_SECONDS="1") as worker:
        embedded.stop(restartable_home)
        assert worker.end() == 75
    words = worker.words()
    assert "kept on this machine, to go on from" in words
    assert words.strip().splitlines()[-1].startswith("optselect: The database did not come back within 1 s")
    embedded.ensure_running(restartable_home, THROW_AWAY)
    ((stored,),) = restartable.ask("SELECT max(epoch) FROM epoch_log")
    worked = restartable.work()
    assert worked.returncode == 0, worked.stderr
    (gone_on,) = re.findall(r"it goes on after epoch (\d+)", worked.stderr)
    assert int(gone_on) > stored, "what the database had not seen was not trained again"
    restartable.demand_whole()
    assert restartable.ask("SELECT max(attempt) FROM ticket") == [(1,)]


@pytest.mark.slow
def test_disk_full_in_postgres_is_waited_out_as_an_outage(here: Workplace) -> None:
    with here.worker() as worker:
        here.ask(FILL_DISK)
        here.ask("CREATE TRIGGER full_disk BEFORE INSERT ON epoch_log EXECUTE FUNCTION full_disk()")
        await_that(lambda: "waiting for it: No space left" in worker.words(), "it waits")
        here.ask("DROP TRIGGER full_disk ON epoch_log")
        assert worker.end() == 0
    here.demand_whole()


@pytest.mark.slow
def test_checkpoint_gone_or_corrupt_begins_the_same_trial_again(here: Workplace) -> None:
    with here.worker() as worker:
        worker.signal(signal.SIGKILL)
        assert worker.end() == -9
    ((ticket, trial),) = here.ask("SELECT id, trial_number FROM ticket WHERE state = 'leased'")
    here.ask("UPDATE checkpoint SET body = substr(body, 100)")
    here.ask("UPDATE ticket SET mlflow_run_id = 'seen' WHERE state = 'leased'")
    here.ask("UPDATE outbox SET mlflow_epoch = 1 WHERE ticket_id = :id", id=ticket)
    worked = here.work()
    assert worked.returncode == 0, worked.stderr
    assert "cannot be used" in worked.stderr
    assert "it goes on after epoch 0" in worked.stderr
    here.demand_whole()
    (again,) = here.ask("SELECT trial_number, mlflow_run_id, restarts FROM ticket WHERE id = :id", id=ticket)
    assert again == (trial, None, 1), "the same number, in a new run of MLflow"
    assert here.ask("SELECT superseded FROM outbox WHERE ticket_id = :id", id=ticket) == [(["seen"],)]


def test_sigterm_gives_the_trial_back_with_a_checkpoint(here: Workplace) -> None:
    with here.worker() as worker:
        worker.signal(signal.SIGTERM)
        time.sleep(0.1)  # two that wait together are one
        worker.signal(signal.SIGTERM)  # as where an engine tells a supervisor and its children
        assert worker.end() == 75
    ((attempt, epochs, checkpoint),) = here.ask(GIVEN_BACK)
    assert attempt == 0, "leaving in good order is no lost attempt"
    assert 0 < epochs == checkpoint < EPOCHS
    worked = here.work()
    assert worked.returncode == 0, worked.stderr
    assert f"it goes on after epoch {epochs}" in worked.stderr
    here.demand_whole()


@pytest.mark.slow
def test_a_training_that_hangs_is_ended_three_times_and_then_failed_as_stuck(here: Workplace) -> None:
    hanging = {"EPOCH_SECONDS": "3600", "OPTSELECT_STUCK_SECONDS": "4", "OPTSELECT_LEASE_SECONDS": "3"}
    for attempt in (1, 2, 3):
        hung = here.work(**hanging)
        assert hung.returncode == 75, hung.stderr
        assert f"attempt {attempt}" in hung.stderr
        assert "the training is stuck: no batch ended within" in hung.stderr
    rest = here.work()
    assert rest.returncode == 0, rest.stderr
    first, second = here.ask("SELECT outcome, error FROM ticket ORDER BY ord")
    assert first[0] == "failed"
    assert re.match(r"lost 3 times; the last time: stuck: no batch ended within \d+ s", first[1])
    assert second == ("complete", None)


FREE_AGAIN = "SELECT id FROM ticket WHERE state = 'leased' AND lease_until = '-infinity'"
GIVEN_BACK = """
    SELECT attempt, epochs, (SELECT max(epoch) FROM checkpoint WHERE ticket_id = id) FROM ticket WHERE state = 'leased'"""
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"""
FILL_DISK = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"""
