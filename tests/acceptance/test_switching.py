"""What docs/switching.md and the example say, run as they stand, with few epochs."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from optselect.search.chosen_code import Phase, training_script
from tests.acceptance.commands import Shell, query
from tests.acceptance.forked import Forks
from tests.search.test_pages import trial

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


def test_the_script_of_a_switch_trains_to_the_very_numbers_of_its_trial(tmp_path: Path) -> None:
    switched = [
        Phase(1, "keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)"),
        Phase(2, "keras.optimizers.Adam(learning_rate=0.01)"),
        Phase(EPOCHS, "keras.optimizers.AdamW(learning_rate=0.003)", keeps_slots=True),
    ]
    script = training_script(
        study="switched", run=trial(1, "SGD_to_Adam", "complete"), phases=switched, epochs=EPOCHS,
        objective="val_loss", source_name="diabetes.py",
        bundle={"diabetes.py": (ROOT / "examples" / "diabetes.py").read_text()},
    )  # fmt: skip
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "compare.py").write_text(COMPARE)
    done = subprocess.run(
        [sys.executable, "compare.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    by_script, by_trial = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    assert by_script == by_trial


COMPARE = """
import json, runpy
from optselect.trials.bundled import resolve_problem
from optselect.trials.configuration import Configuration, OptimizerConfig, Switch
from optselect.trials.problem import load_problem
from optselect.trials.programs import Programs
from optselect.trials.trainer import run_trial

script = runpy.run_path("script.py", run_name="__main__")
adam = Switch(1, OptimizerConfig("Adam", {"learning_rate": 0.01}))
adamw = Switch(2, OptimizerConfig("AdamW", {"learning_rate": 0.003}), keeps_slots=True)
sgd = OptimizerConfig("SGD", {"learning_rate": 0.05, "momentum": 0.9})
result = run_trial(
    load_problem(resolve_problem("diabetes")), Configuration(sgd, (adam, adamw)), 7,
    epochs=3, programs=Programs(first_step=4), batch_ends=(), on_epochs=lambda epochs, snapshot: None,
)
last = script["history"].history
print(json.dumps({name: values[-1] for name, values in sorted(last.items())}))
print(json.dumps({name: result.curve[-1].metrics[name] for name in sorted(last)}))
"""
CURVES = """
    SELECT t.optimizer, t.trial_number, t.params, (SELECT array_agg((metrics ->> 'optimizer_phase')::float8 ORDER BY epoch)
                                     FROM optselect.epoch_log WHERE ticket_id = t.id)
      FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id WHERE name = %s"""
