"""A switch from a spec file trains, and as its script says; the commands of docs/switching.md: test_pages."""

import json
from pathlib import Path

from optselect.search.report.chosen_code import Phase, training_script
from tests.search.report.test_pages import trial
from tests.support.commands import Shell
from tests.support.forked import Forks

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3
QUICK = ("--epochs", str(EPOCHS), "--seeds", "0", "--in-process")


def test_the_spec_file_of_the_example_runs(at_home: Shell, forked: Forks) -> None:
    (at_home.folder / "study.toml").write_text((ROOT / "examples" / "switch.toml").read_text())
    done = forked.run(at_home, "launch", "--spec", "study.toml", "--trials", "6", *QUICK)
    assert done.returncode == 0, done.stderr


def test_the_script_of_a_switch_trains_to_the_very_numbers_of_its_trial(
    at_home: Shell, forked: Forks
) -> None:
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
    (at_home.folder / "script.py").write_text(script)
    (at_home.folder / "compare.py").write_text(COMPARE)
    done = forked.run_script(at_home, "compare.py")
    assert done.returncode == 0, done.stderr
    by_script, by_trial = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    assert by_script == by_trial


COMPARE = """
import json, runpy
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import Configuration, OptimizerConfig, Switch
from optselect.trials.problem.loading import load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.training.trainer import run_trial

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
