"""A launcher learns of a problem what it needs, without loading Keras itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from optselect.trials.data.fingerprint import hash_data
from optselect.trials.describing.describe import describe, main
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.errors import ProblemError
from tests.support.fits import train
from tests.trials.conftest import MakeProblem, WriteProblem


def described(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    out = path.with_name("out.json")
    code = main([str(path), "--out", str(out), *options])
    assert [file.name for file in out.parent.glob("*.part")] == []
    return code, json.loads(out.read_text())


def test_description_says_what_a_study_needs(write_problem: WriteProblem) -> None:
    code, answer = described(write_problem("print('{')"), "--epochs", "9")
    assert code == 0
    description = ProblemDescription.from_json(answer)
    assert description.to_json() == ProblemDescription.from_json(description.to_json()).to_json()
    assert description.name == "my_problem" and description.schema == 1
    assert set(description.metrics) == {"loss", "mae", "val_loss", "val_mae"}
    assert description.rows == {"train": 37, "validation": 8, "test": 5}
    assert (description.batch_size, description.epochs, description.steps_per_epoch) == (16, 9, 3)
    assert description.parameters == 4 * 6 + 6 + 6 + 1
    assert description.inputs["train"] == "x float32(37, 4), y float32(37,)"
    assert description.baseline.code == "keras.optimizers.SGD(learning_rate=0.02)"
    assert dict(description.baseline.arguments) == {"learning_rate": 0.02}
    assert set(description.modules) == {"my_problem.py"} and len(description.data_hash) == 64
    assert set(description.versions) == {"python", "tensorflow", "keras", "numpy"}
    assert description.warnings == ()


@pytest.mark.parametrize(
    "schedule",
    [
        "CosineDecay(initial_learning_rate=0.3, decay_steps=10, alpha=0.0, warmup_steps=0)",
        "PiecewiseConstantDecay(boundaries=[2, 5], values=[0.3, 0.1, 0.03])",
    ],
)
def test_baseline_shows_what_differs_from_the_defaults(make_problem: MakeProblem, schedule: str) -> None:
    problem = make_problem(f"""
class Mine(keras.optimizers.SGD):
    pass
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(Mine(keras.optimizers.schedules.{schedule}, momentum=0.9, clipnorm=1.0), loss="mse")
    return net
""")
    baseline = describe(problem).baseline
    assert baseline.optimizer == "Mine"
    assert baseline.arguments["learning_rate"] == schedule
    assert (
        baseline.code
        == f"Mine(learning_rate=keras.optimizers.schedules.{schedule}, clipnorm=1.0, momentum=0.9)"
    )
    assert baseline.imports == "from my_problem import Mine"


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def model(): return None", "model() must return a compiled keras.Model"),
        (
            "def data(): return (x[:, :2], y), (x, y)",
            "one batch of the data must train the model. Received: ValueError",
        ),
        (
            "def data(): return (x, y), (x[:, :3], y)",
            "one batch of the data must train the model. Received: ValueError",
        ),
        ("x = x[:2]; y = y[:1]", "same number of rows"),
    ],
)
def test_problem_at_fault_is_answered_in_one_line(
    write_problem: WriteProblem, source: str, part: str
) -> None:
    code, answer = described(write_problem(source))
    assert code == 2 and part in answer["error"] and "\n" not in answer["error"]
    with pytest.raises(ProblemError):
        ProblemDescription.from_json(answer)


def test_model_that_fails_in_its_call_names_the_users_line(write_problem: WriteProblem) -> None:
    path = write_problem("""
class Net(keras.Model):
    def call(self, x):
        return x.nothing
def model():
    net = Net()
    net.compile("sgd", loss="mse")
    return net
""")
    code, answer = described(path)
    line = path.read_text().split("x.nothing")[0].count("\n") + 1
    assert code == 2 and f"(my_problem.py, line {line})" in answer["error"], answer["error"]


def test_data_hash_tells_changed_data(make_problem: MakeProblem) -> None:
    base = hash_data(make_problem().data)
    assert base == hash_data(make_problem("# a comment").data)
    changes = ["x[0, 0] += 1e-3", "x = x.astype('float64')", "y = y.reshape(-1, 1)"]
    hashes = {hash_data(make_problem(change).data) for change in changes}
    assert len(hashes) == 3 and base not in hashes


def test_batches_are_hashed_by_their_first(make_problem: MakeProblem) -> None:
    dataset = "def data(): return tf.data.Dataset.from_tensor_slices((x, y)).batch(8), (x, y)"
    description = describe(make_problem(dataset))
    assert description.data_hash.startswith("first-batch:")
    assert description.rows == {"train": None, "validation": 50} and description.batch_size is None
    assert description.steps_per_epoch == 7
    assert any("No test data" in warning for warning in description.warnings)


def test_a_training_that_reports_no_loss_is_told_how_it_diverges(make_problem: MakeProblem) -> None:
    problem = make_problem("""
class Silent(keras.Sequential):
    def train_step(self, data):
        super().train_step(data)
        return {"mae": self.metrics[-1].result()["mae"]}
def model():
    net = Silent([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    return net
""")
    assert "Training reports no loss" in describe(problem).warnings[0]
    result = train(problem, arguments={"learning_rate": 1e30})
    assert result.outcome.value == "diverged" and "kernel is not finite at epoch 1" in result.reason


def test_a_metric_of_several_numbers_is_no_objective_and_the_user_is_told(make_problem: MakeProblem) -> None:
    description = describe(
        make_problem("""
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    net.compile("sgd", "categorical_crossentropy", metrics=["acc", keras.metrics.F1Score()])
    return net
y = np.eye(3, dtype="float32")[np.digitize(y.ravel(), [-0.5, 0.5])]
""")
    )
    assert set(description.metrics) == {"loss", "acc", "val_loss", "val_acc"}
    assert description.warnings[0].startswith("No curve of f1_score")


def test_description_forgets_the_file_that_was_there(write_problem: WriteProblem) -> None:
    path = write_problem()
    path.with_name("out.json").write_text("old")
    shutil.move(path, path.with_name("gone.txt"))
    code, answer = described(path)
    assert code == 2 and "There is no problem file" in answer["error"]


# Missing targets: of two in a row one is NaN in some rows of each split.

MISSING = """
from keras import ops
def known(y):
    return ops.cast(ops.logical_not(ops.isnan(y)), y.dtype)
def filled(y):
    return ops.where(ops.isnan(y), ops.zeros_like(y), y)
def of_known(y, p):
    return ops.sum(known(y) * ops.square(filled(y) - p), -1) / ops.maximum(ops.sum(known(y), -1), 1.0)
def of_known_by_rows(y, p):
    return ops.sum(known(y) * ops.square(filled(y) - p), -1) / ops.sum(known(y), -1)
def where_known(y, p):
    return ops.sum(ops.where(ops.isnan(y), ops.zeros_like(y), ops.square(y - p)), -1)
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    net.compile("sgd", LOSS, metrics=METRICS, run_eagerly=True)
    return net
def data():
    both = np.stack([y, y], axis=1)
    both[SPLIT, SIDES] = np.nan
    return (x[:37], both[:37]), (x[37:45], both[37:45]), (x[45:], both[45:])
"""
TRAIN, VALIDATION, TEST = "slice(20, 22)", "slice(40, 41)", "slice(46, 47)"


def with_missing(loss: str, split: str, sides: str = "0", metrics: str = "[]") -> str:
    named = {"LOSS": loss, "SPLIT": split, "SIDES": sides, "METRICS": metrics}
    source = MISSING
    for name, text in named.items():
        source = source.replace(name, text)
    return source


@pytest.mark.parametrize("split", [TRAIN, VALIDATION, TEST])
def test_targets_may_be_missing_where_the_loss_leaves_them_out(make_problem: MakeProblem, split: str) -> None:
    description = describe(make_problem(with_missing("of_known", split, metrics='["mae"]')))
    unknown = "mae" if split == TRAIN else "val_mae"
    noted = f"{unknown}: NaN on rows whose targets are missing. Such a metric can be no objective."
    assert noted in description.warnings


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            with_missing('"mse"', TRAIN),
            r"train y holds 2 .* must train the model\. Received: a loss of nan\. ",
        ),
        (
            with_missing('"mse"', VALIDATION),
            r"validation y holds 1 .* must be scored\. Received: a loss of nan",
        ),
        (with_missing('"mse"', TEST), "test y holds 1 values that are NaN"),
        (
            with_missing("where_known", TRAIN),
            r"Received: a finite loss, and weights that are not finite after",
        ),
        (with_missing("of_known_by_rows", TRAIN, sides="slice(None)"), "train y holds 4 .* a loss of nan"),
    ],
)
def test_targets_may_not_be_missing_where_the_loss_counts_them(
    make_problem: MakeProblem, source: str, words: str
) -> None:
    with pytest.raises(ProblemError, match=words):
        describe(make_problem(source))


SWAPS = """
class Swaps(keras.callbacks.SwapEMAWeights):
    pass
fit["callbacks"] = [keras.callbacks.TerminateOnNaN(), Swaps()]
"""


def test_a_callback_that_swaps_averaged_weights_is_described(make_problem: MakeProblem) -> None:
    averages = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(keras.optimizers.Adam(use_ema=True), "mse", run_eagerly=True)
    return net
"""
    assert describe(make_problem(averages + SWAPS)).averaging_callback == "Swaps"
    assert describe(make_problem(averages)).averaging_callback == ""
    with pytest.raises(
        ProblemError, match=r"callback Swaps needs .* use_ema=True\. Received: SGD without it"
    ):
        describe(make_problem(SWAPS))
