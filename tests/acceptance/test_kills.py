"""Whatever is killed, the study ends with exactly its budget, each trial under its own number."""

import signal

import psutil
import pytest

from tests.acceptance.commands import Shell, await_that, ended_trials, kill_at_once

TRIALS, EPOCHS = 4, 15


@pytest.mark.timeout(300)
def test_kill_a_trainer_then_its_supervisor_interrupt_a_resume_and_the_budget_is_exact(
    at_home: Shell,
) -> None:
    flags = ["--name", "killed", "--optimizers", "sgd,adam", "--seeds", "0"]
    flags += ["--trials", str(TRIALS), "--epochs", str(EPOCHS)]
    launch = at_home.start("launch", "diabetes", *flags, "--workers", "1")
    await_that(lambda: ended_trials(at_home, "killed") >= 1, "a first trial is done")
    first = at_home.training_processes("killed")
    kill_at_once(first[0])
    await_that(lambda: restarted(at_home, first[0]), "the trainer is restarted")
    kill_at_once(psutil.Process(launch.pid))
    await_that(lambda: not at_home.training_processes("killed"), "its trainer leaves by itself")

    resume = at_home.start("resume", "killed", "--workers", "1")
    before = ended_trials(at_home, "killed")
    await_that(lambda: ended_trials(at_home, "killed") > before, "the resumed search goes on")
    resume.send_signal(signal.SIGINT)
    _, words = resume.communicate(timeout=60)
    assert resume.returncode == 130, words
    assert "optselect resume killed" in words
    assert at_home.training_processes("killed") == []
    assert at_home.json("status", "killed")["trials"]["running"] == 0

    last = at_home.run("resume", "killed", "--workers", "1")
    assert last.returncode == 0, last.stderr
    status, trials = at_home.json("status", "killed"), at_home.json("trials", "killed")["trials"]
    assert (status["state"], status["trials"]["complete"]) == ("finished", TRIALS)
    assert sorted(trial["trial"] for trial in trials) == list(range(TRIALS + 1))
    assert {trial["epochs"] for trial in trials} == {EPOCHS}


def restarted(here: Shell, killed: psutil.Process) -> bool:
    return any(process.pid != killed.pid for process in here.training_processes("killed"))
