"""Several optimizers in one training, and rates that change: the same numbers as Keras by hand gives."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.optimizers.schedules import build_schedule
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.state.snapshot import read_position
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import Configuration, OptimizerConfig, Schedule, Switch
from optselect.trials.terms.errors import ConfigurationError
from optselect.trials.terms.outcome import Epoch
from tests.support.fits import SEED, Recorder, fit_by_hand, largest_difference, train, weights_in
from tests.trials.conftest import PREAMBLE

ROOT = Path(__file__).resolve().parents[3]
SLOW = pytest.mark.slow
STEPS_AN_EPOCH = 3  # of the preamble's 37 rows in batches of 16
SGD = OptimizerConfig("SGD", {"learning_rate": 0.02, "momentum": 0.9})
ADAM = OptimizerConfig("Adam", {"learning_rate": 0.01, "beta_1": 0.8})


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    path = tmp_path_factory.mktemp("switching") / "switching_problem.py"
    path.write_text(PREAMBLE.replace("RUN_EAGERLY = True", "RUN_EAGERLY = False"))
    return load_problem(path, epochs=6)


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs()


def by_hand(problem: Problem, *phases: tuple[Any, tuple[int, ...]], keep: bool = False) -> tuple[Any, Any]:
    """Compile and fit, once for each optimizer; `keep` copies Adam's slots into the next one."""
    model = problem.initial_weights.model_of_seed(SEED)
    curve, before = [], None
    for optimizer, epochs in phases:
        model.compile(optimizer=optimizer, loss="mse", metrics=["mae"])
        optimizer.build(model.trainable_variables)
        if keep and before is not None:
            for name in ("_momentums", "_velocities"):
                for slot, old in zip(getattr(optimizer, name), getattr(before, name), strict=True):
                    slot.assign(old)
            optimizer.iterations.assign(before.iterations)
        curve += fit_by_hand(model, problem, epochs)
        before = optimizer
    return curve, model


def test_three_optimizers_in_turn_equal_compiling_and_fitting_three_times(
    problem: Problem, programs: Programs
) -> None:
    lion = OptimizerConfig("Lion", {"learning_rate": 0.003})
    switched = Configuration(SGD, (Switch(1, ADAM), Switch(3, lion)))
    recorder = Recorder()
    result = train(problem, recorder=recorder, configuration=switched, epochs=4, programs=programs)
    curve, model = by_hand(
        problem,
        (keras.optimizers.SGD(0.02, momentum=0.9), (1,)),
        (keras.optimizers.Adam(0.01, beta_1=0.8), (2, 3)),
        (keras.optimizers.Lion(0.003), (4,)),
    )
    assert result.step is not None and result.step.number == 1
    assert largest_difference(curve, result.curve) == 0.0
    for own, other in zip(weights_in(recorder.last, model), model.variables, strict=True):
        np.testing.assert_array_equal(own, other.numpy())
    assert [epoch.metrics["optimizer_phase"] for epoch in result.curve] == [1, 2, 2, 3]


def test_sgd_that_goes_on_as_adam_on_the_diabetes_data_equals_compiling_twice() -> None:
    problem = load_problem(resolve_problem("diabetes"))
    configuration = Configuration(OptimizerConfig("SGD", {}), (Switch(3, OptimizerConfig("Adam", {})),))
    recorder = Recorder()
    result = train(problem, recorder=recorder, configuration=configuration, epochs=6)

    net = problem.initial_weights.model_of_seed(SEED)
    net.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    curve = fit_by_hand(net, problem, (1, 2, 3))
    net.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse", metrics=["mae"])
    curve += fit_by_hand(net, problem, (4, 5, 6))
    assert largest_difference(curve, result.curve) == 0.0
    for own, other in zip(weights_in(recorder.last, net), net.variables, strict=True):
        np.testing.assert_array_equal(own, other.numpy())


def test_slots_that_both_optimizers_have_are_kept_where_asked(problem: Problem, programs: Programs) -> None:
    adamw = OptimizerConfig("AdamW", {"learning_rate": 0.02})
    kept, fresh = (
        train(
            problem,
            configuration=Configuration(ADAM, (Switch(2, adamw, keeps_slots=keeps),)),
            epochs=4,
            programs=programs,
        )
        for keeps in (True, False)
    )
    phases = (
        (keras.optimizers.Adam(0.01, beta_1=0.8), (1, 2)),
        (keras.optimizers.AdamW(0.02), (3, 4)),
    )
    curve, _ = by_hand(problem, *phases, keep=True)
    assert largest_difference(curve, kept.curve) == 0.0
    assert kept.curve[2].metrics["loss"] != fresh.curve[2].metrics["loss"]


def test_one_program_that_serves_both_phases_keeps_its_slots(problem: Problem, programs: Programs) -> None:
    slower = OptimizerConfig("Adam", {"learning_rate": 0.001, "beta_1": 0.8})
    switched = Configuration(ADAM, (Switch(2, slower, keeps_slots=True),))
    result = train(problem, configuration=switched, epochs=4, programs=programs)

    model = problem.initial_weights.model_of_seed(SEED)
    optimizer = keras.optimizers.Adam(0.01, beta_1=0.8)
    model.compile(optimizer=optimizer, loss="mse", metrics=["mae"])
    curve = fit_by_hand(model, problem, (1, 2))
    optimizer.learning_rate = 0.001
    curve += fit_by_hand(model, problem, (3, 4))
    assert largest_difference(curve, result.curve) == 0.0


COSINE = Schedule("cosine", 4 * STEPS_AN_EPOCH, warmup_steps=2)
SECOND = OptimizerConfig("AdamW", {"learning_rate": 0.02}, COSINE)
HANDED_ON = Configuration(ADAM, (Switch(2, SECOND, keeps_slots=True),))


@pytest.fixture(scope="module")
def undisturbed(problem: Problem, programs: Programs) -> Sequence[Epoch]:
    return train(problem, configuration=HANDED_ON, epochs=4, programs=programs).curve


@pytest.mark.parametrize("killed_at", [pytest.param(1, marks=SLOW), 2, pytest.param(3, marks=SLOW)])
def test_training_killed_before_at_and_after_a_switch_goes_on_as_if_never_killed(
    problem: Problem, programs: Programs, undisturbed: Sequence[Epoch], tmp_path: Path, killed_at: int
) -> None:
    kept = tmp_path / "snapshot"
    code = f"from tests.trials.training.test_switching import die_at; die_at({killed_at}, {str(problem.path)!r}, {str(kept)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    start = kept.read_bytes()
    assert read_position(start).epoch == killed_at
    rest = train(problem, configuration=HANDED_ON, epochs=4, programs=programs, start=start)
    assert [epoch.metrics for epoch in rest.curve] == [epoch.metrics for epoch in undisturbed[killed_at:]]


def die_at(killed_at: int, path: str, kept: str) -> None:
    """Train in this process, keep each snapshot in a file, and end as by kill -9 after an epoch."""

    def keep(epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> None:
        Path(kept).write_bytes(snapshot())
        if epochs[-1].number == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    problem = load_problem(Path(path), epochs=4)
    train(problem, configuration=HANDED_ON, epochs=4, batch_ends=(1, 2, 3), on_epochs=keep)


SCHEDULES = [
    Schedule("cosine", 9),
    Schedule("linear", 9, warmup_steps=3),
    Schedule("exponential", 9, end_factor=0.01),
    pytest.param(Schedule("cosine", 9, warmup_steps=2, end_factor=0.1), marks=SLOW),
    pytest.param(Schedule("linear", 9, end_factor=0.01), marks=SLOW),
    pytest.param(Schedule("exponential", 9, warmup_steps=2, end_factor=0.1), marks=SLOW),
    pytest.param(Schedule("constant", 9, warmup_steps=4), marks=SLOW),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_train_as_those_of_keras_do(
    problem: Problem, programs: Programs, schedule: Schedule
) -> None:
    other = Schedule(schedule.kind, 30, warmup_steps=7 * (schedule.warmup_steps > 0), end_factor=0.5)
    made = OptimizerConfig("SGD", {"learning_rate": 0.3, "momentum": 0.5}, other)
    train(problem, configuration=Configuration(made), epochs=1, programs=programs)
    built = programs.built
    config = OptimizerConfig("SGD", {"learning_rate": 0.05, "momentum": 0.9}, schedule)
    result = train(problem, configuration=Configuration(config), epochs=3, programs=programs)
    assert programs.built == built, "one program serves all numbers of a kind of schedule"
    assert result.step is not None and result.step.number == 1, result.step

    optimizer = keras.optimizers.SGD(build_schedule(schedule, 0.05), momentum=0.9)
    curve, _ = by_hand(problem, (optimizer, (1, 2, 3)))
    assert largest_difference(curve, result.curve) <= 1e-6
    rate = build_schedule(schedule, 0.05)(3 * STEPS_AN_EPOCH)
    assert result.curve[-1].metrics["learning_rate"] == pytest.approx(float(rate), abs=1e-8)


def test_a_warm_up_rises_to_the_highest_rate_and_then_the_schedule_begins() -> None:
    schedule = build_schedule(Schedule("linear", 12, warmup_steps=4, end_factor=0.5), 0.8)
    rates = [round(float(schedule(step)), 6) for step in (0, 2, 4, 8, 12, 20)]
    assert rates == [0.0, 0.4, 0.8, 0.6, 0.4, 0.4]
    again = type(schedule).from_config(schedule.get_config())
    assert [round(float(again(step)), 6) for step in (0, 2, 4, 8, 12, 20)] == rates


def test_the_rule_of_swats_gives_sgd_its_own_rate_back(problem: Problem, programs: Programs) -> None:
    plain = OptimizerConfig("SGD", {"learning_rate": 0.025})
    heavy = OptimizerConfig("SGD", {"momentum": 0.9})
    for first_step in (1, 4):
        programs = Programs(first_step=first_step)
        switched = Configuration(plain, (Switch(2, heavy, estimates_rate=True),))
        curve = train(problem, configuration=switched, epochs=3, programs=programs).curve
        untouched = train(problem, configuration=Configuration(plain), epochs=2, programs=programs).curve
        assert [epoch.metrics["loss"] for epoch in curve[:2]] == [e.metrics["loss"] for e in untouched]
        assert curve[2].metrics["learning_rate"] == pytest.approx(0.0025, rel=1e-3)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        (Configuration(SGD, (Switch(2, ADAM), Switch(2, SGD))), "after an epoch from 3 to 5"),
        (Configuration(SGD, (Switch(2, ADAM, estimates_rate=True),)), "SWATS"),
        (
            Configuration(OptimizerConfig("Adam", {}, Schedule("exponential", 9))),
            "end_factor of an exponential",
        ),
        (Configuration(OptimizerConfig("Adam", {}, Schedule("cosine", 9, warmup_steps=9))), "warmup_steps=9"),
        (Configuration(OptimizerConfig("ScheduleFreeAdamW", {}, Schedule("cosine", 9))), "takes no schedule"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    problem: Problem, configuration: Configuration, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        train(problem, configuration=configuration)
