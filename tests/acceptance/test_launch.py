"""The main job from outside: one command, 24 trials in Postgres, their curves in MLflow, a summary."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import optuna
import optuna_dashboard
import pytest
from mlflow import MlflowClient
from werkzeug.test import Client

from optselect.storage.tracking.chart_views import BEST, CURVES, FINALS
from tests.support.browser import curves, needs_chromium, page_of
from tests.support.commands import Shell, query, shell
from tests.support.forked import Forks

TRIALS, EPOCHS = 24, 3


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return shell(acceptance_home, tmp_path_factory.mktemp("launch"))


@pytest.fixture(scope="module")
def launched(here: Shell) -> CompletedProcess[str]:
    return here.run("launch", "diabetes", "--trials", str(TRIALS), "--epochs", str(EPOCHS), "--workers", "2")


@pytest.fixture(scope="module")
def trials(here: Shell, forked: Forks, launched: CompletedProcess[str]) -> list[dict[str, Any]]:
    return list(forked.json(here, "trials", "diabetes")["trials"])


def address(here: Shell, forked: Forks, *flags: str) -> str:
    return forked.run(here, "db", "url", "--show-password", *flags).stdout.strip()


def test_it_ends_well_with_a_table_and_the_next_commands(launched: CompletedProcess[str]) -> None:
    assert launched.returncode == 0, launched.stderr
    assert "best val_loss" in launched.stdout
    assert "yours: SGD" in launched.stdout
    for command in ("optselect ui diabetes", "optselect trials diabetes", "optselect resume diabetes"):
        assert command in launched.stdout


def test_progress_goes_to_stderr_as_plain_lines(launched: CompletedProcess[str]) -> None:
    assert f"diabetes: {TRIALS} of {TRIALS} trials" in launched.stderr
    assert "\x1b" not in launched.stderr + launched.stdout


def test_status_counts_search_tickets_only_and_evaluation_apart(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    status = forked.json(here, "status", "diabetes")
    assert (status["schema"], status["state"], status["budget"]) == (1, "finished", TRIALS)
    counts = status["trials"]
    assert sum(counts.values()) == TRIALS
    assert counts["waiting"] == counts["running"] == counts["failed"] == 0
    # The user's own, each class at its defaults.
    assert sum(status["evaluation"]["baseline"].values()) == 1 + 8
    assert sum(status["evaluation"]["final"].values()) == 5 * (1 + 3)  # five seeds for it and the best three
    assert (
        sum(
            sum(v for k, v in row.items() if k not in ("best", "defaults"))
            for row in status["by_optimizer"].values()
        )
        == TRIALS
    )
    assert status["best"]["value"] == min(
        row["best"] for row in status["by_optimizer"].values() if row["best"]
    )
    assert status["workers"] == []
    assert status["tracking"] is None
    assert "***" in status["storage"]


def test_postgres_holds_exactly_the_budget(here: Shell, launched: CompletedProcess[str]) -> None:
    (counts,) = query(
        here,
        "SELECT count(*), count(DISTINCT trial_id), count(*) FILTER (WHERE t.state = 'done') FROM optselect.ticket t "
        "JOIN optselect.study s ON s.id = study_id WHERE name = 'diabetes' AND phase = 'survivors'",
    )
    assert counts == (TRIALS, TRIALS, TRIALS)


def test_optuna_itself_reads_the_trials_each_within_its_ranges(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    study = optuna.load_study(study_name="diabetes", storage=address(here, forked, "--optuna"))
    found = [trial for trial in study.trials if trial.user_attrs["phase"] == "survivors"]
    assert len(found) == TRIALS
    assert {trial.state.name for trial in found} <= {"COMPLETE", "PRUNED"}
    for trial in found:
        optimizer = trial.params["optimizer"]
        assert all(name == "optimizer" or name.startswith(f"{optimizer}.") for name in trial.params)
        for name, distribution in trial.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(trial.params[name]))


def test_optunas_own_command_lists_the_study(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    command = ("optuna", "studies", "--storage", address(here, forked, "--optuna"), "--format", "json")
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    trials = {study["name"]: study["n_trials"] for study in json.loads(listed.stdout)}
    assert trials["diabetes"] == TRIALS + 9 + 20


def test_optunas_dashboard_shows_every_trial_under_the_objectives_name(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    dashboard = Client(optuna_dashboard.wsgi(address(here, forked, "--optuna")))
    listed = json.loads(dashboard.get("/api/studies").data)["study_summaries"]
    (number,) = (study["study_id"] for study in listed if study["study_name"] == "diabetes")
    shown = json.loads(dashboard.get(f"/api/studies/{number}").data)
    assert shown["objective_names"] == ["val_loss"]
    assert len(shown["trials"]) == TRIALS + 9 + 20


def test_mlflow_holds_each_trial_as_a_run_with_a_point_per_epoch_and_metric(
    here: Shell, forked: Forks, launched: CompletedProcess[str], trials: Sequence[dict[str, Any]]
) -> None:
    client = MlflowClient(tracking_uri=address(here, forked, "--mlflow"))
    experiment = client.get_experiment_by_name("optselect/diabetes")
    assert experiment is not None
    runs = client.search_runs(
        [experiment.experiment_id], "tags.`optselect.phase` = 'survivors'", max_results=1000
    )
    assert {run.info.run_id for run in runs} == {
        t["mlflow_run_id"] for t in trials if t["phase"] == "survivors"
    }
    epochs = {trial["mlflow_run_id"]: trial["epochs"] for trial in trials}
    for run in runs:
        assert run.info.status == "FINISHED"
        for metric in ("loss", "mae", "val_loss", "val_mae", "learning_rate"):
            steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
            assert sorted(steps) == list(range(1, epochs[run.info.run_id] + 1))


def test_trials_show_keras_arguments_behind_the_optimizers_name(trials: Sequence[dict[str, Any]]) -> None:
    assert len(trials) == TRIALS + 9 + 20
    for trial in trials:
        assert all(name.startswith(f"{trial['optimizer']}.") for name in trial["params"])
        assert not trial["params"] or 0 < trial["params"][f"{trial['optimizer']}.learning_rate"] <= 10
        assert trial["attempts"] == 1


def test_launching_the_same_again_prints_the_result_and_trains_nothing(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    again = forked.run(here, "launch", "diabetes", "--trials", str(TRIALS), "--epochs", str(EPOCHS))
    assert again.returncode == 0
    assert again.stdout == launched.stdout


def test_another_spec_under_the_same_name_is_refused_with_the_difference(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    other = forked.run(here, "launch", "diabetes", "--trials", "30", "--epochs", str(EPOCHS))
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert f"trials {TRIALS} -> 30" in other.stderr


@pytest.fixture(scope="module")
def link(here: Shell, launched: CompletedProcess[str]) -> Iterator[str]:
    server = here.start("ui", "diabetes", "--port", "5123", "--token")
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.send_signal(signal.SIGINT)
    server.wait(30)
    assert not list(here.home.glob("mlflow-server.json"))


@needs_chromium
def test_the_printed_link_shows_every_curve_on_the_chart_of_val_loss(
    here: Shell, forked: Forks, link: str, trials: Sequence[dict[str, Any]]
) -> None:
    bare = re.sub(r"\?token=[\w-]+", "", link)
    assert forked.json(here, "status", "diabetes")["tracking"] == bare != link
    assert "A token is needed" in page_of(bare)
    page = page_of(link)
    assert f"{len(trials)} of {len(trials)} runs done" in page
    # MLflow draws each twice; ten visible runs would be 20.
    assert len(curves(page, "val_loss")) >= len(trials)
    for trial in trials:
        assert re.search(rf"\b{trial['trial']:03d} {trial['optimizer']}\b", page)


@pytest.mark.slow
@needs_chromium
def test_the_view_of_the_finals_has_a_mean_curve_for_each_that_was_compared(
    here: Shell, forked: Forks, link: str
) -> None:
    page = page_of(link.replace(f"={CURVES}", f"={FINALS}"))
    compared = {row["optimizer"] for row in forked.json(here, "report", "diabetes")["ranking"]}
    assert set(re.findall(r"Group: (\w+)", page)) == compared
    assert len(curves(page, "val_loss")) >= len(compared)


@pytest.mark.slow
@needs_chromium
def test_the_note_leads_to_a_table_with_the_best_run_first(
    here: Shell, link: str, trials: Sequence[dict[str, Any]]
) -> None:
    page = page_of(
        link.replace(f"compareRunsMode=CHART&viewStateShareKey={CURVES}", f"viewStateShareKey={BEST}")
    )
    assert re.search(rf'href="\./#/experiments/\d+/runs\?viewStateShareKey={BEST}"', page)
    ended = [trial for trial in trials if trial["state"] == "complete"]
    best = min(ended, key=lambda trial: float(trial["value"]))
    names = re.findall(r">(\d{3}) (?:\w+) [\d.e-]+<", page)
    assert int(names[0]) == best["trial"]


@pytest.mark.slow
def test_a_verdict_goes_to_a_tracking_server_that_asks_for_a_token_too(
    here: Shell, forked: Forks, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _, rest = link.partition("/?token=")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", rest.partition("#")[0])  # of the test's own client
    few = ("--optimizers", "adam", "--trials", "1", "--epochs", "1", "--in-process", "--tracking", address)
    done = forked.run(here, "launch", "diabetes", "--name", "remote", *few)
    assert done.returncode == 0, done.stderr
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name("optselect/remote")
    assert experiment is not None and experiment.artifact_location.startswith("mlflow-artifacts:")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`optselect.phase` = 'verdict'")
    page = Path(client.download_artifacts(run.info.run_id, "report.html")).read_text("utf-8")
    answer = experiment.tags["mlflow.note.content"].partition(".")[0]
    assert answer in page
    told = forked.run(here, "report", "remote", "--register", "a forecast")
    assert (told.returncode, told.stdout) == (0, "models:/a forecast/1\n"), told.stderr
    version = client.get_model_version("a forecast", "1")
    assert (version.run_id, version.tags) == (run.info.run_id, {"optselect.study": "remote"})
    assert str(version.description).startswith(answer)


def test_resume_with_more_trials_adds_exactly_so_many(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    stored = forked.json(here, "resume", "diabetes", "--trials", "+2", "--workers", "0")
    assert (stored["budget"], stored["trials"]["waiting"], stored["state"]) == (TRIALS + 2, 2, "running")
    joined = forked.run(here, "worker", "diabetes")
    assert joined.returncode == 0, joined.stderr
    status = forked.json(here, "status", "diabetes")
    assert status["budget"] == sum(status["trials"].values()) == TRIALS + 2
    assert status["state"] == "finished"


def test_no_password_is_in_any_log_or_output(
    here: Shell, forked: Forks, launched: CompletedProcess[str]
) -> None:
    password = (here.home / "pg" / "pw").read_text().strip() if (here.home / "pg" / "pw").exists() else None
    password = password or address(here, forked).split("postgres:")[1].split("@")[0]
    texts = [launched.stdout, launched.stderr, *(log.read_text() for log in here.home.rglob("*.log"))]
    assert not any(password in text for text in texts)
