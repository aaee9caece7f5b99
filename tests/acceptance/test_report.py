"""The answer from outside: a study is launched, its verdict read as a page, as JSON, as code, and repeated by a script."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.browser import needs_chromium, page_of
from tests.support.commands import Shell, shell
from tests.support.forked import Ended, Forks

EPOCHS = 3
PROBLEM = '''"""Everything a seed decides: weights, dropout, the order of rows. Its own optimizer hardly moves."""

import keras
from sklearn.datasets import load_diabetes

fit = {"batch_size": 32, "epochs": 3}


def model():
    layers = [keras.Input((10,)), keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    net = keras.Sequential(layers)
    net.compile(optimizer=keras.optimizers.SGD(1e-6), loss="mse", metrics=["mae"])
    return net


def data():
    x, y = load_diabetes(return_X_y=True, scaled=True)
    x, y = x * 20, (y - 150) / 80
    return (x[:300], y[:300]), (x[300:370], y[300:370]), (x[370:], y[370:])
'''
FLAGS = ("--optimizers", "adam", "--trials", "4", "--in-process")


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return shell(acceptance_home, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def launched(here: Shell, forked: Forks) -> Ended:
    (here.folder / "reported.py").write_text(PROBLEM)
    return forked.run(here, "launch", "reported.py", *FLAGS)


@pytest.fixture(scope="module")
def verdict(here: Shell, forked: Forks, launched: Ended) -> dict[str, Any]:
    assert launched.returncode == 0, launched.stderr
    return dict(forked.json(here, "report", "reported"))


def test_a_launch_ends_with_the_verdict_and_its_code(launched: Ended, verdict: dict[str, Any]) -> None:
    *_, end = launched.stdout.partition("\n\n")[2].partition("optselect resume reported")
    assert " ".join(verdict["answer"].split()) in " ".join(end.split())
    assert launched.stdout.rstrip().endswith(verdict["code"].splitlines()[-1])


def test_the_report_says_it_in_40_lines(here: Shell, forked: Forks, verdict: dict[str, Any]) -> None:
    page = forked.run(here, "report", "reported")
    assert page.returncode == 0, page.stderr
    assert len(page.stdout.splitlines()) <= 40
    assert verdict["answer"] in " ".join(page.stdout.split())
    assert "yours: SGD" in page.stdout


def test_json_ranks_finalists_on_fresh_seeds_and_test_data(verdict: dict[str, Any]) -> None:
    assert (verdict["schema"], verdict["metric"], verdict["tested"]) == (1, "test loss", True)
    assert {row["optimizer"] for row in verdict["ranking"]} == {"Adam", "baseline"}
    assert all(row["seeds"] >= 5 for row in verdict["ranking"])
    assert sum(row["p_best"] for row in verdict["ranking"]) == pytest.approx(1.0)


def test_defaults_stand_beside_what_was_tuned_where_they_are_better(
    here: Shell, forked: Forks, launched: Ended, verdict: dict[str, Any]
) -> None:
    (beside,) = verdict["defaults"]
    assert (beside["optimizer"], beside["seeds"], verdict["direction"]) == ("Adam", 5, "minimize")
    assert beside["better"] == ("defaults" if beside["default"] < beside["tuned"] else "tuned")
    single = forked.json(here, "status", "reported")["by_optimizer"]["Adam"]
    table = launched.stdout.partition("These are best single runs")[0]
    assert ("at defaults" in table) == (single["defaults"] < single["best"])


def test_a_command_that_ends_a_study_has_the_verdict_in_its_json_too(
    here: Shell, forked: Forks, verdict: dict[str, Any]
) -> None:
    assert forked.json(here, "resume", "reported")["verdict"] == verdict


def test_code_is_what_json_says(here: Shell, forked: Forks, verdict: dict[str, Any]) -> None:
    assert forked.run(here, "report", "reported", "--code").stdout == verdict["code"] + "\n"


def test_code_of_any_that_was_compared_may_be_asked_for(here: Shell, forked: Forks) -> None:
    yours = forked.run(here, "report", "reported", "--code", "--optimizer", "Baseline").stdout
    assert yours.splitlines()[-1].startswith("keras.optimizers.SGD(learning_rate=1")
    script = forked.run(here, "report", "reported", "--code", "--script", "--optimizer", "baseline").stdout
    assert "model.optimizer  # the one of model()" in script
    unknown = forked.run(here, "report", "reported", "--code", "--optimizer", "lion")
    assert unknown.returncode == 2
    assert "must be one that was compared: Adam, baseline. Received: lion." in unknown.stderr


def test_the_script_repeats_a_final_run_bit_for_bit(
    here: Shell, forked: Forks, verdict: dict[str, Any]
) -> None:
    assert (verdict["outcome"], verdict["winner"]) == ("winner", "Adam")
    script = here.folder / "script.py"
    script.write_text(forked.run(here, "report", "reported", "--code", "--script").stdout)
    trial = script.read_text().partition("written by optselect: trial ")[2].split()[0]
    stored = forked.json(here, "show", "reported", trial)["curve"]
    assert len(stored) == EPOCHS
    for metric, values in history_of(script, here, forked).items():
        assert values == [epoch[metric] for epoch in stored]


def history_of(script: Path, here: Shell, forked: Forks) -> dict[str, list[float]]:
    """What a run of the script has in its History."""
    code = f"import json, runpy\nprint(json.dumps(runpy.run_path({script.name!r}, run_name='__main__')['history'].history))"
    (here.folder / "history.py").write_text(code)
    done = forked.run_script(here, "history.py")
    assert done.returncode == 0, done.stderr
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    assert "val_loss" in found
    return found


@needs_chromium
def test_a_browser_shows_the_verdict_and_every_figure_without_a_network(
    here: Shell, forked: Forks, verdict: dict[str, Any]
) -> None:
    done = forked.run(here, "report", "reported", "--html", "report.html")
    assert done.returncode == 0, done.stderr
    page = page_of((here.folder / "report.html").as_uri())
    assert shown_text(page, "h1") in verdict["answer"]
    assert verdict["code"].splitlines()[-1] in page
    drawn = dict(re.findall(r'<div id="chart-(\w+)".*?>(.*?)</figure>', page, flags=re.DOTALL))
    assert f">{verdict['defaults'][0]['default']:.4g}" in page and "test loss: less is better." in page
    assert set(drawn) == {"ranking", "curves", "budget", "tuning", "sensitivity", "ends", "pace"}
    for figure in drawn.values():
        assert re.search(r'<g class="(trace|points?)[^>]*>.*?<path', figure, flags=re.DOTALL)
    assert not re.search(r'<(?:script|link|img|iframe)[^>]* (?:src|href)="', page)


def shown_text(page: str, element: str) -> str:
    """The text of the first element of a kind, as a reader sees it."""
    found = re.search(rf"<{element}[^>]*>(.*?)</{element}>", page, flags=re.DOTALL)
    assert found is not None
    return " ".join(html.unescape(found[1]).split())


def test_mlflow_has_one_run_of_the_verdict_with_the_page_and_the_model_when_asked(
    here: Shell, forked: Forks, verdict: dict[str, Any]
) -> None:
    client = MlflowClient(
        tracking_uri=forked.run(here, "db", "url", "--show-password", "--mlflow").stdout.strip()
    )
    first = verdict_run(client)
    assert {"report.html", "report.json", "optimizer.py", "plots"} <= {
        file.path for file in client.list_artifacts(first)
    }
    assert json.loads(Path(client.download_artifacts(first, "report.json")).read_text()) == verdict
    experiment = client.get_experiment_by_name("optselect/reported")
    assert experiment is not None and experiment.tags["mlflow.note.content"].startswith(verdict["answer"])
    logged = forked.run(here, "report", "reported", "--log-model")
    assert logged.returncode == 0, logged.stderr
    assert verdict_run(client) == first
    model = client.get_logged_model(logged.stdout.strip().removeprefix("models:/"))
    assert model.source_run_id == first


def verdict_run(client: MlflowClient) -> str:
    """The id of the one run that holds the verdict; it has no curves."""
    experiment = client.get_experiment_by_name("optselect/reported")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.`optselect.phase` = 'verdict'")
    assert (run.info.run_name, run.info.status, run.data.metrics) == ("verdict", "FINISHED", {})
    return str(run.info.run_id)


def test_a_study_that_compares_nothing_prints_no_verdict(here: Shell, forked: Forks) -> None:
    few = ("--optimizers", "sgd", "--trials", "1", "--epochs", "1")
    best = forked.run(
        here, "launch", "diabetes", "--name", "best", "--goal", "best-config", *few, "--in-process"
    )
    assert best.returncode == 0, best.stderr
    assert "erdict" not in best.stdout.partition("optselect resume")[2]
    assert forked.run(here, "report", "best").stdout.startswith("No verdict: --goal best-config")
    ended = forked.json(here, "resume", "best")["verdict"]
    assert ended["outcome"] is None and ended["answer"].startswith("No verdict: --goal best-config")


def test_a_study_without_seeds_says_so_and_has_no_code(here: Shell, forked: Forks) -> None:
    few = ("--optimizers", "sgd", "--trials", "1", "--epochs", "1")
    forked.run(here, "launch", "diabetes", "--name", "none", "--seeds", "0", *few, "--workers", "0")
    assert "No verdict: with --seeds 0" in forked.run(here, "report", "none").stdout
    assert forked.json(here, "report", "none")["outcome"] is None
    refused = forked.run(here, "report", "none", "--code")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
