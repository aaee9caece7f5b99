"""Whether less or more of the objective is better: told by the metric's own name and class, else asked, and always said."""

from pathlib import Path

import pytest

from tests.support.commands import Shell, shell, tell
from tests.support.forked import Ended, Forks

CASES = Path(__file__).parent / "cases"
FEW = ("--optimizers", "adam", "--trials", "1", "--epochs", "1", "--seeds", "0", "--in-process")
ACCURACY = "val_error_type_accuracy"


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return shell(acceptance_home, tmp_path_factory.mktemp("directions"))


@pytest.fixture(scope="module")
def launched(here: Shell, forked: Forks) -> Ended:
    return launch(here, forked, "heads.py", ACCURACY)


def launch(here: Shell, forked: Forks, case: str, objective: str) -> Ended:
    return forked.run(here, "launch", str(CASES / case), *FEW, "--objective", objective)


def test_the_accuracy_of_a_head_called_error_is_maximised_and_every_command_says_so(
    here: Shell, forked: Forks, launched: Ended
) -> None:
    assert launched.returncode == 0, launched.stderr
    said = f"objective {ACCURACY}, more is better"
    assert said in launched.stderr and said in launched.stdout
    assert said in forked.run(here, "status", "heads").stdout
    assert said in forked.run(here, "show", "heads", "0").stdout
    assert forked.json(here, "status", "heads")["direction"] == "maximize"


def test_what_show_prints_launches_the_same_study_again(here: Shell, forked: Forks, launched: Ended) -> None:
    spec = forked.run(here, "show", "heads").stdout
    assert f'objective = "{ACCURACY}:max"  # more is better\n' in spec
    (here.folder / "again.toml").write_text(spec)
    again = forked.run(here, "launch", "--spec", "again.toml", "--in-process")
    assert again.returncode == 0 and "note:" not in again.stderr, again.stderr


def test_another_direction_is_another_study(here: Shell, forked: Forks, launched: Ended) -> None:
    other = launch(here, forked, "heads.py", f"{ACCURACY}:min")
    assert other.returncode == 2
    assert f"objective {ACCURACY}:max -> {ACCURACY}:min" in other.stderr


@pytest.mark.parametrize("description", ["problem", "problem - 'known_metrics'"])
def test_a_stored_direction_stays_and_a_relaunch_says_that_today_it_would_be_another(
    here: Shell, forked: Forks, launched: Ended, description: str
) -> None:
    stored = """UPDATE optselect.study SET direction = 'minimize', problem = {},
                       spec = jsonb_set(spec, '{{direction}}', '"minimize"') WHERE name = %s"""
    tell(here, stored.format(description), "heads")
    attached = launch(here, forked, "heads.py", ACCURACY)
    assert attached.returncode == 0, attached.stderr
    assert (
        f"note: study heads keeps {ACCURACY}, less is better, as it was launched; a launch of today would take: "
        "more is better.\n"
    ) in attached.stderr
    assert "less is better" in attached.stdout


@pytest.mark.parametrize(
    ("objective", "why"),
    [
        ("val_spread", "neither its class nor its name tells"),
        (
            "val_error_rate",
            "its class derives from one of which more is better, its name says something else",
        ),
    ],
)
def test_what_nothing_tells_is_asked_and_nothing_is_stored(
    here: Shell, forked: Forks, objective: str, why: str
) -> None:
    asked = launch(here, forked, "own_measures.py", objective)
    assert asked.returncode == 2
    assert f"{why}. Received: no suffix. Write {objective}:min or {objective}:max." in asked.stderr
    assert "own_measures" not in forked.run(here, "studies").stdout
