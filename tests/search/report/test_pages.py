"""What a person reads of a study and of a trial: counts, ranking, curves, and one sentence on every ending."""

import dataclasses
import json
import math
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from optselect.search.cli.optimizers import optimizers_table
from optselect.search.documents import document_text
from optselect.search.spec.objective import Objective
from optselect.search.status.live_view import Sight, live_view, phase_line
from optselect.search.status.pace import NOTHING_KNOWN, Left, time_left
from optselect.search.status.standing import ranked, standing, status_json, trials_json
from optselect.search.status.tables import next_commands, summary, trials_table
from optselect.search.status.trial_page import (
    sparkline,
    trial_code,
    trial_page,
    trial_page_json,
    why_it_ended,
)
from optselect.storage.records.checkpoints import Kept
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.overview import TrialRow, WorkerRow
from optselect.storage.records.studies import StoredStudy
from tests.support.problems import description
from tests.support.simulated import spec_of


def study(direction: str = "minimize") -> StoredStudy:
    return StoredStudy(
        id=1, name="net", spec={"optimizers": ["SGD", "Adam"], "epochs": 10}, spec_version=1,
        problem=description().to_json(), bundle={}, bundle_sha256="", data_hash="", versions={},
        objective="val_loss", direction=direction, tracking_uri=None, checkpoints=None, budget=4, state="running",
        decisions=[],
        mlflow_experiment_id=None, created_at=datetime.now(UTC), finished_at=None,
    )  # fmt: skip


def trial(
    number: int | None, optimizer: str, state: str, value: float | None = None, **more: Any
) -> TrialRow:
    plain = TrialRow(
        ticket=number or 99, ord=number or 99, trial=number, phase="quota", optimizer=optimizer, state=state, value=value, epochs=10,
        params={"learning_rate": 0.125}, attempts=1, seed=7, mlflow_run_id=None, message=None, seconds=4.0,
        role="search", result={}, started=None, finished=None,
    )  # fmt: skip
    return dataclasses.replace(plain, **more)


def whole_study() -> StoredStudy:
    spec = spec_of(optimizers="sgd,adam", trials=4).model_dump(mode="json")
    return dataclasses.replace(study(), spec=spec)


def worker(**more: Any) -> WorkerRow:
    plain = WorkerRow(
        id=uuid.UUID(int=1),
        host="ada",
        pid=7,
        slot=0,
        device="cpu",
        seconds_silent=0.5,
        usage={},
        done=0,
        seconds=9.0,
    )
    return dataclasses.replace(plain, **more)


TRIALS = [
    trial(0, "baseline", "complete", 0.9, phase="baseline", role="own"),
    trial(1, "SGD", "complete", 0.5),
    trial(2, "Adam", "diverged", message="loss is not finite at epoch 2", epochs=2),
    trial(3, "Adam", "running", epochs=4),
    trial(None, "SGD", "waiting", epochs=0, seconds=None),
]


def shown(renderable: Any, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  ends with the process
    console.print(renderable)
    return console.export_text()


def test_search_trials_are_counted_and_evaluation_apart() -> None:
    now = standing(study(), TRIALS)
    assert (now.search.ended, now.search.counts["waiting"], now.search.counts["running"]) == (2, 1, 1)
    assert now.evaluation["baseline"].ended == 1
    assert now.baseline == TRIALS[0]
    assert now.search.best == TRIALS[1]


def test_more_is_better_where_the_direction_says_so() -> None:
    rows = [trial(1, "SGD", "complete", 0.5), trial(2, "Adam", "complete", 0.7)]
    assert standing(study("maximize"), rows).search.best == rows[1]
    assert [
        name
        for name, _ in ranked(
            standing(study("maximize"), rows).by_optimizer, Objective("val_loss", "maximize")
        )
    ] == [
        "Adam",
        "SGD",
    ]


def test_a_run_at_defaults_shows_its_optimizer_as_code() -> None:
    row = trial(3, "Adam", "complete", 0.5, phase="baseline", role="defaults", params={})
    spec = spec_of(optimizers="sgd,adam")
    assert trial_code(row, spec, description()) == "import keras\nkeras.optimizers.Adam()  # Keras's defaults"
    waiting = trial(4, "Adam", "waiting", params={})
    assert trial_code(waiting, spec, description()) == "(no settings yet)"


def test_optimizers_without_a_complete_trial_rank_last() -> None:
    assert [
        name for name, _ in ranked(standing(study(), TRIALS).by_optimizer, Objective("val_loss", "minimize"))
    ] == ["SGD", "Adam"]


def test_the_time_left_is_shared_by_those_who_train() -> None:
    left = time_left(spec_of(optimizers="sgd,adam", trials=4, seeds=0), 4, TRIALS, 1)
    assert left.search == 4.0 + 0.0  # one waits; the one that runs has taken as long as its like already
    assert left.comparison is None
    assert time_left(spec_of(optimizers="sgd,adam"), 4, TRIALS[-1:], 1) == NOTHING_KNOWN
    assert time_left(spec_of(optimizers="sgd,adam"), 4, TRIALS, 0) == NOTHING_KNOWN


def test_trials_that_compile_a_program_are_not_the_measure_of_those_that_find_it() -> None:
    slow, quick = {"programs_built": 1}, {"programs_built": 0}
    trials = [
        trial(1, "SGD", "complete", 0.5, seconds=9.0, notes=slow),
        trial(2, "SGD", "complete", 0.5, seconds=1.0, notes=quick),
        trial(3, "SGD", "running", seconds=1.0, notes={}),
        trial(None, "SGD", "waiting", seconds=None),
        trial(None, "Adam", "waiting", seconds=None),
    ]
    left = time_left(spec_of(optimizers="sgd,adam", trials=5, seeds=0), 5, trials, 1)
    assert left.search == 1.0 + 1.0 + 8.0  # Adam's program is still to be made
    shared = time_left(spec_of(optimizers="sgd,adam", trials=5, seeds=0), 5, trials, 2)
    # By the end of the phase one of the two has made a program of the other's.
    assert shared.search == (1.0 + 1.0 + 8.0 + 8.0) / 2


def test_what_is_not_planned_yet_counts_and_the_comparison_is_a_range() -> None:
    trials = [trial(1, "SGD", "complete", 0.5, seconds=2.0), trial(2, "SGD", "running", seconds=2.0)]
    spec = spec_of(optimizers="sgd,adam", trials=40, seeds=5)
    left = time_left(spec, 40, trials, 1)
    assert left.search == 38 * 2.0
    assert left.comparison is not None
    first, most = left.comparison
    assert 0 < first < most


def test_the_live_view_shows_phases_optimizers_and_workers_in_eighty_columns() -> None:
    rows = [
        trial(1, "SGD", "complete", 0.5, finished=1.0),
        trial(2, "SGD", "complete", 0.9, finished=2.0),
        trial(3, "SGD", "complete", 0.1, finished=3.0),
        trial(4, "Adam", "running", epochs=4),
    ]
    text = shown(live_view(Sight(whole_study(), rows, [worker(done=3, seconds=60.0)])))
    assert "quota 3/4" in text
    assert "██▁" in text  # the best so far, after each of the three
    assert "3 trials/min" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_a_worker_that_is_silent_is_said_to_be_so_while_the_study_runs() -> None:
    lost = [worker(seconds_silent=42.0)]
    assert "silent for 42 s" in shown(live_view(Sight(whole_study(), TRIALS, lost)))
    finished = dataclasses.replace(whole_study(), state="finished")
    assert "silent" not in shown(live_view(Sight(finished, TRIALS, lost)))


def test_a_study_that_someone_paused_says_so() -> None:
    assert "paused" in shown(live_view(Sight(dataclasses.replace(whole_study(), state="paused"), TRIALS, [])))


def test_the_phases_stand_in_the_order_in_which_they_come() -> None:
    rows = [trial(1, "SGD", "complete", 0.5, phase="final"), *TRIALS]
    assert phase_line(standing(study(), rows), Left(3.0, (4.0, 9.0))) == (
        "baseline 1/1 · quota 2/4 · final 1/1 · then 4 s to 9 s to compare"
    )


def test_status_and_trials_as_data_have_the_keys_that_scripts_rely_on() -> None:
    status = status_json(study(), TRIALS, [], "masked", None)
    assert set(status) >= {
        "schema",
        "study",
        "state",
        "budget",
        "trials",
        "evaluation",
        "by_optimizer",
        "best",
        "workers",
    }
    assert status["best"] == {
        "trial": 1,
        "optimizer": "SGD",
        "value": 0.5,
        "params": {"learning_rate": 0.125},
    }
    (first, *_) = trials_json(TRIALS)["trials"]
    assert first["params"] == {"baseline.learning_rate": 0.125}


@pytest.mark.parametrize("table", [summary, trials_table])
def test_every_table_fits_eighty_columns(table: Any) -> None:
    assert max(len(line.rstrip()) for line in shown(table(study(), TRIALS)).splitlines()) <= 80


def test_the_catalogue_fits_eighty_columns() -> None:
    assert max(len(line.rstrip()) for line in shown(optimizers_table()).splitlines()) <= 80


def test_the_summary_puts_the_users_own_optimizer_beside_the_best() -> None:
    text = shown(summary(study(), TRIALS))
    assert "yours: SGD" in text and "0.9" in text and "learning_rate=0.01" in text


def test_the_next_commands_name_the_study() -> None:
    assert next_commands(study(), finished=True).count("net") == 4


def test_a_sparkline_is_thinned_and_keeps_its_last_value() -> None:
    assert len(sparkline([float(n) for n in range(1000)])) <= 42
    assert sparkline([float(n) for n in range(1000)]).endswith("█")
    assert sparkline([math.nan]) == "·"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (trial(1, "SGD", "complete", 0.5), "It trained all its epochs. val_loss is 0.5."),
        (trial(1, "SGD", "complete", 0.5, epochs=3), "stopped after epoch 3 by a callback"),
        (TRIALS[2], "It diverged: loss is not finite at epoch 2."),
        (trial(1, "SGD", "failed", message="ValueError: no"), "It failed: ValueError: no."),
        (TRIALS[3], "It is running; 4 of 10 epochs are written."),
        (TRIALS[4], "It waits for a worker."),
    ],
)
def test_one_sentence_says_why_a_trial_ended(row: TrialRow, sentence: str) -> None:
    assert sentence in why_it_ended(row, study())


def test_a_trial_page_shows_settings_as_code_and_a_curve_per_metric() -> None:
    curve = [EpochRow(n, n, {"loss": 1 / n, "val_loss": 2 / n, "learning_rate": 0.1}) for n in (1, 2, 3)]
    page = trial_page(study(), trial(1, "SGD", "complete", 0.5, attempts=2), curve, "SGD(...)", None)
    assert "\nSGD(...)\n" in page
    assert "2 attempts" in page
    assert page.index("val_loss ") < page.index("\nloss ")
    assert "learning_rate   " not in page  # it never moves


def test_a_trial_page_as_data_has_null_for_what_is_not_finite() -> None:
    made = trial_page_json(TRIALS[1], [EpochRow(1, 1, {"loss": math.inf})], "why", None, Kept(1, 9, None))
    page = json.loads(document_text(made))
    assert page["checkpoint"] == {"epoch": 1, "bytes": 9, "uri": None}
    assert page["curve"] == [{"epoch": 1, "loss": None}]
