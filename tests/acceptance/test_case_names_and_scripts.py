"""Whatever a metric is called MLflow has its curve; of whatever file a script is made it repeats the curve."""

import json
from collections.abc import Mapping
from pathlib import Path
from shutil import copy

import pytest
from mlflow import MlflowClient

from optselect.search.bundles.source import read_source
from optselect.search.report.chosen_code import Phase, training_script
from optselect.storage.records.overview import TrialRow
from tests.support.commands import Shell, shell
from tests.support.forked import Forks
from tests.support.slow import cases

CASES = Path(__file__).resolve().parent / "cases"
SEED = 200

# As a notebook is exported on Windows: a mark at the beginning, \r\n, cells; besides all that a file may do as a program,
# and a class that looks its own module up.
WINDOWS = '''"""Maße."""
from __future__ import annotations
import argparse, dataclasses, keras, typing, numpy as np
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
args = parser.parse_args()
# In[ ]:
@dataclasses.dataclass
class Size:
    units: int = 6
    kind: typing.ClassVar[str] = "tanh"
\f
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(Size().units, activation=Size.kind), keras.layers.Dense(1)])
    net.compile("adam", loss="mse", metrics=[keras.metrics.MeanAbsoluteError(name="größe")])
    return net
# In[2]:
def data():
    x = np.random.RandomState(1).randn(120, 4).astype("float32")
    return (x[:80], x[:80].sum(1)), (x[80:], x[80:].sum(1))
fit = {"batch_size": 32, "epochs": args.epochs}
if __name__ == "__main__":
    raise SystemExit(model().fit(*data()[0]))
'''
LATIN = "# -*- coding: latin-1 -*-\n" + WINDOWS
WRITTEN = {
    "windows_file.py": b"\xef\xbb\xbf" + WINDOWS.replace("\n", "\r\n").encode(),
    "latin_file.py": LATIN.encode("latin-1"),
}
NEEDS_MORE = ("pretrained.py", "weights_by_tensorflow.py", "swap_ema.py")
"""These need a file of weights, or an optimizer that averages."""
FOUND = tuple(sorted(file.name for file in CASES.glob("*.py") if file.name not in NEEDS_MORE))
OFTEN = (
    "data_of_the_module.py",
    "kl_anneal.py",
    "no_targets.py",
    "lists_and_none.py",
    "batches_by_chance.py",
)

TRAIN = """
import json
from pathlib import Path

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)  # as in every training process
tf.config.threading.set_inter_op_parallelism_threads(1)

from optselect.trials.problem.loading import load_problem
from tests.support.fits import train

for name in {names}:
    print(json.dumps([name, [epoch.metrics["val_loss"] for epoch in train(load_problem(Path(name)), seed={seed}).curve]]))
"""


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return shell(acceptance_home, tmp_path_factory.mktemp("scripts"))


@pytest.fixture(scope="module")
def trained(here: Shell, forked: Forks, request: pytest.FixtureRequest) -> Mapping[str, list[float]]:
    """The curves of one trial of each file that is asked for."""
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    found = [name for name in FOUND if name in asked]
    for name in found:
        copy(CASES / name, here.folder)
    for name, body in WRITTEN.items():
        (here.folder / name).write_bytes(body)
    (here.folder / "train.py").write_text(TRAIN.format(names=[*found, *WRITTEN], seed=SEED))
    done = forked.run_script(here, "train.py")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


@pytest.mark.parametrize(
    "name", cases([*FOUND, *WRITTEN], slow=[name for name in FOUND if name not in OFTEN])
)
def test_a_script_repeats_the_curve(
    here: Shell, forked: Forks, trained: Mapping[str, list[float]], name: str
) -> None:
    curve = trained[name]
    script = training_script(
        study="cases",
        run=final_run(curve[-1]),
        phases=[Phase(len(curve), "keras.optimizers.SGD(learning_rate=0.01)")],
        epochs=len(curve),
        objective="val_loss",
        source_name=name,
        bundle={name: read_source(here.folder / name)},
    )
    file = here.folder / f"script_of_{name}"
    file.write_text(f"{script}print('curve', history.history['val_loss'])\n", "utf-8")
    done = forked.run_script(here, file.name)
    assert done.returncode == 0, done.stderr
    *_, this, stored, whole = done.stdout.splitlines()
    assert whole == f"curve {curve}"
    assert this.removeprefix("this run: ") == stored.removeprefix("stored:   ")


def final_run(value: float) -> TrialRow:
    return TrialRow(
        1, 1, 1, "final", "SGD", "complete", value, 3, {}, 1, SEED, None, None, 1.0, "tuned", {}, None, None
    )  # fmt: skip


# --- names, from the command to MLflow and back -------------------------------------------------------


@pytest.fixture(scope="module")
def launched(here: Shell, forked: Forks) -> str:
    """The words of a launch whose objective MLflow would refuse."""
    copy(CASES / "recall_at_k.py", here.folder)
    few = ("--optimizers", "sgd", "--trials", "1", "--in-process")
    done = forked.run(here, "launch", "recall_at_k.py", "--objective", "val_recall@3:max", *few)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_metrics_of_any_name_are_in_mlflow_with_their_true_names_as_tags(
    here: Shell, forked: Forks, launched: str
) -> None:
    assert "MLflow" not in launched
    assert forked.json(here, "sync", "recall_at_k", "--check")["same"]
    client = MlflowClient(
        tracking_uri=forked.run(here, "db", "url", "--show-password", "--mlflow").stdout.strip()
    )
    experiment = client.get_experiment_by_name("optselect/recall_at_k")
    assert experiment is not None
    assert experiment.tags["optselect.name.val_recall_at_3"] == "val_recall@3"
    (run,) = client.search_runs([experiment.experiment_id], "tags.`optselect.trial` = '1'")
    assert {"val_recall_at_3", "Genauigkeit größe_1", "best_val_recall_at_3"} <= set(run.data.metrics)
    assert run.data.metrics["objective"] == run.data.metrics["val_recall_at_3"]
    assert run.data.tags["optselect.name.Genauigkeit größe_1"] == "Genauigkeit (größe=1)"


def test_code_runs_as_it_is_pasted_and_the_script_of_any_objective_repeats_its_value(
    here: Shell, forked: Forks, launched: str
) -> None:
    code = forked.run(here, "report", "recall_at_k", "--code").stdout
    assert code.startswith("import keras\n")
    (here.folder / "pasted.py").write_text(code)
    trial = forked.run(here, "show", "recall_at_k", "1").stdout.split("\n\n")[1]
    (here.folder / "shown.py").write_text(trial)
    script = forked.run(here, "report", "recall_at_k", "--code", "--script", "--optimizer", "sgd").stdout
    (here.folder / "script.py").write_text(script)
    for file in ("pasted.py", "shown.py", "script.py"):
        done = forked.run_script(here, file)
        assert done.returncode == 0, done.stderr
    this, stored = done.stdout.splitlines()[-2:]
    assert this.split() == ["this", "run:", "val_recall@3", *stored.split()[2:]]
