"""A study's state is what its workers read; orders may be repeated and never disturb a finished study."""

import time

from sqlalchemy import Engine

from optselect.search.worker.departure import Beat, Departure, Holding, kept_lease
from optselect.search.worker.reporting import Reporter, Writer
from optselect.storage.records import curves, studies, tickets
from optselect.storage.records.checkpoints import Checkpoint
from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.outcome import Epoch
from tests.service.test_tickets import claim, finish
from tests.support.studies import store_study


def test_orders_may_be_repeated_and_a_stopped_study_is_not_paused(engine: Engine, study: StoredStudy) -> None:
    told = [
        studies.order_state(engine, study.id, state) for state in ("paused", "paused", "stopped", "paused")
    ]
    assert told == [
        ("running", "paused"),
        ("paused", "paused"),
        ("paused", "stopped"),
        ("stopped", "stopped"),
    ]
    studies.reopen_study(engine, study.id, 0)
    assert studies.study_state(engine, study.id) == "running"


def test_a_paused_study_lets_its_running_trials_end_and_is_finished_with_the_last(engine: Engine) -> None:
    study = store_study(engine, trials=0, name="one")
    ticket = claim(engine, study)
    studies.order_state(engine, study.id, "paused")
    orders = curves.write_epochs(engine, ticket.lease, [])
    assert not orders.leave
    assert tickets.claim_ticket(engine, study.id, ticket.token) is None
    finish(engine, ticket)
    assert studies.order_state(engine, study.id, "stopped") == ("finished", "finished")


def test_a_trial_in_a_long_epoch_hears_of_a_stop_by_the_beat_of_its_lease(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = claim(engine, study)
    heard = []

    def renew() -> tickets.Orders | None:
        orders = tickets.renew_lease(engine, ticket.lease)
        heard.append(orders)
        return orders

    with kept_lease(Beat(renew, 0.02)) as holding:
        reporter = Reporter(silent_writer(), 3, Departure(), holding, keep=lambda state: None)
        assert reporter((), no_snapshot) is None
        studies.order_state(engine, study.id, "stopped")
        before = len(heard)
        while len(heard) < before + 2:
            time.sleep(0.01)
        stop = reporter((), no_snapshot)
    assert stop is not None
    assert stop.reason == "told to leave"


def test_a_trial_that_writes_hears_of_a_stop_by_the_answer_and_leaves_a_checkpoint(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = claim(engine, study)
    kept: list[Checkpoint | None] = []

    def send(rows: object, checkpoint: Checkpoint | None) -> tickets.Orders:
        kept.append(checkpoint)
        return curves.write_epochs(engine, ticket.lease, [])

    reporter = Reporter(Writer(send), 9, Departure(), Holding(), keep=lambda state: None)
    assert reporter([Epoch(1, {}, 1)], lambda: b"first") is None
    assert reporter.writer.settle(10)
    studies.order_state(engine, study.id, "stopped")
    reporter([Epoch(2, {}, 2)], lambda: b"second")  # its answer brings the order
    assert reporter.writer.settle(10)
    assert reporter([Epoch(3, {}, 3)], lambda: b"third") is not None
    reporter.close()
    assert kept[-1] is not None and kept[-1].epoch == 3


def silent_writer() -> Writer:
    def refuse(rows: object, checkpoint: object) -> tickets.Orders:
        raise AssertionError("nothing is to be written in mid-epoch")

    return Writer(refuse)


def no_snapshot() -> bytes:
    raise AssertionError("there is no snapshot in mid-epoch")
