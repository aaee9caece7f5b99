"""What people have reported of models, callbacks and data: it trains on the curve of Keras's fit, or one line says why not.

The cases are in cases/, each with the reports that it follows.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import pytest

from optselect.trials.optimizers.building import build_optimizer, install_optimizer
from optselect.trials.problem.loading import load_problem
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig
from tests.support.commands import Shell
from tests.support.fits import fit_by_keras
from tests.support.forked import Forks

CASES = Path(__file__).with_name("cases")
SMALL = ("--optimizers", "adam", "--trials", "2", "--seeds", "0", "--in-process")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch, at_home: Shell) -> Iterator[None]:
    """The cases run in this process too, below the test's folder; they leave no module behind."""
    monkeypatch.chdir(at_home.folder)
    path, policy = sys.path[:], keras.config.dtype_policy()
    yield
    sys.path[:] = path
    keras.config.set_dtype_policy(policy)
    for name in [name for name in sys.modules if name.startswith("optselect_problem_")]:
        del sys.modules[name]


def brought(at_home: Shell, *names: str, **changes: str) -> None:
    """Copy files of a case into the test's folder, with a text in place of another."""
    for name in names:
        text = (CASES / name).read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        (at_home.folder / name).write_text(text)


def trials_of(forked: Forks, at_home: Shell, study: str) -> list[dict[str, Any]]:
    rows = forked.json(at_home, "trials", study)["trials"]
    return [forked.json(at_home, "show", study, str(row["trial"])) for row in rows]


def assert_curves_of_fit(at_home: Shell, case: str, trials: list[dict[str, Any]], step: str) -> None:
    """Each trial was trained as expected; the first and the last have the curve of compile and fit, in every metric."""
    for trial in trials:
        assert trial["state"] == "complete", trial["reason"]
        assert f"{trial['step']} of 4: {trial['step_reason'] or ''}" == step
    for trial in (trials[0], trials[-1]):
        curve = curve_of_fit(at_home.folder / case, trial)
        assert [epoch["epoch"] for epoch in trial["curve"]] == list(range(1, len(curve) + 1))
        for logs, epoch in zip(curve, trial["curve"], strict=True):
            assert {metric: epoch[metric] for metric in logs} == logs


def curve_of_fit(path: Path, trial: Mapping[str, Any]) -> list[dict[str, float]]:
    problem = load_problem(path)
    model = problem.make_model()
    install_optimizer(model, build_optimizer(config_of(trial), model))
    return fit_by_keras(model, problem, trial["seed"])[0]


def config_of(trial: Mapping[str, Any]) -> OptimizerConfig:
    if trial["optimizer"] == BASELINE:
        return OptimizerConfig(BASELINE, {})
    prefix = f"{trial['optimizer']}."
    arguments = {name.removeprefix(prefix): value for name, value in trial["params"].items()}
    return OptimizerConfig(trial["optimizer"], arguments)


def lines_in(file: Path) -> list[str]:
    lines = file.read_text().splitlines()
    file.unlink()
    return lines


def test_a_callback_sees_the_plain_numbers_of_its_trial(at_home: Shell, forked: Forks) -> None:
    brought(at_home, "config_callback.py")
    done = forked.run(at_home, "launch", "config_callback.py", "--name", "settings", *SMALL)
    assert done.returncode == 0, done.stderr
    written = {name: lines_in(at_home.folder / name) for name in ("settings.txt", "numbers.txt")}
    saved = keras.saving.load_model(at_home.folder / "last.keras")
    trials = trials_of(forked, at_home, "settings")
    assert [trial["optimizer"] for trial in trials] == [BASELINE, "Adam", "Adam"]
    assert_curves_of_fit(at_home, "config_callback.py", trials, "1 of 4: ")
    # Before them are those of the description, which tries the callbacks.
    numbers = written["numbers.txt"][-6:]
    assert numbers[:2] + numbers[-2:] == lines_in(at_home.folder / "numbers.txt")
    settings = [json.loads(line) for line in written["settings.txt"][-3:]]
    expected = [json.loads(line) for line in lines_in(at_home.folder / "settings.txt")]
    own, last = settings[0], settings[-1]
    assert [{**one, "name": ""} for one in (own, last)] == [{**one, "name": ""} for one in expected]
    plain = keras.saving.load_model(at_home.folder / "last.keras")
    assert len(saved.optimizer.variables) == len(plain.optimizer.variables)
    for own, other in zip(saved.optimizer.variables, plain.optimizer.variables, strict=True):
        assert own.numpy().tolist() == other.numpy().tolist()


def test_clear_session_in_the_model_keeps_metric_names_and_says_what_it_does_to_a_precision(
    at_home: Shell, forked: Forks
) -> None:
    brought(at_home, "clear_session.py")
    done = forked.run(at_home, "launch", "clear_session.py", "--name", "cleared", *SMALL)
    assert done.returncode == 0, done.stderr
    trials = trials_of(forked, at_home, "cleared")
    assert {"auc", "precision", "val_auc", "val_precision"} < set(trials[-1]["curve"][0])
    assert_curves_of_fit(at_home, "clear_session.py", trials, "1 of 4: ")

    half = "--precision", "mixed_bfloat16"
    done = forked.run(at_home, "launch", "clear_session.py", "--name", "cleared-half", *SMALL, *half)
    assert done.returncode == 2
    assert "for clear_session() in model() sets Keras's dtype policy back. Leave out" in done.stderr
    assert forked.run(at_home, "status", "cleared-half").returncode == 3


def test_missing_targets_train_where_the_loss_leaves_them_out(at_home: Shell, forked: Forks) -> None:
    brought(at_home, "nan_labels.py")
    done = forked.run(at_home, "launch", "nan_labels.py", "--name", "missing", *SMALL)
    assert done.returncode == 0, done.stderr
    trials = trials_of(forked, at_home, "missing")
    assert len(trials) == 3
    assert_curves_of_fit(at_home, "nan_labels.py", trials, "1 of 4: ")

    brought(at_home, "nan_labels.py", **{"loss=mean_of_known": 'loss="mse"'})
    done = forked.run(at_home, "launch", "nan_labels.py", "--name", "missing-mse", *SMALL)
    assert done.returncode == 2
    assert "Received: a loss of nan. Compile with a loss that leaves them out" in done.stderr
    assert forked.run(at_home, "status", "missing-mse").returncode == 3


def test_averaged_weights_are_swapped_for_every_optimizer_or_the_study_is_refused(
    at_home: Shell, forked: Forks
) -> None:
    brought(at_home, "swap_ema.py", "swap_ema.toml")
    done = forked.run(at_home, "launch", "--spec", "swap_ema.toml", "--in-process")
    assert done.returncode == 0, done.stderr
    trials = trials_of(forked, at_home, "swap-ema")
    assert [trial["optimizer"] for trial in trials] == [BASELINE, "SGD", "Adam"]
    reason = "3 of 4: the callback SwapEMAWeights has on_test_begin"
    assert_curves_of_fit(at_home, "swap_ema.py", trials, reason)

    done = forked.run(at_home, "launch", "swap_ema.py", "--name", "swap-none", *SMALL)
    assert done.returncode == 2
    assert "SwapEMAWeights needs use_ema=True" in done.stderr
    assert "Write [space.Adam] use_ema = true in a spec file" in done.stderr
    assert forked.run(at_home, "status", "swap-none").returncode == 3


def test_a_recurrent_layer_keeps_its_state_as_in_fit(at_home: Shell, forked: Forks) -> None:
    brought(at_home, "stateful.py")
    done = forked.run(at_home, "launch", "stateful.py", "--name", "stateful", *SMALL)
    assert done.returncode == 0, done.stderr
    trials = trials_of(forked, at_home, "stateful")
    assert len(trials) == 3
    assert_curves_of_fit(at_home, "stateful.py", trials, "1 of 4: ")
