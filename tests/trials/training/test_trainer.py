"""What a trial does with what users bring, and how it ends."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import pytest

from optselect.trials.terms.configuration import BASELINE, Configuration, OptimizerConfig, Switch
from optselect.trials.terms.errors import ConfigurationError, DeviceLost
from optselect.trials.terms.outcome import Epoch, Outcome, Stop
from optselect.trials.training import watch
from tests.support.fits import SEED, Recorder, fit_by_hand, largest_difference, train
from tests.trials.conftest import MakeProblem

# Endings


def test_complete_trial_tells_every_epoch_once(make_problem: MakeProblem) -> None:
    recorder = Recorder()
    before = time.time() * 1000
    result = train(make_problem(), recorder=recorder, batch_ends=(2,), test=True)
    assert result.outcome is Outcome.COMPLETE and result.reason == ""
    assert recorder.calls in ([[1, 2], [3]], [[1], [2], [3]])  # a slow machine may report once a second
    for epoch in result.curve:
        assert set(epoch.metrics) == {"loss", "mae", "val_loss", "val_mae", "learning_rate"}
        assert before <= epoch.ended_ms <= time.time() * 1000
    assert set(result.initial) == {"val_loss", "val_mae"}
    assert result.test is not None and set(result.test) == {"loss", "mae"}


def test_same_seed_gives_the_same_curve_and_another_seed_another(make_problem: MakeProblem) -> None:
    problem = make_problem()
    first, again, other = (train(problem, seed=seed, epochs=1) for seed in (1, 1, 2))
    assert [epoch.metrics for epoch in first.curve] == [epoch.metrics for epoch in again.curve]
    assert first.initial == again.initial != other.initial


def test_all_optimizers_start_from_the_seeds_weights(make_problem: MakeProblem) -> None:
    problem = make_problem()
    train(problem, "Adam", epochs=1)
    problem.initial_metrics.clear()
    assert train(problem, "SGD", epochs=1).initial == train(problem, "Lion", epochs=1).initial


def test_stop_ends_the_trial_at_once_with_its_reason(make_problem: MakeProblem) -> None:
    result = train(make_problem(), recorder=Recorder(stop_at=1), batch_ends=(1, 2), test=True)
    assert (result.outcome, result.reason, len(result.curve)) == (Outcome.STOPPED, "enough", 1)
    assert result.test is None


def test_stop_is_asked_for_in_a_long_validation_too(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ASK_SECONDS", 0.0)
    asked: list[Sequence[Epoch]] = []

    def stop_at_the_second_question(epochs: Sequence[Epoch], snapshot: object) -> Stop | None:
        asked.append(epochs)
        return Stop("enough") if len(asked) == 2 else None

    problem = make_problem("fit['batch_size'] = 37; fit['validation_batch_size'] = 2")
    result = train(problem, on_epochs=stop_at_the_second_question)
    assert (result.outcome, result.curve) == (Outcome.STOPPED, ()), "the epoch has not ended"
    assert asked == [(), ()], "once after the only batch, once in the validation"


def test_loss_that_is_not_finite_ends_the_trial_at_its_batch(make_problem: MakeProblem) -> None:
    problem = make_problem("""
class CountBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        open(__file__ + ".count", "a").write(".")
fit["callbacks"] = CountBatches()
""")
    recorder = Recorder()
    result = train(problem, recorder=recorder, arguments={"learning_rate": 1e30})
    assert (result.outcome, result.reason) == (Outcome.DIVERGED, "loss is not finite at epoch 1")
    assert recorder.calls == [[1]]
    assert set(result.curve[0].metrics) == {"loss", "mae", "val_loss", "val_mae", "learning_rate"}
    assert not math.isfinite(result.curve[0].metrics["loss"])
    assert problem.path.with_name("my_problem.py.count").read_text() == "..", "the epoch has three batches"


def test_training_loss_that_explodes_ends_the_trial_and_one_that_comes_back_does_not(
    make_problem: MakeProblem,
) -> None:
    problem = make_problem()
    exploded = train(problem, arguments={"learning_rate": 0.8}, epochs=4)
    first, last = exploded.curve
    assert exploded.outcome is Outcome.DIVERGED
    assert (
        exploded.reason
        == f"loss {last.metrics['loss']:.4g} at epoch 2, in the first epoch it was {first.metrics['loss']:.4g}"
    )
    assert math.isfinite(last.metrics["loss"]) and math.isnan(last.metrics["val_loss"])

    uneasy = train(problem, arguments={"learning_rate": 0.35}, epochs=11)
    assert uneasy.outcome is Outcome.COMPLETE
    losses = [epoch.metrics["loss"] for epoch in uneasy.curve]
    assert max(losses) > 5 * losses[0] > 2 * losses[-1], "the test wants a loss that rises and comes back"


ANNEALED = """
class Penalty(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="zeros", trainable=False, name="factor")
    def call(self, inputs):
        self.add_loss(1.0 * self.factor)
        return inputs
class Anneal(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.get_layer("penalty").factor.assign(15.0 * epoch)
def model():
    net = keras.Sequential([keras.Input((4,)), Penalty(name="penalty"), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    return net
fit["callbacks"] = [Anneal()]
"""
NORMALIZED = """
def model():
    def normalized():
        return [keras.layers.Dense(32, use_bias=False), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    net = keras.Sequential([keras.Input((4,)), *normalized(), *normalized(), *normalized(), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    return net
"""
OVERFLOWING = """
def data():
    return (x[:37], y[:37]), (x[37:], np.full(13, 1e30, "float32"))
"""


@pytest.mark.parametrize("brought", [ANNEALED, NORMALIZED, OVERFLOWING])
def test_no_validation_ends_a_training_that_is_sound(make_problem: MakeProblem, brought: str) -> None:
    """A weight of the loss that grows, moving averages that lag behind, a validation that overflows."""
    result = train(make_problem(brought), "Adam", arguments={"learning_rate": 0.05}, epochs=5)
    assert (result.outcome, len(result.curve)) == (Outcome.COMPLETE, 5), result.reason
    untrained, last = result.initial["val_loss"], result.curve[-1].metrics["val_loss"]
    assert last > 3 * untrained or math.isinf(last)


def test_weights_that_are_not_finite_end_the_trial(make_problem: MakeProblem) -> None:
    problem = make_problem("""
class Poison(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        kernel = self.model.layers[0].kernel
        kernel.assign(kernel * float("nan"))
fit["callbacks"] = [Poison()]
""")
    result = train(problem)
    assert result.outcome is Outcome.DIVERGED and "kernel is not finite at epoch 1" in result.reason


def test_exception_of_the_users_code_fails_the_trial_in_one_line(make_problem: MakeProblem) -> None:
    problem = make_problem("""
class Breaks(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise ValueError("no such\\ncolumn")
fit["callbacks"] = [Breaks()]
""")
    recorder = Recorder()
    result = train(problem, recorder=recorder)
    line = problem.path.read_text().split('raise ValueError("no such')[0].count("\n") + 1
    assert result.outcome is Outcome.FAILED
    assert result.reason == f"ValueError: no such column (my_problem.py, line {line})"
    assert [epoch.number for epoch in result.curve] == [1] and recorder.calls == [[1]]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("MemoryError()", "out of memory: MemoryError"),
        ("tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating')", "out of memory: "),
        ("SystemExit(3)", "SystemExit: 3"),
        ("GeneratorExit('over')", "GeneratorExit: over"),
    ],
)
def test_failures_have_their_cause(make_problem: MakeProblem, raised: str, reason: str) -> None:
    problem = make_problem(f"""
class Breaks(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        raise {raised}
fit["callbacks"] = [Breaks()]
""")
    result = train(problem)
    assert result.outcome is Outcome.FAILED and result.reason.startswith(reason)


def test_model_that_raises_fails_the_trial(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem("""
import os
sound = model
def model():
    if "ONE_MODEL" in os.environ:
        raise OSError("no more models")
    return sound()
""")
    problem.initial_weights.of_seed(SEED)
    monkeypatch.setenv("ONE_MODEL", "made")
    result = train(problem)
    assert (
        result.outcome is Outcome.FAILED and "OSError: no more models (my_problem.py, line" in result.reason
    )
    assert result.curve == () and result.initial == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ConnectionError("database")])
def test_what_on_epochs_raises_comes_out(make_problem: MakeProblem, error: BaseException) -> None:
    def on_epochs(epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        raise error

    with pytest.raises(type(error)) as caught:
        train(make_problem(), on_epochs=on_epochs)
    assert caught.value is error


def test_configurations_that_cannot_be_are_refused_before_training(make_problem: MakeProblem) -> None:
    problem, sgd = make_problem(), OptimizerConfig("SGD", {})
    with pytest.raises(ConfigurationError, match="learning_rate must be"):
        train(problem, arguments={"learning_rate": 0.0})
    with pytest.raises(ConfigurationError, match="from 1 to 2"):
        train(problem, configuration=Configuration(sgd, (Switch(3, sgd),)))
    with pytest.raises(ConfigurationError, match="must be named"):
        train(problem, configuration=Configuration(sgd, (Switch(1, OptimizerConfig(BASELINE, {})),)))


# The user's fit


def test_early_stopping_completes_the_trial_with_the_epochs_run(make_problem: MakeProblem) -> None:
    problem = make_problem("fit['callbacks'] = [keras.callbacks.EarlyStopping(patience=1, min_delta=100.0)]")
    for _ in range(2):  # a second trial starts with a fresh callback
        recorder = Recorder()
        result = train(problem, recorder=recorder, epochs=9)
        assert result.outcome is Outcome.COMPLETE and len(result.curve) == 2
        assert recorder.calls[-1][-1] == 2


def test_learning_rate_is_the_one_in_force_at_the_epochs_end(make_problem: MakeProblem) -> None:
    by_hand = (
        "fit['callbacks'] = [keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 / (epoch + 1))]"
    )
    assert rates(make_problem(by_hand)) == pytest.approx([0.01, 0.005, 0.01 / 3])
    plateau = "fit['callbacks'] = [keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=99., factor=0.5)]"
    assert rates(make_problem(plateau)) == [0.01, 0.01, 0.005]


def rates(problem: Any) -> list[float]:
    return [epoch.metrics["learning_rate"] for epoch in train(problem).curve]


def test_baseline_keeps_the_users_schedule(make_problem: MakeProblem) -> None:
    problem = make_problem("""
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)), loss="mse")
    return net
""")
    curve = train(problem, configuration=Configuration(OptimizerConfig(BASELINE, {}))).curve
    assert [epoch.metrics["learning_rate"] for epoch in curve] == pytest.approx([0.05, 0.025, 0.0125])


def test_unshuffled_fit_trains_in_the_rows_own_order(make_problem: MakeProblem) -> None:
    problem = make_problem("fit['shuffle'] = False")
    model = problem.initial_weights.model_of_seed(SEED)
    model.compile(keras.optimizers.SGD(0.01), loss="mse", metrics=["mae"])
    train_rows, validation = problem.data.train, problem.data.validation
    history = model.fit(
        train_rows.x,
        train_rows.y,
        batch_size=16,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=validation.packed(),
    ).history
    curve = [{name: values[epoch] for name, values in history.items()} for epoch in range(2)]
    assert largest_difference(curve, train(problem, epochs=2).curve) == 0.0


def test_steps_per_epoch_takes_the_first_batches_of_each_order(make_problem: MakeProblem) -> None:
    problem = make_problem("fit['steps_per_epoch'] = 2")
    result = train(problem)
    assert problem.steps_per_epoch == 2 and len(result.curve) == 3


# What users bring as data and model; all against Keras's own fit

COMPILED = {"loss": "mse", "metrics": ["mae"]}
BROUGHT: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "dicts of inputs and outputs, with sample weights": (
        """
def data():
    def part(rows):
        inputs = {"left": x[rows, :2], "right": x[rows, 2:].astype("float64")}
        weights = {"sum": np.linspace(0.0, 2.0, len(y[rows]), dtype="float32"), "sign": np.full(len(y[rows]), 0.5, "float32")}
        return inputs, {"sum": y[rows], "sign": np.sign(y[rows])}, weights
    return part(slice(37)), part(slice(37, None))
def model():
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    both = keras.layers.Dense(5, activation="tanh")(keras.layers.concatenate([left, right]))
    outputs = {"sum": keras.layers.Dense(1, name="sum")(both), "sign": keras.layers.Dense(1, name="sign")(both)}
    net = keras.Model([left, right], outputs)
    losses, weights = {"sum": "mse", "sign": "mae"}, {"sum": 0.2, "sign": 2.0}
    net.compile("sgd", loss=losses, loss_weights=weights, weighted_metrics={"sum": ["mae"]})
    return net
""",
        {
            "loss": {"sum": "mse", "sign": "mae"},
            "loss_weights": {"sum": 0.2, "sign": 2.0},
            "weighted_metrics": {"sum": ["mae"]},
        },
        {},
    ),
    "tuples of inputs, with class weights": (
        """
classes = (y > 0).astype("int32")
def data():
    return ((x[:37, :2], x[:37, 2:]), classes[:37]), ((x[37:, :2], x[37:, 2:]), classes[37:])
def model():
    left, right = keras.Input((2,)), keras.Input((2,))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.concatenate([left, right]))
    net = keras.Model((left, right), outputs)
    net.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return net
fit["class_weight"] = {1: 3.0}
""",
        {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        {"class_weight": {1: 3.0}},
    ),
    "a subclassed model with its own train_step": (
        """
class Doubled(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
    def call(self, x):
        return self.dense(x)
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 2.0 * self.compute_loss(x, y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}
def model():
    net = Doubled()
    net.compile("sgd", loss="mse")
    return net
""",
        {"loss": "mse"},
        {},
    ),
    "batch normalization and dropout": (
        """
def model():
    layers = [keras.Input((4,)), keras.layers.Dense(6), keras.layers.BatchNormalization(), keras.layers.Dropout(0.4)]
    net = keras.Sequential([*layers, keras.layers.Dense(1)])
    net.compile("sgd", loss="mse", metrics=["mae"])
    return net
""",
        COMPILED,
        {},
    ),
}


@pytest.mark.parametrize("brought", BROUGHT)
def test_what_users_bring_trains_as_with_fit(make_problem: MakeProblem, brought: str) -> None:
    source, compiled, fit = BROUGHT[brought]
    problem = make_problem(source)
    result = train(problem, arguments={"learning_rate": 0.05}, epochs=2)

    model = problem.initial_weights.model_of_seed(SEED)
    model.compile(optimizer=keras.optimizers.SGD(0.05), **compiled)
    assert largest_difference(fit_by_hand(model, problem, (1, 2), **fit), result.curve) == 0.0, result.reason


def test_datasets_and_pydatasets_train_as_they_are(make_problem: MakeProblem) -> None:
    problem = make_problem("""
class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 5
    def __getitem__(self, index):
        return x[index * 8:(index + 1) * 8], y[index * 8:(index + 1) * 8]
def data():
    validation = tf.data.Dataset.from_tensor_slices((x[40:], y[40:])).batch(4)
    return Batches(), validation
""")
    first, again = train(problem, epochs=2), train(problem, epochs=2)
    assert first.outcome is Outcome.COMPLETE and problem.steps_per_epoch == 5 and problem.batch_size is None
    assert [epoch.metrics for epoch in first.curve] == [epoch.metrics for epoch in again.curve]
    assert set(first.curve[0].metrics) >= {"loss", "val_loss"}

    problem = make_problem("""
def data():
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    return dataset.take(4).repeat(), dataset.skip(4)
fit = {"steps_per_epoch": 4, "epochs": 2}
""")
    result = train(problem)
    model = problem.initial_weights.model_of_seed(SEED)
    model.compile(keras.optimizers.SGD(0.01), loss="mse", metrics=["mae"])
    data = problem.data
    history = model.fit(
        data.train, steps_per_epoch=4, epochs=2, validation_data=data.validation, verbose=0
    ).history
    curve = [{name: values[epoch] for name, values in history.items()} for epoch in range(2)]
    assert largest_difference(curve, result.curve) == 0.0


def test_a_lost_device_is_no_failure_of_the_trial(make_problem: MakeProblem) -> None:
    problem = make_problem("""
class Breaks(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise tf.errors.InternalError(None, None, "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure")
fit = {"batch_size": 16, "epochs": 3, "callbacks": [Breaks()]}
""")
    with pytest.raises(DeviceLost, match="CUDA_ERROR_LAUNCH_FAILED"):
        train(problem)
