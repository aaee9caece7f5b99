"""What docs/switching.md and the example say, run as they stand, with few epochs."""

import re
import shlex
from pathlib import Path

import pytest

from tests.acceptance.commands import Shell, query
from tests.acceptance.forked import Forks

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "switching.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
SPECS = [text for language, text in BLOCKS if language == "toml"]
COMMANDS = [text.strip() for language, text in BLOCKS if not language]
EPOCHS = 3
QUICK = ("--epochs", str(EPOCHS), "--seeds", "0", "--in-process")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_run(at_home: Shell, forked: Forks, command: str) -> None:
    name = "switched" if "--switch" in command else "scheduled"
    shortened = [*shlex.split(command)[1:], "--trials", "6", "--name", name]
    done = forked.run(at_home, *shortened, *QUICK)
    assert done.returncode == 0, done.stderr
    if name == "switched":
        each_epoch_says_which_optimizer_trained_it(at_home, forked)


def each_epoch_says_which_optimizer_trained_it(here: Shell, forked: Forks) -> None:
    rows = [row for row in query(here, CURVES, "switched") if row[0] == "SGD_to_Adam"]
    assert len(rows) == 2
    for _, number, params, phases in rows:
        before = params["switch_epoch"]
        assert phases == [1.0] * before + [2.0] * (EPOCHS - before)
        assert "# from epoch" in forked.run(here, "show", "switched", str(number)).stdout


@pytest.mark.parametrize("spec", [*SPECS, (ROOT / "examples" / "switch.toml").read_text()])
def test_spec_files_of_the_page_and_the_example_run(at_home: Shell, forked: Forks, spec: str) -> None:
    (at_home.folder / "study.toml").write_text(spec)
    done = forked.run(at_home, "launch", "--spec", "study.toml", "--trials", "6", *QUICK)
    assert done.returncode == 0, done.stderr


CURVES = """
    SELECT t.optimizer, t.trial_number, t.params, (SELECT array_agg((metrics ->> 'optimizer_phase')::float8 ORDER BY epoch)
                                     FROM optselect.epoch_log WHERE ticket_id = t.id)
      FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id WHERE name = %s"""
