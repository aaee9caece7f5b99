"""The budget is exact: one holder per ticket, whatever dies, and nothing written by a holder of the past."""

import math
import threading
import uuid

import optuna
import pytest
from sqlalchemy import Engine, text

from optselect.storage.errors import LeaseLost
from optselect.storage.optuna_tables.storage import optuna_storage
from optselect.storage.records import curves, overview, studies, tickets, workers
from optselect.storage.records.curves import EpochRow, Rank
from optselect.storage.records.deaths import DeadWorker
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import NewTicket, Ticket, TrialEnding, insert_tickets
from optselect.storage.server.database import Database
from tests.support.studies import store_study

NOBODY = uuid.UUID(int=7)


def claim(engine: Engine, study: StoredStudy, lease_seconds: float = 60.0) -> Ticket:
    ticket = tickets.claim_ticket(engine, study.id, NOBODY, lease_seconds)
    assert ticket is not None
    return ticket


def lost_claim(engine: Engine, study: StoredStudy) -> Ticket:
    """A ticket whose holder is known to be gone."""
    ticket = claim(engine, study)
    tickets.expire_lease(engine, ticket.lease, "its process is gone")
    return ticket


def finish(
    engine: Engine, ticket: Ticket, ending: TrialEnding | None = None, folder: str | None = None
) -> None:
    with tickets.finishing(engine, ticket.lease, ending or TrialEnding("complete", 3, 0.5), folder=folder):
        pass


def epochs(*numbers: int) -> list[EpochRow]:
    return [EpochRow(number, 1000 + number, {"val_loss": 1.0 / number}) for number in numbers]


def test_tickets_are_claimed_in_order_each_once(engine: Engine, study: StoredStudy) -> None:
    claimed = [claim(engine, study).ord for _ in range(4)]
    assert claimed == [0, 1, 2, 3]
    assert tickets.claim_ticket(engine, study.id, NOBODY) is None


class Claiming:
    """A registered worker that claims, and holds a program for every optimizer that it has trained."""

    def __init__(self, engine: Engine, study: StoredStudy) -> None:
        self.engine, self.study, self.id = engine, study, uuid.uuid4()
        self.held: dict[str, None] = {}
        workers.register_worker(engine, study.id, self.id, slot=None, device="CPU")

    def claim(self) -> Ticket | None:
        ticket = tickets.claim_ticket(self.engine, self.study.id, self.id, held=tuple(self.held))
        self.held |= {} if ticket is None else {ticket.optimizer: None}
        return ticket

    def train(self) -> tuple[str, int]:
        """Claim and finish; the optimizer and its round."""
        ticket = self.claim()
        assert ticket is not None
        finish(self.engine, ticket)
        return ticket.optimizer, ticket.seed


def test_workers_share_the_optimizers_so_that_each_compiles_its_own(engine: Engine) -> None:
    study = store_study(engine, trials=3, name="shared", optimizers=("SGD", "Adam", "Nadam", "Lion"))
    first, second = Claiming(engine, study), Claiming(engine, study)
    assert first.train() == ("baseline", 0)
    # Nobody holds anything: in order. Then each goes round its own, and helps with the other's at the end.
    assert [second.train()[0], first.train()[0], second.train()[0]] == ["SGD", "Adam", "Nadam"]
    assert [first.train(), first.train(), first.train()] == [("Lion", 0), ("Adam", 1), ("Lion", 1)]
    assert [second.train() for _ in range(4)] == [("SGD", 1), ("Nadam", 1), ("SGD", 2), ("Nadam", 2)]
    assert [second.train()[0] for _ in range(2)] == ["Adam", "Lion"]
    assert first.claim() is None


def test_nobodys_ticket_is_overtaken_for_ever(engine: Engine) -> None:
    study = store_study(engine, trials=tickets.LATER_PLACES, name="fair", optimizers=("SGD", "Adam"))
    slow, fast = Claiming(engine, study), Claiming(engine, study)
    fast.train()
    assert slow.claim() is not None  # its first SGD, on and on
    trained = [fast.train() for _ in range(tickets.LATER_PLACES)]
    ahead = trained.index(("SGD", 1))
    assert trained[:ahead] == [("Adam", number) for number in range(ahead)]
    assert ahead == tickets.LATER_PLACES // 2 + 1


@pytest.mark.parametrize("end", ["signs off", "falls silent"])
def test_what_a_worker_held_that_is_gone_is_anybodys(engine: Engine, end: str) -> None:
    study = store_study(engine, trials=3, name="gone", optimizers=("SGD", "Adam"))
    gone, other = Claiming(engine, study), Claiming(engine, study)
    other.train()
    assert [gone.train()[0], other.train()[0], other.train()] == ["SGD", "Adam", ("Adam", 1)]
    if end == "signs off":
        workers.sign_off(engine, gone.id)
    else:
        silence = "UPDATE worker SET heartbeat_at = clock_timestamp() - interval '2 minutes' WHERE id = :id"
        with engine.begin() as connection:
            connection.execute(text(silence), {"id": gone.id})
    assert other.train() == ("SGD", 1)


def test_racing_workers_never_hold_the_same_ticket(engine: Engine) -> None:
    study = store_study(engine, trials=39, name="race")
    held: list[int] = []

    def take_all() -> None:
        while (ticket := tickets.claim_ticket(engine, study.id, NOBODY)) is not None:
            held.append(ticket.id)

    threads = [threading.Thread(target=take_all) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == len(set(held)) == 40


@pytest.mark.parametrize("state", ["paused", "stopped", "finished"])
def test_no_ticket_of_a_study_that_does_not_run_is_given_out(
    engine: Engine, study: StoredStudy, state: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE study SET state = :state"), {"state": state})
    assert tickets.claim_ticket(engine, study.id, NOBODY) is None


def test_an_expired_lease_is_claimed_before_new_work_as_the_next_attempt(
    engine: Engine, study: StoredStudy
) -> None:
    lost = lost_claim(engine, study)
    again = claim(engine, study)
    assert (again.id, again.attempt) == (lost.id, 2)
    assert again.token != lost.token


def test_a_holder_of_the_past_can_write_nothing(engine: Engine, study: StoredStudy) -> None:
    old = lost_claim(engine, study)
    new = claim(engine, study)
    with pytest.raises(LeaseLost):
        curves.write_epochs(engine, old.lease, epochs(1))
    with pytest.raises(LeaseLost):
        tickets.bind_trial(engine, old.lease, 5, 5)
    with pytest.raises(LeaseLost):
        tickets.set_params(engine, old.lease, "Adam", {"learning_rate": 1.0})
    with pytest.raises(LeaseLost):
        finish(engine, old)
    assert not tickets.renew_lease(engine, old.lease)
    assert not tickets.give_back(engine, old.lease)
    assert curves.read_curve(engine, new.id) == []
    assert tickets.renew_lease(engine, new.lease)


def test_a_late_holder_keeps_an_expired_ticket_that_nobody_claimed(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = lost_claim(engine, study)
    assert curves.write_epochs(engine, ticket.lease, epochs(1)).study_state == "running"
    finish(engine, ticket)


def test_a_ticket_given_back_is_claimable_at_once_and_counts_no_attempt(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = claim(engine, study)
    assert tickets.give_back(engine, ticket.lease)
    again = claim(engine, study)
    assert (again.id, again.attempt) == (ticket.id, 1)


def test_a_block_that_fails_while_finishing_leaves_the_ticket_leased(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = claim(engine, study)
    with (
        pytest.raises(RuntimeError),
        tickets.finishing(engine, ticket.lease, TrialEnding("complete", 3, 0.5)),
    ):
        raise RuntimeError("Optuna could not be told")
    assert tickets.renew_lease(engine, ticket.lease)


def test_the_study_is_finished_with_its_last_ticket_even_when_two_end_at_once(
    engine: Engine, study: StoredStudy
) -> None:
    held = [claim(engine, study) for _ in range(4)]
    for ticket in held[:2]:
        finish(engine, ticket)
    assert studies.study_state(engine, study.id) == "running"
    both_told = threading.Barrier(2)

    def end(ticket: Ticket) -> None:
        with tickets.finishing(engine, ticket.lease, TrialEnding("diverged", 2)):
            both_told.wait(10)

    threads = [threading.Thread(target=end, args=(ticket,)) for ticket in held[2:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert studies.study_state(engine, study.id) == "finished"


def test_more_tickets_reopen_a_finished_study_and_raise_its_budget(engine: Engine) -> None:
    study = store_study(engine, trials=1, name="short")
    for _ in range(2):
        finish(engine, claim(engine, study))
    more = [NewTicket("quota", "Adam", 1, {"optimizer": "Adam"})] * 2
    studies.reopen_study(
        engine, study.id, 2, lambda connection, study_id: insert_tickets(connection, study_id, more)
    )
    reopened = studies.load_study(engine, "short")
    assert (reopened.state, reopened.budget) == ("running", 3)
    assert claim(engine, study).ord == 2


def test_reopening_a_finished_study_without_more_tickets_leaves_it_finished(engine: Engine) -> None:
    study = store_study(engine, trials=1, name="short")
    for _ in range(2):
        finish(engine, claim(engine, study))
    studies.reopen_study(engine, study.id, 0)
    assert studies.study_state(engine, study.id) == "finished"


def test_epochs_sent_twice_are_stored_once_and_not_finite_numbers_come_back(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = claim(engine, study)
    rows = [EpochRow(1, 5, {"loss": 2.0}), EpochRow(2, 6, {"loss": float("inf")})]
    for _ in range(2):
        curves.write_epochs(engine, ticket.lease, rows)
    assert curves.read_curve(engine, ticket.id) == rows


def test_writing_epochs_brings_back_what_the_study_wants(engine: Engine, study: StoredStudy) -> None:
    ticket = claim(engine, study)
    assert not curves.write_epochs(engine, ticket.lease, epochs(1)).leave
    with engine.begin() as connection:
        connection.execute(text("UPDATE study SET state = 'stopped'"))
    assert curves.write_epochs(engine, ticket.lease, epochs(2)).leave


def test_a_restarted_trial_forgets_later_epochs_and_leaves_its_run_only_if_points_were_sent(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = claim(engine, study)
    curves.write_epochs(engine, ticket.lease, epochs(1, 2, 3))
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET mlflow_run_id = 'run' WHERE id = :id"), {"id": ticket.id})
    tickets.restart_after(engine, ticket.lease, 0)
    assert curves.read_curve(engine, ticket.id) == []
    assert state_of_run(engine, ticket) == ("run", 0, [])
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE outbox SET mlflow_epoch = 2 WHERE ticket_id = :id"), {"id": ticket.id}
        )
    tickets.restart_after(engine, ticket.lease, 0)
    assert state_of_run(engine, ticket) == (None, 1, ["run"])


def state_of_run(engine: Engine, ticket: Ticket) -> tuple[str | None, int, list[str]]:
    with engine.begin() as connection:
        row = connection.execute(
            text(
                "SELECT mlflow_run_id, restarts, superseded FROM ticket JOIN outbox ON ticket_id = id WHERE id = :id"
            ),
            {"id": ticket.id},
        ).one()
    return tuple(row)


def test_the_tickets_of_a_dead_process_of_this_machine_are_freed_at_once(
    engine: Engine, study: StoredStudy
) -> None:
    workers.register_worker(engine, study.id, NOBODY, slot=0, device="CPU")
    ticket = claim(engine, study)
    with engine.begin() as connection:  # a pid that no process can have
        connection.execute(text("UPDATE worker SET pid = 2147483646"))
    assert workers.release_dead_neighbours(engine, study.id) == {
        2147483646: DeadWorker(charged=1, set_aside={})
    }
    assert claim(engine, study).id == ticket.id
    assert overview.list_workers(engine, study.id) == []


def test_workers_of_other_machines_are_left_to_their_leases(engine: Engine, study: StoredStudy) -> None:
    workers.register_worker(engine, study.id, NOBODY, slot=0, device="CPU")
    with engine.begin() as connection:
        connection.execute(text("UPDATE worker SET pid = 2147483646, host = 'elsewhere'"))
    assert workers.release_dead_neighbours(engine, study.id) == {}
    assert len(overview.list_workers(engine, study.id)) == 1


def test_a_beat_tells_how_busy_a_worker_is_and_one_without_a_reading_changes_nothing(
    engine: Engine, study: StoredStudy
) -> None:
    def known() -> dict[str, float]:
        (worker,) = overview.list_workers(engine, study.id)
        return dict(worker.usage)

    workers.register_worker(engine, study.id, NOBODY, slot=0, device="CPU", usage={"cpu_percent": 1.0})
    assert known() == {"cpu_percent": 1.0}
    ticket = tickets.claim_ticket(engine, study.id, NOBODY, usage={"cpu_percent": 2.0})
    assert ticket is not None and known() == {"cpu_percent": 2.0}
    tickets.renew_lease(engine, ticket.lease, usage={"cpu_percent": 3.0})
    tickets.renew_lease(engine, ticket.lease)
    assert known() == {"cpu_percent": 3.0}


@pytest.mark.parametrize("seconds", [-1.0, 3600.0], ids=["ran out", "is older than the server's clock"])
def test_a_trial_whose_lease_says_nothing_of_now_is_shown_as_waiting(
    engine: Engine, study: StoredStudy, seconds: float
) -> None:
    claim(engine, study, lease_seconds=seconds)
    assert {trial.state for trial in overview.list_trials(engine, study.id)} == {"waiting"}


def test_an_unknown_study_is_answered_with_the_nearest_name(engine: Engine, study: StoredStudy) -> None:
    with pytest.raises(Exception, match='did you mean "study"'):
        studies.load_study(engine, "sudy")


def test_a_rank_counts_the_search_trials_of_the_optimizer_that_have_a_number_there(engine: Engine) -> None:
    study = store_study(engine, trials=7, name="ranks")
    own = None
    for value in (0.0, 3.0, math.inf, math.nan, 1.0, 2.0, None, 2.5):  # the first is the baseline's
        own = claim(engine, study)
        if value is not None:
            curves.write_epochs(engine, own.lease, [EpochRow(1, 1, {"val_loss": value})])
    assert own is not None

    def rank(cost: float, sign: float = 1.0, optimizer: str = "Adam", epoch: int = 1) -> Rank:
        return curves.rank_at(engine, study.id, own.id, optimizer, epoch, "val_loss", cost, sign)

    assert rank(2.5) == Rank(better=2, others=4)
    assert rank(-2.5, sign=-1.0) == Rank(better=2, others=4)
    assert rank(math.inf) == Rank(better=3, others=4)
    assert rank(2.5, optimizer="SGD") == rank(2.5, epoch=2) == Rank(0, 0)


def test_a_running_trial_that_no_ticket_knows_is_an_orphan(
    engine: Engine, study: StoredStudy, initialised_database: Database
) -> None:
    asked = optuna.create_study(storage=optuna_storage(initialised_database), study_name=study.name)
    bound, about_to_be_bound, lost = claim(engine, study), claim(engine, study), claim(engine, study)
    for ticket in (bound, about_to_be_bound, lost):
        asked.ask().set_user_attr("token", str(ticket.token))
    finished, unmarked = asked.ask(), asked.ask()
    asked.tell(finished, 1.0)
    tickets.bind_trial(engine, bound.lease, asked.trials[0]._trial_id, 0)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE ticket SET token = gen_random_uuid() WHERE id = :id"), {"id": lost.id}
        )
    assert tickets.find_orphans(engine, study.id) == [2, unmarked.number]
