"""MLflow is a copy: complete in the end, without doubled points, whoever sends and however often."""

import base64
import contextlib
import dataclasses
import hashlib
import json
import math
import socket
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from optselect.storage.records import checkpoints, curves, tickets
from optselect.storage.records.checkpoints import Checkpoint
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import Ticket, TrialEnding
from optselect.storage.server.database import Database, make_engine
from optselect.storage.tracking.address import Tracking, find_tracking, open_client
from optselect.storage.tracking.chart_views import CURVES, FINALS, OWN_COLOUR
from optselect.storage.tracking.check import Comparison, compare
from optselect.storage.tracking.flusher import Connected, Flusher, connect
from optselect.storage.tracking.outbox import count_unsent, due_tickets, forget_sent
from optselect.storage.tracking.runs import flush_one
from optselect.storage.tracking.shown_names import ORIGINAL
from tests.service.test_tickets import NOBODY, claim
from tests.support.studies import store_study


@pytest.fixture
def engine(tracked_database: Database) -> Iterator[Engine]:
    engine = make_engine(tracked_database)
    yield engine
    engine.dispose()


@pytest.fixture
def study(engine: Engine) -> StoredStudy:
    return store_study(engine, trials=1)


@pytest.fixture
def connected(tracked_database: Database, engine: Engine, study: StoredStudy) -> Connected:
    return connect(engine, study, find_tracking(tracked_database, study, None))


def train(engine: Engine, study: StoredStudy, number: int, *losses: float) -> Ticket:
    """A claimed ticket whose trial has logged the losses."""
    ticket = claim(engine, study)
    tickets.bind_trial(engine, ticket.lease, 1000 + number, number)
    tickets.set_params(
        engine, ticket.lease, ticket.optimizer, {"learning_rate": 0.00123456, "momentum": None}
    )
    rows = [EpochRow(epoch, 5000 + epoch, {"val_loss": loss}) for epoch, loss in enumerate(losses, 1)]
    state = checkpoints.place(Checkpoint(len(losses), 1.0, b"state"), ticket.lease, "nowhere")
    curves.write_epochs(engine, ticket.lease, rows, checkpoint=state)
    return ticket


def flush(connected: Connected) -> None:
    while connected.flush():
        pass


def runs(connected: Connected) -> list[Any]:
    return list(connected.client.search_runs([connected.experiment_id], order_by=["attributes.run_name"]))


def points(client: MlflowClient, run: Any, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]


def test_a_running_trial_has_a_run_with_its_epochs_so_far(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    train(engine, study, 7, 0.5, 0.25)
    flush(connected)
    (run,) = runs(connected)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "007 baseline 1.2e-03"
    shown = {
        "optimizer": "baseline",
        "learning_rate": "0.001235",
        "log10 learning_rate": "-2.908",
        "seed": "0",
    }
    assert run.data.params == shown
    assert run.data.tags["mlflow.runColor"] == OWN_COLOUR
    assert run.data.tags["optselect.phase"] == "baseline"
    assert run.data.tags["optselect.jit"] == "off"
    assert points(connected.client, run, "val_loss") == [(1, 0.5), (2, 0.25)]


def test_epochs_behind_the_last_checkpoint_wait_for_they_may_be_trained_again(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, 0.5, 0.25)
    curves.write_epochs(engine, ticket.lease, [EpochRow(3, 5003, {"val_loss": 0.125})])
    flush(connected)
    (run,) = runs(connected)
    assert points(connected.client, run, "val_loss") == [(1, 0.5), (2, 0.25)]
    tickets.restart_after(engine, ticket.lease, 2)  # as another worker does after this one's death
    curves.write_epochs(engine, ticket.lease, [EpochRow(3, 7003, {"val_loss": 0.125})])
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 3, 0.125)):
        pass
    flush(connected)
    (run,) = runs(connected)
    assert points(connected.client, run, "val_loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_system_metrics_go_with_their_epoch_and_are_no_part_of_the_curve(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, 0.5)
    busy = EpochRow(2, 5002, {"val_loss": 0.25}, {"cpu_utilization_percentage": 93.5})
    curves.write_epochs(engine, ticket.lease, [busy])
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 2, 0.25)):
        pass
    flush(connected)
    (run,) = runs(connected)
    assert points(connected.client, run, "system/cpu_utilization_percentage") == [(2, 93.5)]
    assert [row.metrics for row in curves.read_curve(engine, ticket.id)] == [
        {"val_loss": 0.5},
        {"val_loss": 0.25},
    ]
    assert compare(connected).difference == ""


def test_a_finished_trial_ends_its_run_with_its_single_numbers(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, 0.5)
    ending = TrialEnding("complete", 1, 0.5, result={"seconds": 3.0, "initial_val_loss": 9.0})
    with tickets.finishing(engine, ticket.lease, ending):
        pass
    flush(connected)
    (run,) = runs(connected)
    assert (run.info.status, run.data.tags["optselect.state"]) == ("FINISHED", "COMPLETE")
    expected = {"objective": 0.5, "epochs": 1.0, "seconds": 3.0, "diverged": 0.0, "val_loss": 0.5}
    assert run.data.metrics == expected


def test_what_was_sent_before_a_crash_is_sent_again_without_doubling_a_point(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    train(engine, study, 0, 0.5, 0.25, 0.125)
    flush(connected)
    with engine.begin() as connection:  # as if the process died between MLflow's answer and our note of it
        connection.execute(text("UPDATE outbox SET mlflow_epoch = 0"))
        connection.execute(text("UPDATE ticket SET mlflow_run_id = NULL"))
    flush(connected)
    (run,) = runs(connected)
    assert points(connected.client, run, "val_loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_a_restarted_trial_gets_a_new_run_and_the_old_one_is_marked(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    old = train(engine, study, 0, 0.5, 0.25)
    flush(connected)
    tickets.give_back(engine, old.lease)
    new = tickets.claim_ticket(engine, study.id, NOBODY)
    assert new is not None
    tickets.restart_after(engine, new.lease, 0)
    curves.write_epochs(engine, new.lease, [EpochRow(1, 9000, {"val_loss": 0.5})])
    with tickets.finishing(engine, new.lease, TrialEnding("complete", 1, 0.5)):
        pass
    flush(connected)
    superseded = [run for run in runs(connected) if run.data.tags.get("optselect.state") == "SUPERSEDED"]
    (current,) = [run for run in runs(connected) if run.data.tags["optselect.restart"] == "1"]
    assert [run.info.status for run in superseded] == ["KILLED"]
    assert points(connected.client, current, "val_loss") == [(1, 0.5)]


def test_infinite_losses_arrive_as_nan_and_the_run_says_diverged(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, float("inf"))
    with tickets.finishing(
        engine, ticket.lease, TrialEnding("diverged", 1, message="loss is not finite at epoch 1")
    ):
        pass
    flush(connected)
    (run,) = runs(connected)
    ((_, value),) = points(connected.client, run, "val_loss")
    assert math.isnan(value)
    assert run.data.tags["optselect.state"] == "DIVERGED"
    assert run.data.tags["mlflow.note.content"] == "loss is not finite at epoch 1"


def test_the_experiment_tells_how_far_the_study_is(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, 0.5)
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 1, 0.5)):
        pass
    flush(connected)
    experiment = connected.client.get_experiment(connected.experiment_id)
    assert experiment.name == "optselect/study"
    assert "1 of 2 runs done" in experiment.tags["mlflow.note.content"]
    views = {key: decoded(experiment.tags[f"mlflow.sharedViewState.{key}"]) for key in (CURVES, FINALS)}
    first = {key: view["compareRunCharts"][0]["metricKey"] for key, view in views.items()}
    assert first == {CURVES: "val_loss", FINALS: "val_loss"}
    finals = connected.client.search_runs([connected.experiment_id], views[FINALS]["searchFilter"])
    assert list(finals) == [], "a baseline is none of the finals"


def test_a_training_that_ran_away_does_not_flatten_the_curves_of_the_others(
    tracked_database: Database, engine: Engine
) -> None:
    study = store_study(engine, trials=9)
    connected = connect(engine, study, find_tracking(tracked_database, study, None))
    for number, value in enumerate([*(0.5 + number / 100 for number in range(9)), 1e8]):
        ticket = train(engine, study, number, 1.0, value)
        outcome = "diverged" if value > 1 else "complete"
        with tickets.finishing(engine, ticket.lease, TrialEnding(outcome, 2, value if value < 1 else None)):
            pass
    connected.tell()
    tags = connected.client.get_experiment(connected.experiment_id).tags
    view = decoded(tags[f"mlflow.sharedViewState.{CURVES}"])
    shown = view["compareRunCharts"][0]["range"]
    assert (shown["yMin"] < 0.5, 1.0 < shown["yMax"] < 2.0) == (True, True)
    assert view["compareRunSections"][0]["name"] == "val_loss (outliers cut)"


def decoded(view: str) -> dict[str, Any]:
    kind, _, packed = view.partition(";")
    assert kind == "deflate"
    return dict(json.loads(zlib.decompress(base64.b64decode(packed))))


def test_two_flushers_share_one_experiment(
    tracked_database: Database, engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    other = connect(engine, study, find_tracking(tracked_database, study, None))
    assert other.experiment_id == connected.experiment_id


def test_a_dead_tracking_server_is_said_and_hurts_nobody(engine: Engine, study: StoredStudy) -> None:
    train(engine, study, 0, 0.5)
    flusher = Flusher(engine, study, lambda: Tracking("http://127.0.0.1:9"))
    assert not flusher.close(patience_seconds=1.0)
    assert flusher.behind
    assert "127.0.0.1:9" not in repr(Tracking("http://127.0.0.1:9"))


def test_a_slow_tracking_server_holds_up_no_statement_of_a_training(
    engine: Engine, study: StoredStudy
) -> None:
    ticket = train(engine, study, 0, 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = open_client(f"http://127.0.0.1:{server.getsockname()[1]}")
        sender = threading.Thread(target=send_in_vain, args=(engine, client, study))
        sender.start()
        connection, _ = server.accept()  # the request is there, and gets no answer
        with connection:
            curves.write_epochs(engine, ticket.lease, [EpochRow(2, 5002, {"val_loss": 0.25})])
            with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 2, 0.25)):
                pass
            assert sender.is_alive(), "all that happened while MLflow was asked"
    sender.join()
    assert [row.epoch for row in curves.read_curve(engine, ticket.id)] == [1, 2]


def send_in_vain(engine: Engine, client: MlflowClient, study: StoredStudy) -> None:
    with contextlib.suppress(Exception):  # the server hangs up
        flush_one(engine, client, study, "0", due_tickets(engine, study.id)[0])


def test_a_flusher_sends_everything_before_it_closes(
    tracked_database: Database, engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    place = find_tracking(tracked_database, study, None)
    flusher = Flusher(engine, study, lambda: place)
    ticket = train(engine, study, 0, 0.5, 0.25)
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 2, 0.25)):
        pass
    assert flusher.close()
    (run,) = runs(connected)
    assert run.info.status == "FINISHED"


def test_what_mlflow_shows_is_compared_point_by_point(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, 0.5, math.nan, 0.125)
    flush(connected)
    assert compare(connected) == Comparison(runs=1, points=3)
    curves.write_epochs(engine, ticket.lease, [EpochRow(4, 5004, {"val_loss": 0.1})])  # behind its checkpoint
    assert not compare(connected).difference
    ending = TrialEnding(
        "complete", 4, 0.1, result={"seconds": 1.5, "initial_val_loss": 1.0}, notes={"step": 1}
    )
    with tickets.finishing(engine, ticket.lease, ending):
        pass
    assert compare(connected).difference == "trial 0: its curve is sent up to epoch 3 of 4"
    flush(connected)
    assert compare(connected) == Comparison(runs=1, points=4 + 4)
    assert (connected.runs, connected.points) == (1, 4)

    (run,) = runs(connected)
    connected.client.log_metric(run.info.run_id, "val_loss", 0.5, timestamp=9999, step=1)
    doubled = "trial 0: val_loss at epoch 1 is not in Postgres with the time 9999, and 0.5 in MLflow"
    assert compare(connected).difference == doubled


def test_deleted_runs_are_noticed_and_sent_again_and_whole_ones_are_not_doubled(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    for number in (0, 1):
        ticket = train(engine, study, number, 0.5, 0.25)
        with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 2, 0.25)):
            pass
    flush(connected)
    first, _ = runs(connected)
    connected.client.delete_run(first.info.run_id)
    assert compare(connected).difference.startswith("trial 0: MLflow has the runs none, and should have ")
    forget_sent(engine, study.id)
    flush(connected)
    assert compare(connected) == Comparison(runs=2, points=2 * (2 + 3))


RANKING = ["loss", "recall@5", "recall_at_5", "Genauigkeit (größe=1)", "epochs"]


def ranked(study: StoredStudy) -> StoredStudy:
    """The same with metrics of which MLflow refuses two names, and two mean something else there already."""
    metrics = [*RANKING, *(f"val_{name}" for name in RANKING)]
    return dataclasses.replace(study, objective="val_recall@5", problem={**study.problem, "metrics": metrics})


def test_a_name_that_mlflow_refuses_gets_another_and_the_true_one_is_a_tag_of_run_and_experiment(
    tracked_database: Database, engine: Engine
) -> None:
    study = ranked(store_study(engine, trials=1))
    connected = connect(engine, study, find_tracking(tracked_database, study, None))
    ticket = train(engine, study, 0, 0.5)
    values = {name: float(number) for number, name in enumerate(study.problem["metrics"])}
    late = {"from a callback <3": 7.0}  # nothing has foretold it
    curves.write_epochs(engine, ticket.lease, [EpochRow(2, 5002, values | late)])
    result = {"seconds": 3.0, "best_val_recall@5": 0.5, "test_recall@5": 0.25}
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 2, 0.5, result=result)):
        pass
    flush(connected)
    (run,) = runs(connected)
    shown = run.data.metrics
    assert (shown["val_recall_at_5-" + hashed("val_recall@5")], shown["val_recall_at_5"]) == (6.0, 7.0)
    assert (shown["Genauigkeit größe_1"], shown["test_recall_at_5-" + hashed("test_recall@5")]) == (3.0, 0.25)
    assert (shown["epochs"], shown["epochs-" + hashed("epochs")], shown["val_epochs"]) == (2.0, 4.0, 9.0)
    assert shown["from a callback 3-" + hashed("from a callback <3")] == 7.0
    names = {key.removeprefix(ORIGINAL): value for key, value in run.data.tags.items() if ORIGINAL in key}
    assert names["Genauigkeit größe_1"] == "Genauigkeit (größe=1)"
    assert len(names) == 4 + 1 + 1 + 2 and set(names) < set(shown)
    experiment = connected.client.get_experiment(connected.experiment_id)
    assert experiment.tags[f"{ORIGINAL}val_Genauigkeit größe_1"] == "val_Genauigkeit (größe=1)"
    chart = decoded(experiment.tags[f"mlflow.sharedViewState.{CURVES}"])["compareRunCharts"][0]
    assert chart["metricKey"] == "val_recall_at_5-" + hashed("val_recall@5")
    assert compare(connected) == Comparison(runs=1, points=1 + len(values) + 1 + 6)


def hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:6]


def test_settings_of_any_name_and_length_reach_mlflow(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = claim(engine, study)
    tickets.bind_trial(engine, ticket.lease, 1000, 0)
    odd = {"a=b": 1, "seed": 7, "words": "x" * 7000, "nothing": None, "learning_rate": 0.5}
    tickets.set_params(engine, ticket.lease, "Mine", odd)
    flush(connected)
    (run,) = runs(connected)
    expected = {"optimizer": "Mine", "learning_rate": "0.5", "seed": "0", "words": "x" * 6000}
    told_apart = {
        f"{shown}-{hashed(name)}": (name, value)
        for shown, name, value in (("a_b", "a=b", "1"), ("seed", "seed", "7"))
    }
    assert run.data.params == expected | {"log10 learning_rate": "-0.301"} | {
        shown: value for shown, (_, value) in told_apart.items()
    }
    assert all(run.data.tags[f"{ORIGINAL}{shown}"] == name for shown, (name, _) in told_apart.items())


def test_a_point_that_mlflow_refuses_is_left_out_and_named_and_all_else_arrives(
    engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    ticket = train(engine, study, 0, 0.5)
    before_1970 = EpochRow(2, -5, {"val_loss": 0.25})
    curves.write_epochs(engine, ticket.lease, [before_1970, EpochRow(3, 5003, {"val_loss": 0.125})])
    with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 3, 0.125)):
        pass
    flush(connected)
    (run,) = runs(connected)
    assert points(connected.client, run, "val_loss") == [(1, 0.5), (3, 0.125)]
    assert (run.info.status, run.data.metrics["objective"]) == ("FINISHED", 0.125)
    assert connected.points == 2
    (refusal,) = connected.refusals()
    assert str(refusal).startswith("trial 0: metric val_loss: ") and "imestamp" in refusal.words
    assert (refusal.waits, count_unsent(engine, study.id)) == (False, 0)
    assert (
        compare(connected).difference
        == "trial 0: val_loss at epoch 2 is 0.25 in Postgres, and missing in MLflow"
    )


def test_a_run_that_mlflow_refuses_holds_up_no_other_and_a_flusher_says_so(
    tracked_database: Database, engine: Engine, study: StoredStudy, connected: Connected
) -> None:
    first, second = (train(engine, study, number, 0.5) for number in (0, 1))
    flush(connected)
    gone, _ = runs(connected)
    connected.client.delete_run(gone.info.run_id)
    for ticket in (first, second):
        with tickets.finishing(engine, ticket.lease, TrialEnding("complete", 1, 0.5)):
            pass
    place = find_tracking(tracked_database, study, None)
    flusher = Flusher(engine, study, lambda: place)
    assert not flusher.close(patience_seconds=0.1)
    assert flusher.behind.startswith("trial 0: all of it, for now: ") and "active" in flusher.behind
    (run,) = runs(connected)
    assert (run.info.status, run.data.tags["optselect.trial"]) == ("FINISHED", "1")
    assert [refusal.waits for refusal in connected.refusals()] == [True]
    forget_sent(engine, study.id)
    flush(connected)
    assert (connected.refusals(), compare(connected).difference) == ([], "")
