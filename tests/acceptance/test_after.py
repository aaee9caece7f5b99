"""What one does with a finished study, from outside: filter, show, export, read a bundle elsewhere, compare, delete."""

import csv
import json
import math
import zipfile
from pathlib import Path

import pyarrow.parquet
import pytest
from mlflow import MlflowClient

from tests.support.commands import Shell, query, shell, tell
from tests.support.forked import Forks

FEW = ("--optimizers", "sgd", "--epochs", "1", "--trials", "2", "--in-process")


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory, forked: Forks) -> Shell:
    """A shell where study "after" is finished and "waits" has only been stored."""
    here = shell(acceptance_home, tmp_path_factory.mktemp("after"))
    done = forked.run(here, "launch", "diabetes", "--name", "after", *FEW)
    assert done.returncode == 0, done.stderr
    stored = forked.run(
        here, "launch", "diabetes", "--name", "waits", *FEW, "--workers", "0", "--objective", "val_mae"
    )
    assert stored.returncode == 0, stored.stderr
    return here


# --- trials and show ----------------------------------------------------------------------------------


def test_trials_are_filtered_and_the_best_comes_first(here: Shell, forked: Forks) -> None:
    shown = forked.json(
        here, "trials", "after", "--phase", "survivors", "--sort", "value", "--state", "complete"
    )
    values = [trial["value"] for trial in shown["trials"]]
    assert (shown["schema"], values) == (1, sorted(values))
    rows = forked.run(here, "trials", "after", "--optimizer", "sgd", "--limit", "1").stdout.splitlines()
    assert len(rows) == 3 and " SGD " in rows[-1]


def test_a_mistyped_filter_is_answered_by_the_known_names(here: Shell, forked: Forks) -> None:
    refused = forked.run(here, "trials", "after", "--optimizer", "sdg")
    assert refused.returncode == 2
    assert refused.stderr == (
        'optselect: --optimizer must be of SGD, baseline. Received: sdg. Did you mean "SGD"?\n'
    )


def test_one_trial_is_shown_with_its_run_its_checkpoint_and_why_it_ended(here: Shell, forked: Forks) -> None:
    page = forked.json(here, "show", "after", "0")
    assert (page["schema"], page["trial"], page["checkpoint"], page["mlflow_url"]) == (1, 0, None, None)
    assert page["why"].startswith("It trained all its epochs.")
    assert page["why"] in forked.run(here, "show", "after", "0").stdout
    missing = forked.run(here, "show", "after", "999")
    assert (missing.returncode, missing.stderr.count("\n")) == (3, 1)


def test_the_list_of_studies_has_the_two_with_how_far_they_are(here: Shell, forked: Forks) -> None:
    listed = {row["name"]: row for row in forked.json(here, "studies")["studies"]}
    assert [listed[name]["state"] for name in ("after", "waits")] == ["finished", "running"]
    assert (listed["after"]["done"], listed["waits"]["done"], listed["waits"]["best"]) == (2, 0, None)


# --- export and report --bundle -----------------------------------------------------------------------


def test_tables_have_a_row_for_each_trial_or_each_epoch(here: Shell, forked: Forks) -> None:
    trials = forked.json(here, "trials", "after")["trials"]
    done = forked.run(here, "export", "after", "trials.csv")
    assert (done.returncode, done.stdout) == (0, "trials.csv\n")
    rows = list(csv.DictReader((here.folder / "trials.csv").open()))
    assert [float(row["value"] or "nan") for row in rows] == pytest.approx(
        [math.nan if trial["value"] is None else trial["value"] for trial in trials], nan_ok=True
    )
    assert [float(row["param.learning_rate"]) for row in rows if row["phase"] == "survivors"]
    forked.run(here, "export", "after", "epochs.parquet", "--epochs")
    epochs = pyarrow.parquet.read_table(here.folder / "epochs.parquet")
    assert epochs.num_rows == sum(trial["epochs"] for trial in trials)
    assert {"trial", "epoch", "val_loss"} <= set(epochs.column_names)
    assert forked.run(here, "export", "after", "-").stdout == (here.folder / "trials.csv").read_text()


def test_a_bundle_gives_the_same_report_where_there_is_no_database(
    here: Shell, forked: Forks, tmp_path: Path
) -> None:
    assert forked.run(here, "export", "after").stdout == "after.zip\n"
    (here.folder / "after.zip").rename(tmp_path / "after.zip")
    elsewhere = shell(tmp_path / "no" / "home", tmp_path)
    for options in ((), ("--json",), ("--code",), ("--code", "--script")):
        told = forked.run(elsewhere, "report", "--bundle", "after.zip", *options)
        assert (told.returncode, told.stdout) == (0, forked.run(here, "report", "after", *options).stdout)
    page = forked.run(elsewhere, "report", "--bundle", "after.zip", "--html", "page.html")
    assert page.returncode == 0, page.stderr
    assert not (tmp_path / "no").exists()
    with zipfile.ZipFile(tmp_path / "after.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.read("report.html") == (tmp_path / "page.html").read_bytes()
    assert set(manifest["seeds"]["final"]) == {200, 201, 202, 203, 204}
    assert {"optselect", "versions", "data_sha256", "source_sha256"} <= manifest.keys()
    assert "source/diabetes.py" in manifest["files"]


def test_a_bundle_that_was_changed_is_refused(here: Shell, forked: Forks, tmp_path: Path) -> None:
    forked.run(here, "export", "after", str(tmp_path / "whole.zip"))
    with (
        zipfile.ZipFile(tmp_path / "whole.zip") as whole,
        zipfile.ZipFile(tmp_path / "bent.zip", "w") as bent,
    ):
        for name in whole.namelist():
            body = whole.read(name)
            bent.writestr(name, body.replace(b"complete", b"diverged") if name == "trials.json" else body)
    (tmp_path / "text.zip").write_text("no zip")
    for name, words in (("bent.zip", "another trials.json"), ("text.zip", "File is not a zip file")):
        refused = forked.run(here, "report", "--bundle", str(tmp_path / name))
        assert refused.returncode == 2 and words in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "after", "after.txt"), "FILE must end with .csv, .parquet, .zip, or be -"),
        (("export", "after", "no/such/folder.csv"), "must lie in a folder that can be written"),
        (("report",), "Either STUDY or --bundle FILE must be given"),
        (("report", "after", "--bundle", "after.zip"), "Received: both."),
        (("report", "after", "--register", "my/model"), "--register must be a name without / and :"),
        (("report", "--bundle", "none.zip"), "must be a file that can be read"),
    ],
)
def test_what_cannot_be_written_or_read_is_said_in_one_line(
    here: Shell, forked: Forks, arguments: tuple[str, ...], words: str
) -> None:
    refused = forked.run(here, *arguments)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert words in refused.stderr


# --- compare ------------------------------------------------------------------------------------------


def test_two_studies_stand_side_by_side_without_a_false_comparison(here: Shell, forked: Forks) -> None:
    pair = forked.json(here, "compare", "after", "waits")
    assert (pair["schema"], pair["comparable"], pair["distance"]) == (1, False, None)
    assert [side["study"] for side in pair["studies"]] == ["after", "waits"]
    assert pair["differences"] == ["objective val_loss -> val_mae"]
    assert {"one is judged by val_loss, the other by val_mae", "waits has no verdict"} <= set(
        pair["obstacles"]
    )
    assert pair["together"] in forked.run(here, "compare", "after", "waits").stdout
    unknown = forked.run(here, "compare", "after", "wait")
    assert (unknown.returncode, 'did you mean "waits"?' in unknown.stderr) == (3, True)


def test_a_study_beside_itself_says_what_it_says(here: Shell, forked: Forks) -> None:
    pair = forked.json(here, "compare", "after", "after")
    assert pair["comparable"] and pair["differences"] == []
    assert pair["together"].startswith("The same data and source, and both say: ")


# --- delete -------------------------------------------------------------------------------------------


def test_delete_shows_what_goes_and_asks_only_at_a_terminal(here: Shell, forked: Forks) -> None:
    refused = forked.run(here, "delete", "after")
    assert refused.returncode == 2
    assert "the experiment in MLflow" in refused.stderr
    assert refused.stderr.endswith("To delete all of this: optselect delete after --yes\n")
    assert forked.run(here, "status", "after").returncode == 0


def test_delete_refuses_while_a_worker_of_another_machine_serves(here: Shell, forked: Forks) -> None:
    tell(here, SERVED, "waits")
    refused = forked.run(here, "delete", "waits", "--yes")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "Received: 1. First: optselect stop waits" in refused.stderr
    tell(
        here,
        "UPDATE optselect.worker SET heartbeat_at = heartbeat_at - interval '2 min' WHERE host = %s",
        FAR,
    )
    done = forked.json(here, "delete", "waits", "--yes")
    assert (done["schema"], done["study"], done["workers"]) == (1, "waits", 0)
    assert forked.run(here, "status", "waits").returncode == 3


FAR = "a machine far away"
SERVED = f"""
    INSERT INTO optselect.worker(id, study_id, host, pid, state)
    SELECT gen_random_uuid(), id, '{FAR}', 1, 'working' FROM optselect.study WHERE name = %s"""


def test_a_deleted_study_is_nowhere_and_its_name_is_free(here: Shell, forked: Forks) -> None:
    tiny = ("--optimizers", "sgd", "--epochs", "1", "--trials", "1", "--seeds", "0", "--in-process")
    forked.run(here, "launch", "diabetes", "--name", "gone", *tiny)
    logs = here.home / "logs" / "gone"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "worker-0.log").write_text("of an earlier worker")
    done = forked.json(here, "delete", "gone", "--yes")
    assert (done["trials"], done["epochs"], done["mlflow"]) == (2, 2, True)
    assert not logs.exists()
    for table in ("optselect.study", "optuna.studies"):
        column = "name" if table == "optselect.study" else "study_name"
        assert query(here, f"SELECT count(*) FROM {table} WHERE {column} = %s", "gone") == [(0,)]
    client = MlflowClient(forked.run(here, "db", "url", "--show-password", "--mlflow").stdout.strip())
    assert client.get_experiment_by_name("optselect/gone") is None
    assert forked.run(here, "launch", "diabetes", "--name", "gone", *tiny).returncode == 0
    experiment = client.get_experiment_by_name("optselect/gone")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 2
