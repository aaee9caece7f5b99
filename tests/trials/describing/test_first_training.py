"""A short training shows what the user's callbacks do, before anything is stored."""

from pathlib import Path

import pytest

from optselect.trials.describing.first_training import FirstTraining, one_batch_must_train, train_shortly
from optselect.trials.problem.initial_weights import build_model
from optselect.trials.terms.errors import ProblemError
from tests.trials.conftest import MakeProblem

CALLBACKS = """
class Schedule(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = {rate}
class Score(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["val_score"] = float(epoch)
fit["callbacks"] = [Score(), Schedule()]
"""


@pytest.fixture
def tried(make_problem: MakeProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def of(source: str) -> FirstTraining:
        problem = make_problem(source)
        model = problem.make_model()
        build_model(model, problem.one_batch)
        return train_shortly(model, problem)

    return of


def test_a_rate_that_is_set_at_each_batch_whatever_it_was_is_refused(tried) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(
        ProblemError, match=r"Received: Schedule sets it to 0\.003 in epoch 2, whatever it was"
    ):
        tried(CALLBACKS.format(rate="0.003"))


def test_a_rate_that_is_changed_relative_to_the_trials_own_is_noted(tried) -> None:  # type: ignore[no-untyped-def]
    found = tried(CALLBACKS.format(rate="self.model.optimizer.learning_rate * 0.9"))
    assert found.set_the_rate == ("Schedule",) and found.logs["val_score"] == 1.0 and found.remarks == ()


def test_an_optimizer_with_a_schedule_of_its_own_is_tried_at_plain_rates(tried) -> None:  # type: ignore[no-untyped-def]
    scheduled = """
plain = model
def model():
    net = plain()
    net.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 9)), "mse", run_eagerly=True)
    return net
"""
    assert tried(scheduled + CALLBACKS.format(rate="self.model.optimizer.learning_rate * 0.9")).set_the_rate


def test_who_writes_is_named_and_keras_own_write_elsewhere(tried, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    found = tried("""
import h5py
class Text(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        with open("text.txt", "a") as file:
            file.write("x")
class PastPython(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        with h5py.File("table.h5", "w") as file:
            file["x"] = [1]
fit["callbacks"] = [Text(), PastPython(), keras.callbacks.CSVLogger("log.csv"), keras.callbacks.BackupAndRestore("backup")]
""")
    backup, text, past = found.remarks
    assert backup.startswith("BackupAndRestore is left out") and found.moved == ("CSVLogger",)
    assert text.startswith(f"Text writes to {tmp_path}/text.txt: all trials")
    assert past.startswith(f"A callback writes to {tmp_path}/table.h5")
    assert {file.name for file in tmp_path.iterdir()} == {"my_problem.py", "text.txt", "table.h5"}


def test_a_callback_that_raises_is_named_with_its_line(tried) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(
        ProblemError,
        match=r"with the callbacks of its fit\. Received: KeyError: 'val_auc' \(my_problem\.py, line",
    ):
        tried("""
class Reads(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["val_auc"]
fit["callbacks"] = Reads()
""")


def test_a_refusal_is_told_once_and_is_not_its_own_cause(make_problem: MakeProblem) -> None:
    problem, refusal = make_problem("rows = 8"), ProblemError("problem.py: fit must have a mapping.")
    with pytest.raises(ProblemError) as caught, one_batch_must_train(problem):
        raise refusal
    assert caught.value is refusal and refusal.__cause__ is None


def test_what_users_code_raises_is_said_of_the_batch(make_problem: MakeProblem) -> None:
    with (
        pytest.raises(
            ProblemError, match=r"one batch of the data must train the model.*ValueError"
        ) as caught,
        one_batch_must_train(make_problem("rows = 8")),
    ):
        raise ValueError("no such axis")
    assert isinstance(caught.value.__cause__, ValueError)
