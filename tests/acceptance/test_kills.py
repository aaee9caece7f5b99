"""Whatever is killed, the study ends with exactly its budget, and each trial with the curve it would have had."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from tests.support.commands import Shell, await_that, holds, kill_at_once, query
from tests.support.forked import Forks

TRIALS, EPOCHS = 3, 40


@pytest.mark.timeout(300)
def test_kill_9_of_trainer_zygote_and_supervisor_and_an_interrupt_cost_no_epoch_of_any_trial(
    at_home: Shell, forked: Forks
) -> None:
    shutil.copy(Path(__file__).parents[1] / "support" / "steady.py", at_home.folder)
    flags = ("--optimizers", "sgd,adam", "--trials", str(TRIALS), "--seeds", "0")
    one = ("--workers", "1")
    launched = ("launch", "steady.py", "--name", "killed", *flags, *one)
    with forked.start(at_home, *launched, EPOCH_SECONDS="0.25") as launch:
        await_that(lambda: checkpointed(at_home), "a trial has a checkpoint")
        first = at_home.training_processes("killed")
        kill_at_once(first[0])
        await_that(lambda: restarted(at_home, first[0]), "the trainer is restarted")
        await_that(lambda: checkpointed(at_home), "a trial has a checkpoint again")
        kill_at_once(psutil.Process(launch.pid))
        assert launch.end() == -9
    await_that(lambda: not at_home.training_processes("killed"), "its trainer leaves by itself")

    with forked.start(at_home, "resume", "killed", *one, EPOCH_SECONDS="0.25") as resume:
        await_that(lambda: checkpointed(at_home), "the resumed search goes on")
        zygotes = kill_zygotes(at_home)
        resume.signal(signal.SIGINT)
        assert resume.end() == 130, resume.words()
    assert "optselect resume killed" in resume.words()
    assert at_home.training_processes("killed") == []
    assert forked.json(at_home, "status", "killed")["trials"]["running"] == 0

    joined = forked.run(at_home, "worker", "killed")  # the rest is trained by a worker that anybody may start
    assert joined.returncode == 0, joined.stderr
    last = forked.run(at_home, "resume", "killed")
    assert last.returncode == 0, last.stderr
    log = (at_home.home / "logs" / "killed" / "worker-0.log").read_text() + joined.stderr
    assert len(re.findall("it goes on after epoch [1-9]", log)) == 3 + zygotes, log
    whole = forked.run(at_home, "launch", "steady.py", "--name", "whole", *flags, "--in-process")
    assert whole.returncode == 0, whole.stderr
    assert trials_of(at_home, "killed") == trials_of(at_home, "whole")
    address = forked.run(at_home, "db", "url", "--show-password", "--mlflow").stdout.strip()
    client = MlflowClient(tracking_uri=address)
    assert points_of(client, "killed") == points_of(client, "whole")


def checkpointed(here: Shell) -> bool:
    """Whether a trial is in its first half and has a fresh checkpoint: however slow the machine, it lives through this."""
    return holds(here, CHECKPOINTED, "killed", EPOCHS // 2)


def kill_zygotes(here: Shell) -> int:
    """Kill what the trainer is a fork of, and see it leave and another go on; how many: none where it was spawned."""
    (trainer,) = here.training_processes("killed")
    zygotes = here.zygotes("killed")
    for zygote in zygotes:
        kill_at_once(zygote)
        await_that(lambda: restarted(here, trainer), "the trainer leaves with its zygote and another starts")
        await_that(lambda: checkpointed(here), "a trial has a checkpoint once more")
    return len(zygotes)


def restarted(here: Shell, killed: psutil.Process) -> bool:
    return any(process.pid != killed.pid for process in here.training_processes("killed"))


def trials_of(here: Shell, study: str) -> dict[int, Any]:
    """Every trial's settings, outcome and curve, by its number."""
    rows = query(here, CURVES, study)
    assert sorted(row[0] for row in rows) == list(range(TRIALS + 1))
    assert all(len(row[-1]) == EPOCHS for row in rows)
    return {row[0]: row[1:] for row in rows}


def points_of(client: MlflowClient, study: str) -> dict[str, list[tuple[int, float]]]:
    """What MLflow shows: one run per trial, with its points of val_loss."""
    experiment = client.get_experiment_by_name(f"optselect/{study}")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == TRIALS + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    return {
        run.data.tags["optselect.trial"]: [
            (point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val_loss")
        ]
        for run in runs
    }


CHECKPOINTED = """
    SELECT count(*) FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE name = %s AND t.state = 'leased' AND t.epochs <= %s AND lease_until > clock_timestamp()
       AND EXISTS (SELECT FROM optselect.checkpoint WHERE ticket_id = t.id AND created_at > clock_timestamp() - interval '2 s')"""
CURVES = """
    SELECT trial_number, t.params, t.outcome, t.trial_value,
           (SELECT array_agg(metrics ORDER BY epoch) FROM optselect.epoch_log WHERE ticket_id = t.id)
      FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id WHERE name = %s"""
