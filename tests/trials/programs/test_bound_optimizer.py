"""A callback reads and changes the optimizer of its trial as in plain fit, whichever step trains; nothing of it stays."""

import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.state.keras_names import count_names_from
from tests.support.fits import Recorder, curve_ulps, fit_by_keras, state_in, train, ulps
from tests.trials.conftest import PREAMBLE, WriteProblem
from tests.trials.training.test_ladder import COMPILED, arguments_in

QUICK = "RUN_EAGERLY = False\n"
READS = """
import copy, json
SEEN = []

def numbers_of(optimizer):
    held = getattr(optimizer, "inner_optimizer", optimizer)
    beta, config = held.beta_1, held.get_config()
    again = type(held).from_config(copy.deepcopy(config))
    return [
        type(optimizer).__name__, isinstance(held, keras.optimizers.Adam), held.name,
        float(beta), int(1 / (1 - beta)), format(beta, ".4f"), f"{beta} {held.clipnorm!r}", str(held.epsilon), round(beta, 2),
        isinstance(beta, float), beta > 0.75, beta == 0.8, 0.1 < beta <= 0.9, bool(held.clipnorm), hash(beta),
        beta * 2, 1 - beta, float(np.sqrt(held.beta_2)), np.array([beta]).tolist(), max(beta, 0.5), [0.8, 0.7].index(beta),
        json.dumps(config), again.get_config() == config, json.dumps(optimizer.get_config(), default=str),
        float(held.learning_rate),
    ]

class Reads(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        SEEN.append(numbers_of(self.model.optimizer))
    def on_epoch_end(self, epoch, logs=None):
        SEEN.append([epoch, *numbers_of(self.model.optimizer), int(self.model.optimizer.iterations)])

class Saves(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.save("FOLDER/last.keras")

fit["callbacks"] = [Reads(), Saves(), keras.callbacks.ModelCheckpoint("FOLDER/best.keras", save_best_only=True)]
"""
HALF = """
def model():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1, dtype="float32")])
        net.compile(keras.optimizers.SGD(0.02), "mse", metrics=["mae"])
    finally:
        keras.config.set_dtype_policy("float32")
    return net
"""
ADAMS = (
    "Adam(learning_rate=0.02, beta_1=0.8, clipnorm=0.5)",
    "Adam(learning_rate=0.01, beta_1=0.7, clipnorm=0.25)",
)


@pytest.fixture(autouse=True)
def fresh_names() -> None:
    """Keras numbers the names that it gives by what a process has made before: tests of other files, too."""
    keras.utils.clear_session()


@pytest.mark.parametrize(("step", "source"), [(1, HALF), (3, QUICK)], ids=["program", "kept model"])
def test_a_callback_reads_and_saves_what_it_would_in_fit(
    write_problem: WriteProblem, tmp_path: Path, step: int, source: str
) -> None:
    source += READS.replace("FOLDER", str(tmp_path))
    problem, programs = load_problem(write_problem(source)), Programs(first_step=step)
    for optimizer in ADAMS:  # the second finds the program of the first
        result = trained(problem, optimizer, programs)[0]
        seen, saved = heard(problem), saved_in(tmp_path)
        plain, curve, _ = by_keras_alone(write_problem, source, optimizer)
        assert seen == heard(plain)
        assert saved == saved_in(tmp_path)
        assert curve_ulps(curve, result.curve) == 0
        assert result.step is not None and result.step.number == step, result.step
    assert programs.built == 1


def saved_in(folder: Path) -> list[Any]:
    """What plain Keras finds in the models that callbacks saved: the optimizer's settings and its slots."""
    models = [keras.saving.load_model(folder / name) for name in ("last.keras", "best.keras")]
    return [
        (model.get_compile_config()["optimizer"], [one.numpy().tolist() for one in model.optimizer.variables])
        for model in models
    ]


ASSIGNS = """
SEEN = []
class Assigns(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        SEEN.append((optimizer.beta_1, hasattr(optimizer, "first_rate")))
        if not hasattr(optimizer, "first_rate"):
            optimizer.first_rate = float(optimizer.learning_rate)
        if optimizer.beta_1 == 0.8:
            optimizer.beta_1 = 0.5
        FURTHER
    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        optimizer.epsilon = 0.01 * (epoch + 1)  # fit reads it once, in the first epoch
        optimizer.learning_rate = optimizer.first_rate / (epoch + 1)
        optimizer.clipnorm /= 2
        SEEN.append((optimizer.epsilon, optimizer.clipnorm, optimizer.get_config()["learning_rate"]))
fit["callbacks"] = [Assigns()]
"""


@pytest.mark.parametrize("step", [1, 3])
def test_what_a_callback_assigns_counts_as_in_fit(write_problem: WriteProblem, step: int) -> None:
    source = QUICK + ASSIGNS.replace("FURTHER", "pass")
    problem, programs = load_problem(write_problem(source)), Programs(first_step=step)
    for optimizer in ADAMS:
        result, state = trained(problem, optimizer, programs)
        seen = heard(problem)
        plain, curve, expected = by_keras_alone(write_problem, source, optimizer)
        assert seen == heard(plain)
        assert curve_ulps(curve, result.curve) == 0
        assert max(map(ulps, state, expected)) == 0
        assert result.step is not None and result.step.number == step, result.step


OTHER = (
    "self.model.optimizer = keras.optimizers.Adam(0.05, clipnorm=1.0); self.model.optimizer.first_rate = 0.05"
)


@pytest.mark.parametrize(
    ("step", "further", "reason"),
    [
        (1, "optimizer.weight_decay = 0.1", "a callback sets weight_decay of the optimizer when a training"),
        (3, OTHER, "a callback puts another optimizer or schedule in place"),
    ],
)
def test_what_a_program_cannot_take_up_is_left_to_fit(
    write_problem: WriteProblem, step: int, further: str, reason: str
) -> None:
    source = QUICK + ASSIGNS.replace("FURTHER", further)
    problem, programs = load_problem(write_problem(source)), Programs(first_step=step)
    for optimizer in ADAMS:
        result, _ = trained(problem, optimizer, programs)
        _, curve, _ = by_keras_alone(write_problem, source, optimizer)
        assert curve_ulps(curve, result.curve) == 0
        assert result.step is not None and result.step.number == 4 and reason in result.step.reason
    assert programs.built == 1  # the second trial does not try what the first has found


SCORES_BY_NUMBERS = """
class Net(keras.Sequential):
    def test_step(self, data):
        loss = self.compute_loss(y=data[1], y_pred=self(data[0])) * getattr(self.optimizer, "beta_1", 0.9) + self.optimizer.learning_rate
        self.metrics[0].update_state(loss)
        return {"loss": self.metrics[0].result()}
    def train_step(self, data):
        self.decay = self.optimizer.beta_2  # as a user's step may hand it on
        return {"loss": super().train_step(data)["loss"]}
def model():
    net = Net([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(1)])
    net.compile(keras.optimizers.SGD(0.02), "mse")
    return net
SEEN = []
class Logs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        decay = self.model.decay
        SEEN.append((float(decay), f"{decay:.4f}", decay > 0.5, int(decay)))
        SEEN.append(self.model.evaluate(x[45:], y[45:], verbose=0))
fit["callbacks"] = [Logs()]
"""


@pytest.mark.parametrize("step", [1, 3])
def test_scores_that_follow_from_the_optimizer_are_those_of_the_trial(
    write_problem: WriteProblem, step: int
) -> None:
    source = QUICK + SCORES_BY_NUMBERS
    problem, programs = load_problem(write_problem(source)), Programs(first_step=step)
    for optimizer in (ADAMS[0], "Nadam(learning_rate=0.03, beta_1=0.6)"):
        result, _ = trained(problem, optimizer, programs, test=True)
        seen = heard(problem)
        plain, curve, _ = by_keras_alone(write_problem, source, optimizer)
        assert seen == heard(plain)
        assert curve_ulps(curve, result.curve) == 0
        assert result.test == trained(plain, "baseline", Programs(first_step=4), test=True)[0].test


ADAGRADS = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(keras.optimizers.SGD(0.02), "mse", metrics=["mae"])
    return net
"""


def test_slots_begin_with_keras_own_value_where_a_trial_gives_none(write_problem: WriteProblem) -> None:
    problem, programs = load_problem(write_problem(ADAGRADS)), Programs()
    for optimizer in (
        "Adagrad(learning_rate=0.1, initial_accumulator_value=0.5)",
        "Adagrad(learning_rate=0.1)",
    ):
        result, _ = trained(problem, optimizer, programs)
        _, curve, _ = by_keras_alone(write_problem, ADAGRADS, optimizer)
        assert curve_ulps(curve, result.curve) == 0
    assert programs.built == 1


def trained(problem: Problem, optimizer: str, programs: Programs, **given: Any) -> tuple[Any, list[Any]]:
    recorder = Recorder()
    name, arguments = ("baseline", {}) if optimizer == "baseline" else arguments_in(optimizer)
    result = train(problem, name, recorder, arguments=arguments, programs=programs, **given)
    assert result.outcome.value == "complete", result.reason
    return result, state_in(recorder.last)


def heard(problem: Problem) -> list[Any]:
    """Take what the problem's callbacks have noted."""
    noted: list[Any] = sys.modules[f"optselect_problem_{problem.path.stem}"].SEEN
    seen, noted[:] = noted[:], []
    return seen


def by_keras_alone(
    write_problem: WriteProblem, source: str, optimizer: str
) -> tuple[Problem, list[dict[str, float]], list[Any]]:
    count_names_from({})  # a process of its own would begin with "adam"
    text = PREAMBLE + source
    assert COMPILED in text
    text = text.replace(COMPILED, f"keras.optimizers.{optimizer}")
    problem = load_problem(write_problem(text, preamble="", name="by_keras_alone.py"))
    return (problem, *fit_by_keras(problem.make_model(), problem))
