"""A study is paused, stopped, taken up and carried to MLflow from another terminal than the one that trains it."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.commands import Shell, await_that, holds, query
from tests.support.forked import Forks

EPOCHS = 40


@pytest.mark.slow  # the same commands, each by itself: docs/reference/transcripts.md
@pytest.mark.timeout(240)
def test_a_study_is_stopped_resumed_and_paused_from_another_terminal(at_home: Shell, forked: Forks) -> None:
    shutil.copy(Path(__file__).parents[1] / "support" / "steady.py", at_home.folder)
    flags = ("--name", "steered", "--optimizers", "sgd,adam", "--trials", "3", "--seeds", "0")
    one = ("--workers", "1")
    with forked.start(at_home, "launch", "steady.py", *flags, *one, EPOCH_SECONDS="0.25") as launch:
        await_that(lambda: holds(at_home, RUNNING, "steered"), "a trial runs")
        told = forked.json(at_home, "stop", "steered")
        assert (told["state_before"], told["state"], told["running"]) == ("running", "stopped", 1)
        assert launch.end() == 0, launch.words()
    assert "It was stopped from outside. To go on: optselect resume steered" in launch.words()
    (ticket, epochs, attempts), *others = query(at_home, UNFINISHED, "steered")
    assert 0 < epochs < EPOCHS, "the trial left in its middle"
    assert attempts == 0, "leaving in good order is no lost attempt"
    assert all(epochs == 0 for _, epochs, _ in others)
    assert forked.json(at_home, "launch", "steady.py", *flags)["state"] == "stopped", (
        "launch takes up nothing"
    )

    with forked.start(at_home, "resume", "steered", *one, EPOCH_SECONDS="0.1") as resume:
        await_that(lambda: holds(at_home, RUNNING, "steered"), "the same trial runs again")
        paused = forked.run(at_home, "pause", "steered")
        assert paused.stdout.startswith(
            "steered is paused: no trial starts any more; running trials end as usual"
        )
        assert forked.json(at_home, "pause", "steered")["state_before"] == "paused"
        scaled = forked.json(at_home, "scale", "steered", "1")
        assert (scaled["executor"], scaled["workers"], scaled["workers_before"]) == ("local", 1, 1)
        assert resume.end() == 0, resume.words()
    assert "It was paused from outside" in resume.words()
    left = query(at_home, UNFINISHED, "steered")
    assert ticket not in [row[0] for row in left], "the running trial went on to its end"
    assert len(left) == len(others)
    again = forked.run(at_home, "pause", "steered")
    assert again.returncode == 0
    assert "was paused already" in again.stdout

    last = forked.run(at_home, "resume", "steered", "--workers", "0")
    with forked.start(at_home, "status", "steered", "--watch") as watching:
        joined = forked.run(at_home, "worker", "steered")
        assert (last.returncode, joined.returncode) == (0, 0), joined.stderr
        assert watching.end() == 0, "it ends with the study"
    assert re.match("steered: [01] of 3 trials", watching.words()), "what it saw first"
    assert "steered: 3 of 3 trials" in watching.words()
    behind = forked.run(at_home, "sync", "steered", "--check")  # nobody has sent what the last worker trained
    assert behind.returncode == 1, behind.stdout
    assert "its curve is sent up to epoch" in behind.stdout
    assert forked.json(at_home, "sync", "steered")["points"] > 0
    assert forked.json(at_home, "sync", "steered", "--check")["same"]
    assert "nothing is to be ended" in forked.run(at_home, "stop", "steered").stdout


RUNNING = """
    SELECT count(*) FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE name = %s AND t.state = 'leased' AND t.epochs BETWEEN 1 AND 20 AND lease_until > clock_timestamp()"""
UNFINISHED = """
    SELECT t.id, t.epochs, t.attempt FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE name = %s AND t.state <> 'done' ORDER BY t.epochs DESC"""
