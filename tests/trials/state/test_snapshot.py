"""A training that goes on from a snapshot equals one that was never interrupted."""

import io
import json
from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.state.snapshot import Position, read_position, restore_snapshot, write_snapshot
from optselect.trials.terms.configuration import Configuration, OptimizerConfig, Switch
from optselect.trials.terms.errors import SnapshotError
from optselect.trials.terms.outcome import Outcome
from tests.support.fits import Recorder, train
from tests.trials.conftest import MakeProblem

NOISY = """
def model():
    net = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(6), keras.layers.BatchNormalization(), keras.layers.Dropout(0.3),
        keras.layers.Dense(1),
    ])
    net.compile(optimizer="sgd", loss="mse", run_eagerly=RUN_EAGERLY)
    return net
"""

RESUMED: list[tuple[str, dict[str, Any], bool]] = [
    ("SGD", {"momentum": 0.9}, True),
    ("Adam", {}, True),
    ("Nadam", {}, False),  # its _u_product is in no list of variables
    ("RMSprop", {"momentum": 0.5, "centered": True}, True),
]


@pytest.mark.parametrize(("optimizer", "arguments", "eagerly"), RESUMED)
def test_resumed_training_equals_an_uninterrupted_one(
    make_problem: MakeProblem, optimizer: str, arguments: dict[str, Any], eagerly: bool
) -> None:
    problem = make_problem(f"RUN_EAGERLY = {eagerly}\n{NOISY}")
    whole, rest = Recorder(), Recorder()
    full = train(problem, optimizer, whole, arguments=arguments, epochs=4, batch_ends=(2,))
    resumed = train(problem, optimizer, rest, arguments=arguments, epochs=4, start=whole.snapshots[2])

    assert [epoch.number for epoch in resumed.curve] == [3, 4]
    assert [epoch.metrics for epoch in resumed.curve] == [epoch.metrics for epoch in full.curve[2:]]
    assert rest.last == whole.last


def test_callbacks_of_a_resumed_trial_remember(make_problem: MakeProblem) -> None:
    problem = make_problem("""
fit["callbacks"] = [keras.callbacks.ReduceLROnPlateau(patience=2, min_delta=100.0, factor=0.5),
                    keras.callbacks.EarlyStopping(patience=5, min_delta=100.0, restore_best_weights=True)]
""")
    whole, rest = Recorder(), Recorder()
    full = train(problem, recorder=whole, epochs=9, batch_ends=(4,))
    resumed = train(problem, recorder=rest, epochs=9, start=whole.snapshots[4])

    assert len(full.curve) == 6, "the test wants EarlyStopping to end the trial"
    assert [epoch.metrics for epoch in resumed.curve] == [epoch.metrics for epoch in full.curve[4:]]
    assert len({epoch.metrics["learning_rate"] for epoch in full.curve}) > 2
    assert rest.last == whole.last


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin"])
def test_numbers_that_callbacks_set_before_the_first_batch_hold_in_a_resumed_trial(
    make_problem: MakeProblem, hook: str
) -> None:
    problem = make_problem(f"""
RUN_EAGERLY = False
class Sets(keras.callbacks.Callback):
    at = 0
    def on_epoch_end(self, epoch, logs=None):
        self.at += 1
    def {hook}(self, place, logs=None):
        self.model.optimizer.momentum = 0.5 if self.at < 2 else 0.9  # the second comes too late, as in fit
fit["callbacks"] = [Sets()]
""")
    whole, rest = Recorder(), Recorder()
    arguments = {"learning_rate": 0.01, "momentum": 0.3}
    full = train(problem, recorder=whole, arguments=arguments, epochs=4, batch_ends=(2,))
    assert full.step is not None and full.step.number == (1 if hook == "on_epoch_begin" else 3)
    resumed = train(problem, recorder=rest, arguments=arguments, epochs=4, start=whole.snapshots[2])
    assert [epoch.metrics for epoch in resumed.curve] == [epoch.metrics for epoch in full.curve[2:]]
    other = train(problem, arguments={**arguments, "momentum": 0.5}, epochs=4)
    assert [epoch.metrics for epoch in other.curve] == [epoch.metrics for epoch in full.curve]


def test_trial_with_a_switch_resumes_in_either_phase(make_problem: MakeProblem) -> None:
    problem = make_problem()
    first, second = (
        OptimizerConfig("Adam", {}),
        OptimizerConfig("SGD", {"learning_rate": 0.02, "momentum": 0.9}),
    )
    configuration = Configuration(first, (Switch(2, second),))
    whole = Recorder()
    full = train(problem, recorder=whole, configuration=configuration, epochs=4, batch_ends=(1, 2, 3))
    for at in (1, 2, 3):
        rest = Recorder()
        start = whole.snapshots[at]
        resumed = train(problem, recorder=rest, configuration=configuration, epochs=4, start=start)
        assert [epoch.metrics for epoch in resumed.curve] == [epoch.metrics for epoch in full.curve[at:]]
        assert rest.last == whole.last


def test_a_resumed_training_is_compared_with_its_first_epoch(make_problem: MakeProblem) -> None:
    """One from a snapshot that does not tell it yet is compared with the first epoch after it."""
    problem, whole = make_problem(), Recorder()
    explodes: dict[str, Any] = {"arguments": {"learning_rate": 0.45}, "epochs": 6}
    full = train(problem, recorder=whole, batch_ends=(2, 3), **explodes)
    assert full.outcome is Outcome.DIVERGED and len(full.curve) == 5
    resumed = train(problem, start=whole.snapshots[3], **explodes)
    assert (resumed.outcome, resumed.reason) == (Outcome.DIVERGED, full.reason)

    older = train(problem, start=without_first_loss(whole.snapshots[2]), **explodes)
    third = full.curve[2].metrics["loss"]
    assert older.curve[0].metrics == full.curve[2].metrics
    assert older.reason.endswith(f"at epoch 5, in the first epoch it was {third:.4g}")


def without_first_loss(snapshot: bytes) -> bytes:
    """A snapshot as the releases before wrote it."""
    stored = dict(np.load(io.BytesIO(snapshot)))
    header = json.loads(str(stored["header"]))
    del header["first_loss"]
    stream = io.BytesIO()
    np.savez(stream, **{**stored, "header": np.array(json.dumps(header))})
    return stream.getvalue()


def test_finished_trial_resumes_to_nothing_left(make_problem: MakeProblem) -> None:
    problem = make_problem()
    recorder = Recorder()
    train(problem, recorder=recorder)
    again = train(problem, start=recorder.last, test=True)
    assert again.curve == () and again.test is not None


def test_snapshot_of_another_optimizer_is_refused(make_problem: MakeProblem) -> None:
    problem = make_problem()
    recorder = Recorder()
    train(problem, recorder=recorder)
    with pytest.raises(SnapshotError, match=r"must hold .* variables"):
        train(problem, "Adam", start=recorder.last)
    with pytest.raises(SnapshotError, match="npz"):
        train(problem, start=b"no snapshot")
    with pytest.raises(SnapshotError, match="npz"):
        train(problem, start=recorder.last[:-40])


def test_snapshot_keeps_bfloat16_and_loss_scale() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, dtype="bfloat16")])
    model.compile(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.dynamic_scale.assign(8.0)
    kernel = np.array(model.layers[0].kernel.numpy())
    snapshot = write_snapshot(
        model, Position(5, 1, {"LOG": {"list": [{"value": float("inf")}, {"array": np.ones(2)}]}})
    )

    model.layers[0].kernel.assign(0 * kernel)
    model.optimizer.dynamic_scale.assign(1.0)
    restore_snapshot(model, snapshot)
    np.testing.assert_array_equal(np.array(model.layers[0].kernel.numpy()), kernel)
    assert float(model.optimizer.dynamic_scale) == 8.0

    position = read_position(snapshot)
    first, second = position.memory["LOG"]["list"]
    assert (position.epoch, position.phase, first) == (5, 1, {"value": float("inf")})
    np.testing.assert_array_equal(second["array"], np.ones(2))


STATEFUL = """
class Net(keras.Model):  # built by its first call, which is no part of a training
    def __init__(self):
        super().__init__()
        self.kept, self.out = keras.layers.SimpleRNN(3, stateful=True), keras.layers.Dense(1)
    def call(self, x):
        return self.out(self.kept(x))
def model():
    net = Net()
    net.compile(optimizer="sgd", loss="mse", run_eagerly=RUN_EAGERLY)
    return net
def data():
    steps = random.normal(size=(32, 3, 2)).astype("float32")
    return (steps[:16], y[:16]), (steps[16:], y[16:32])
fit["batch_size"] = 8
"""


def test_what_a_recurrent_layer_keeps_is_resumed(make_problem: MakeProblem) -> None:
    problem, whole, rest = make_problem(STATEFUL), Recorder(), Recorder()
    model = problem.initial_weights.model_of_seed(0)
    assert not np.any(model.kept.states[0].numpy())

    full = train(problem, recorder=whole, epochs=3, batch_ends=(1,))
    resumed = train(problem, recorder=rest, epochs=3, start=whole.snapshots[1])
    assert [epoch.metrics for epoch in resumed.curve] == [epoch.metrics for epoch in full.curve[1:]]
    assert rest.last == whole.last

    model.optimizer.build(model.trainable_variables)
    restore_snapshot(model, whole.last)
    assert np.any(model.kept.states[0].numpy())
    # As a release wrote it that did not know of states.
    restore_snapshot(model, without_last_variable(whole.last))


def without_last_variable(snapshot: bytes) -> bytes:
    with np.load(io.BytesIO(snapshot)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    del arrays[f"variable_{sum(name.startswith('variable_') for name in arrays) - 1}"]
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()
