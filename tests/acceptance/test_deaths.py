"""Whatever ends its process in the user's code fails by itself, with its cause; the other optimizers have the budget."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Shell, await_that
from tests.support.control_groups import limited_group
from tests.support.forked import Forks

FLAGS = ("--optimizers", "sgd,rmsprop", "--trials", "4", "--seeds", "0")


@pytest.fixture
def here(at_home: Shell) -> Shell:
    shutil.copy(Path(__file__).parents[1] / "support" / "deadly.py", at_home.folder)
    return at_home


def of(trials: list[dict[str, Any]], optimizer: str) -> list[dict[str, Any]]:
    return [trial for trial in trials if trial["optimizer"] == optimizer]


def test_what_would_end_a_program_fails_the_trial_that_raised_it(here: Shell, forked: Forks) -> None:
    kills = {"KILLS": "RMSprop", "HOW": "KeyboardInterrupt"}
    done = forked.run(here, "launch", "deadly.py", "--name", "raises", *FLAGS, "--in-process", **kills)
    assert done.returncode == 0, done.stderr
    trials = forked.json(here, "trials", "raises")["trials"]
    failed = [trial["message"] for trial in of(trials, "RMSprop")]
    assert len(failed) == 2
    assert all(message.startswith("KeyboardInterrupt (deadly.py, line") for message in failed)
    assert len(of(trials, "SGD")) == 2
    assert {trial["attempts"] for trial in trials} == {1}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("exit 0", "its process ended with code 0"),
        ("exit 3", "its process ended with code 3: no licence for this optimizer"),
        ("exit 64", "its process ended with code 64"),
        ("SIGSEGV", "its process was killed (SIGSEGV): Segmentation fault (deadly.py, line"),
        ("abort", "its process was killed (SIGABRT): Aborted (deadly.py, line"),
    ],
)
def test_an_optimizer_that_kills_its_process_is_set_aside_and_the_others_have_its_budget(
    here: Shell, forked: Forks, how: str, cause: str
) -> None:
    name = f"kills-{how.replace(' ', '-')}"
    launch = ("launch", "deadly.py", "--name", name, *FLAGS, "--workers", "1")
    done = here.run(*launch, KILLS="RMSprop", HOW=how)
    assert done.returncode == 0, done.stderr
    assert (
        f"RMSprop is set aside, for its trials ended their process 3 times; the last time: {cause}"
        in done.stderr
    )
    status = forked.json(here, "status", name)
    assert cause in status["set_aside"]["RMSprop"]
    trials = forked.json(here, "trials", name)["trials"]
    (died,) = of(trials, "RMSprop")
    assert (died["state"], died["attempts"]) == ("failed", 4)
    assert f"lost 3 times; the last time: {cause}" in died["message"]
    assert len(of(trials, "SGD")) == 3, "the trial that RMSprop did not get"
    assert {trial["state"] for trial in of(trials, "SGD")} <= {"complete", "diverged"}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_users_own_optimizer_that_kills_its_process_is_compared_with_nothing(
    here: Shell, forked: Forks
) -> None:
    source = here.folder / "deadly.py"
    source.write_text(source.read_text().replace("optimizers.Adam(0.01)", "optimizers.Nadam(0.01)"))
    flags = ("--optimizers", "sgd,adam", "--trials", "16", "--seeds", "5", "--workers", "1")
    done = here.run(
        "launch", "deadly.py", "--name", "own-kills", *flags, "--json", KILLS="Nadam", HOW="exit 0"
    )
    assert done.returncode == 0, done.stderr
    report = forked.json(here, "report", "own-kills")
    assert report["baseline"]["gain"] is None
    assert any("So nothing is compared with it" in warning for warning in report["warnings"])
    assert {row["optimizer"] for row in report["ranking"]} == {"SGD", "Adam"}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_kill_for_memory_is_told_as_one(here: Shell, forked: Forks) -> None:
    with limited_group("optselect-memory", 4_000_000_000) as group:
        if isinstance(group, str):
            pytest.skip(group)
        flags = ("--name", "memory", *FLAGS, "--workers", "1")
        forked.run(here, "studies")  # the server stays outside of the group
        launch = here.start("launch", "deadly.py", *flags, KILLS="RMSprop", HOW="memory")
        group.take(launch.pid)
        _, words = launch.communicate(timeout=400)
        assert launch.returncode == 0, words
    reason = forked.json(here, "status", "memory")["set_aside"]["RMSprop"]
    assert "its process was killed for memory, of which it held" in reason


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_that_were_told_to_leave_by_another_hand_leave_a_launch_undone(
    here: Shell, forked: Forks
) -> None:
    launch = here.start(
        "launch", "deadly.py", "--name", "left", *FLAGS, "--epochs", "100000", "--workers", "1"
    )
    await_that(lambda: bool(here.training_processes("left")), "a trainer is there", 120)
    await_that(
        lambda: forked.json(here, "status", "left")["evaluation"]["baseline"]["running"] == 1,
        "it trains",
        120,
    )
    for process in here.training_processes("left"):
        process.send_signal(signal.SIGINT)
    _, words = launch.communicate(timeout=120)
    assert launch.returncode == 130, words
    assert "optselect resume left" in words
