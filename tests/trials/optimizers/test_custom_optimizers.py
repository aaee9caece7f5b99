"""Optimizer classes of people's own: each kind trains as plain Keras trains it, or is told in one line what it lacks."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.describing.custom_check import try_class
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.reference import read_reference
from tests.support.fits import SEED, Recorder, fit_by_hand, largest_difference, train, weights_in
from tests.support.slow import cases
from tests.trials.conftest import WriteProblem

HEAD = """
import keras
import tensorflow as tf
from keras import ops

Base = keras.optimizers.Optimizer
"""

OWN_SLOTS = """
class Mine(Base):
    def __init__(self, learning_rate=0.01, momentum=0.9, name="mine", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
    def build(self, variables):
        super().build(variables)
        self.velocities = [self.add_variable_from_reference(one, "velocity") for one in variables]
    def update_step(self, gradient, variable, learning_rate):
        m = self.velocities[self._get_variable_index(variable)]
        self.assign(m, self.momentum * m + (1 - self.momentum) * gradient)
        self.assign_sub(variable, learning_rate * m)
    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}
"""
NO_SLOTS = """
class Mine(Base):
    def __init__(self, learning_rate=0.01, power=0.5, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self._power = power  # under a private name
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * ops.sign(gradient) * ops.power(ops.abs(gradient), self._power))
    def get_config(self):
        return {**super().get_config(), "power": self._power}
"""
CONTROL_FLOW = OWN_SLOTS.replace(
    "        self.assign_sub(variable",
    "        if self.momentum > 0.5:  # Python decides\n            m = 0.5 * m\n        self.assign_sub(variable",
)
KEYWORD_ONLY = (
    OWN_SLOTS.replace("self, learning_rate=0.01, momentum", "self, *, decay, learning_rate=0.01, momentum")
    .replace("        self.momentum = momentum\n", "        self.momentum, self.decay = momentum, decay\n")
    .replace("learning_rate * m)", "learning_rate * (m + self.decay * variable))")
    .replace('"momentum": self.momentum}', '"momentum": self.momentum, "decay": self.decay}')
)
SCHEDULE_INSIDE = """
class Mine(Base):
    def __init__(self, first_rate=0.02, **kwargs):
        super().__init__(keras.optimizers.schedules.ExponentialDecay(first_rate, 2, 0.5), **kwargs)
        self.first_rate = first_rate
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * gradient)
    def get_config(self):
        return {**super().get_config(), "first_rate": self.first_rate}
"""
OWN_SCHEDULE = """
class Halves(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, first_rate):
        self.first_rate = first_rate
    def __call__(self, step):
        return self.first_rate * ops.power(0.5, ops.cast(step, "float32"))
    def get_config(self):
        return {"first_rate": self.first_rate}
""" + SCHEDULE_INSIDE.replace(
    "keras.optimizers.schedules.ExponentialDecay(first_rate, 2, 0.5)", "Halves(first_rate)"
)
NESTED = """
class Mine(Base):
    def __init__(self, learning_rate=0.01, beta_1=0.9, pull=0.5, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1, self.pull = beta_1, pull
        self.inner = keras.optimizers.Adam(learning_rate * 2, beta_1=beta_1)
    def build(self, variables):
        super().build(variables)
        self.inner.build(variables)
        self.slow = [self.add_variable_from_reference(one, "slow") for one in variables]
        for slow, one in zip(self.slow, variables):
            slow.assign(one)
    def update_step(self, gradient, variable, learning_rate):
        self.inner.update_step(gradient, variable, self.inner.learning_rate)
        slow = self.slow[self._get_variable_index(variable)]
        self.assign(slow, slow + self.pull * (variable - slow))
        self.assign(variable, slow)
    def get_config(self):
        return {**super().get_config(), "beta_1": self.beta_1, "pull": self.pull}
"""
WRONG_BASE = """
class Mine:
    def __init__(self, learning_rate=0.01):
        self.learning_rate = learning_rate
    def update_step(self, gradient, variable, learning_rate):
        variable.assign_sub(learning_rate * gradient)
"""
NO_GET_CONFIG = OWN_SLOTS.split("    def get_config")[0]
NO_SPARSE = OWN_SLOTS.replace(
    "        m = self",
    '        if isinstance(gradient, tf.IndexedSlices):\n            raise NotImplementedError("no sparse gradients")\n        m = self',
)
NOT_A_NUMBER = OWN_SLOTS.replace("learning_rate * m)", "learning_rate * m / (gradient - gradient))")

HOT = OWN_SLOTS.replace("learning_rate=0.01", "learning_rate=1e30")
STAYS = OWN_SLOTS.replace("self.assign_sub(variable, learning_rate * m)", "variable - learning_rate * m")
FOREIGN_STATE = OWN_SLOTS.replace(
    'self.add_variable_from_reference(one, "velocity")', "tf.Variable(tf.zeros(one.shape))"
).replace("self.assign(m,", "m.assign(")
NO_SUPER = OWN_SLOTS.replace("super().__init__(learning_rate=learning_rate, name=name, **kwargs)", "pass")
RAISES = OWN_SLOTS.replace("        m = self", '        raise RuntimeError("not yet")\n        m = self')
NO_UPDATE = """
class Mine(Base):
    pass
"""
EARLY_KERAS_3 = OWN_SLOTS.replace("gradient, variable, learning_rate):", "gradient, variable):").replace(
    "learning_rate * m", "0.01 * m"
)
ORIGINAL = """
class Mine(tf.keras.optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, name="Mine", **kwargs):
        super().__init__(name, **kwargs)
        self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))
    def _create_slots(self, var_list):
        for var in var_list:
            self.add_slot(var, "m")
    def _resource_apply_dense(self, grad, var, apply_state=None):
        m = self.get_slot(var, "m")
        m.assign(0.9 * m + 0.1 * grad)
        var.assign_sub(self._get_hyper("learning_rate") * m)
    def _resource_apply_sparse(self, grad, var, indices):
        raise NotImplementedError
"""
LEGACY_BASE = ORIGINAL.replace("tf.keras.optimizers.Optimizer", "tf.keras.optimizers.legacy.Optimizer")

EMBEDDING = """
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Embedding(5, 3, name="words"), keras.layers.Flatten(), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    return net
def data():
    words = np.clip(np.abs(x) * 2, 0, 4).astype("int32")
    return (words[:37], y[:37]), (words[37:], y[37:])
"""


@dataclass(frozen=True)
class Runs:
    """A class that trains: on which step of the ladder, with which numbers, and what is said of it."""

    source: str
    step: int = 1
    note: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=lambda: {"learning_rate": 0.05, "momentum": 0.3})
    exact: bool = True  # fit's graph holds numbers as constants, and of a power of 0.5 it makes a square root


RUN = {
    "own slots": Runs(OWN_SLOTS),
    "no slots, a number under a private name": Runs(
        NO_SLOTS, other={"learning_rate": 0.003, "power": 0.8}, exact=False
    ),
    "Python control flow": Runs(CONTROL_FLOW, 2, "decides in Python by momentum"),
    "keyword-only arguments, one without a default": Runs(
        KEYWORD_ONLY, arguments={"decay": 0.1}, other={"decay": 0.3}
    ),
    "a schedule inside": Runs(SCHEDULE_INSIDE, other={"first_rate": 0.05}, exact=False),
    "a schedule of a class of one's own": Runs(
        OWN_SCHEDULE, 4, "is trained by fit", other={"first_rate": 0.05}
    ),
    "a nested optimizer": Runs(NESTED, other={"learning_rate": 0.03, "beta_1": 0.5, "pull": 0.8}),
    "no get_config": Runs(NO_GET_CONFIG, note="get_config() does not return momentum"),
}
SLOW = (
    "no slots, a number under a private name",
    "keyword-only arguments, one without a default",
    "a schedule inside",
    "a schedule of a class of one's own",
)


@pytest.mark.parametrize("name", cases(RUN, SLOW))
def test_a_class_trains_as_compile_and_fit_do_whatever_its_shape(
    write_problem: WriteProblem, name: str
) -> None:
    case = RUN[name]
    problem = with_class(write_problem("\nRUN_EAGERLY = False\n"), case.source)
    notes = try_class(problem, "Mine", case.arguments)
    assert len(notes) == bool(case.note) and case.note in "".join(notes)

    programs = Programs()
    for arguments in (case.arguments, {**case.arguments, **case.other}):
        recorder = Recorder()
        result = train(problem, "Mine", recorder, arguments=arguments, programs=programs)
        assert result.step is not None and result.step.number == case.step, result.step
        model, tolerance = by_hand(problem, arguments), 0.0 if case.exact else 1e-6
        assert largest_difference(fit_by_hand(model, problem, (1, 2, 3)), result.curve) <= tolerance
        for own, other in zip(weights_in(recorder.last, model), model.variables, strict=True):
            np.testing.assert_allclose(own, other.numpy(), rtol=tolerance, atol=tolerance)


def by_hand(problem: Problem, arguments: dict[str, Any]) -> Any:
    """The user's model, compiled by hand with the user's class."""
    model = problem.initial_weights.model_of_seed(SEED)
    mine = problem.optimizers["Mine"]
    model.compile(optimizer=mine(**arguments), loss="mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


FAIL = {
    "wrong base class": (
        WRONG_BASE,
        "",
        "must be a subclass of keras.optimizers.Optimizer. Received: a subclass of builtins.object",
    ),
    "raising on sparse": (NO_SPARSE, EMBEDDING, 'take the sparse gradients of the layer "words"'),
    "returning NaN": (NOT_A_NUMBER, "", "weights that are not finite, also at learning_rate"),
    "moving nothing": (STAYS, "", "must change the weights"),
    "state in variables of TensorFlow": (FOREIGN_STATE, "", "must keep self.velocities in variables"),
    "no call of super": (NO_SUPER, "", "super().__init__"),
    "raising": (RAISES, "", "RuntimeError: not yet (mine.py, line 16)"),
    "no update_step": (NO_UPDATE, "", "must define update_step(self, gradient, variable, learning_rate)"),
    "update_step of Keras 2.11": (EARLY_KERAS_3, "", "as it was before Keras 3"),
    "the article's class": (ORIGINAL, "", "_create_slots becomes build(self, variables)"),
    "the article's class on the legacy base": (LEGACY_BASE, "", "_resource_apply_dense becomes update_step"),
    "no such class": ("\nclass Other(Base):\n    pass\n", "", "Its optimizers: Base, Other"),
    "a syntax error": ("\nclass Mine(:\n", "", "must be importable. Received: SyntaxError"),
}


@pytest.mark.parametrize("name", FAIL)
def test_a_class_that_cannot_be_used_is_told_in_one_line_what_it_lacks(
    write_problem: WriteProblem, name: str
) -> None:
    source, model, words = FAIL[name]
    with pytest.raises(ProblemError) as caught:
        try_class(with_class(write_problem(model), source), "Mine", {})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_sparse_gradients_reach_a_class_that_takes_them(write_problem: WriteProblem) -> None:
    problem = with_class(
        write_problem(EMBEDDING),
        OWN_SLOTS.replace(
            "        m = self", "        gradient = tf.convert_to_tensor(gradient)\n        m = self"
        ),
    )
    assert try_class(problem, "Mine", {}) == ()


def test_a_class_that_diverges_at_its_defaults_is_searched_and_its_trials_end_as_diverged(
    write_problem: WriteProblem,
) -> None:
    problem = with_class(write_problem(), HOT)
    (note,) = try_class(problem, "Mine", {})
    assert "such trials end as diverged" in note
    assert train(problem, "Mine", arguments={}).outcome.value == "diverged"
    assert train(problem, "Mine", arguments={"learning_rate": 0.01}).outcome.value == "complete"


def with_class(path: Path, source: str) -> Problem:
    """The problem with the class Mine of a file beside it."""
    (path.parent / "mine.py").write_text(HEAD + source)
    return load_problem(path, optimizers=[read_reference("mine.py:Mine", path.parent)])


def test_the_class_that_the_guide_ports_is_recognised_and_answered_with_the_guide(
    write_problem: WriteProblem,
) -> None:
    guide = Path(__file__).parents[3] / "docs" / "tutorials" / "own-optimizer.md"
    before = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)[0]
    path = write_problem()
    (path.parent / "old.py").write_text(before)
    with pytest.raises(
        ProblemError, match=r"_set_hyper.*_create_slots becomes build.*docs/tutorials/own-optimizer.md"
    ):
        load_problem(path, optimizers=[read_reference("old.py:MyMomentum", path.parent)])


def test_the_examples_class_follows_its_rule_by_hand() -> None:
    """m <- 0.9 m + 0.1 g and w <- w - learning_rate * m."""
    problem = load_problem(resolve_problem("momentum"))
    optimizer = problem.make_model().optimizer
    m, w = np.zeros(2), np.array([1.0, -2.0])
    weight = keras.Variable(w, dtype="float32")
    optimizer.build([weight])
    for gradient in np.array([[0.5, 1.0], [-1.0, 0.25]]):
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [weight])
        m = 0.9 * m + 0.1 * gradient
        w = w - 0.01 * m
    np.testing.assert_allclose(weight.numpy(), w, rtol=1e-6)
