"""Switches and schedules: what is searched, what is copied, and what a trial's settings mean to Keras."""

import random
from pathlib import Path
from typing import Any

import optuna
import pytest

from optselect.search.errors import InvalidInput
from optselect.search.spec.requesting import merged
from optselect.search.spec.settings import Length, configuration_of, settings_code
from optselect.search.spec.space import suggest_optimizer
from optselect.search.spec.study_spec import StudySpec, resolve
from optselect.search.spec.switching import SwitchSpec
from optselect.search.spec.toml.writing import spec_toml
from optselect.search.strategy.choosing import next_step
from optselect.storage.records.tickets import NewTicket
from optselect.trials.terms.configuration import OptimizerConfig, Schedule
from tests.support.problems import description
from tests.support.simulated import Simulated, spec_of

SWITCH = SwitchSpec(first="sgd", second="adam")
LENGTH = Length(epochs=25, steps_per_epoch=11)


REMARK = "compile again with it and go on with fit; the weights stay"


def switching(**more: Any) -> StudySpec:
    return spec_of(**{"optimizers": "sgd,adam", "trials": 36, "switches": (SWITCH,), **more})


def answer(ticket: NewTicket, noise: random.Random) -> float:
    at = {"SGD": 1.0, "Adam": 0.9, "SGD_to_Adam": 0.5}.get(ticket.optimizer, 1.2)
    return at + 0.01 * noise.random()


def test_a_switch_is_a_class_of_its_own_that_searches_its_moment_and_its_second_learning_rate() -> None:
    spec = switching()
    assert spec.optimizers == ("SGD", "Adam", "SGD_to_Adam")
    assert [d.keyword for d in spec.space["SGD_to_Adam"]] == ["switch_fraction", "second_learning_rate"]
    rate = spec.space["SGD_to_Adam"][1]
    assert (rate.low, rate.high) == (spec.space["Adam"][0].low, spec.space["Adam"][0].high)
    full = switching(switches=(SWITCH.model_copy(update={"full": True}),))
    assert [d.keyword for d in full.space["SGD_to_Adam"]] == [
        "switch_fraction",
        "learning_rate",
        "momentum",
        "second_learning_rate",
        "second_beta_1",
    ]
    swats = SwitchSpec(first="adam", second="sgd", rate="swats")
    assert [d.keyword for d in switching(switches=(swats,)).space["Adam_to_SGD"]] == ["switch_fraction"]


def test_switches_come_after_their_optimizers_and_copy_what_was_best_for_them() -> None:
    study = Simulated(switching(), answer).run()
    searched = [row for row in study.rows if row.searched]
    assert [row.optimizer for row in searched] == ["SGD", "Adam"] * 12 + ["SGD_to_Adam"] * 12
    assert [row.phase for row in searched] == (["quota"] * 12 + ["survivors"] * 12) + (
        ["quota"] * 6 + ["survivors"] * 6
    )
    best = {
        name: min((row for row in searched if row.optimizer == name), key=lambda row: row.value or 0.0)
        for name in ("SGD", "Adam")
    }
    for row in searched[24:]:
        assert row.params["learning_rate"] == best["SGD"].params["learning_rate"]
        assert row.params["second_number"] == best["Adam"].params["number"]
        assert row.params["second_learning_rate"] != best["Adam"].params["learning_rate"]
    assert len({row.params["second_learning_rate"] for row in searched[24:]}) == 12
    assert study.decisions[0]["phase"] == "switch"


def test_later_trials_of_a_switch_copy_the_same_and_it_has_no_defaults_to_compare_with() -> None:
    study = Simulated(switching(trials=60), answer).run()
    assert len(study.rows) - sum(not row.searched for row in study.rows) == 60
    later = [row for row in study.of("survivors") if row.optimizer == "SGD_to_Adam"]
    assert later
    copied = study.decisions[0]["copied"]["SGD_to_Adam"]
    assert all(row.params["learning_rate"] == copied["learning_rate"] for row in later)
    finals = study.of("final")
    assert {row.role for row in finals if row.optimizer == "SGD_to_Adam"} == {"tuned"}
    assert [row.optimizer for row in study.of("baseline")] == ["baseline", "SGD", "Adam"]
    assert next_step(study.spec, study.progress).tickets == []


def test_a_switch_without_a_usable_single_starts_from_defaults() -> None:
    def explodes(ticket: NewTicket, noise: random.Random) -> float | None:
        return None if ticket.optimizer == "SGD" else answer(ticket, noise)

    study = Simulated(switching(), explodes).run()
    switched = [row for row in study.of("quota") if row.optimizer == "SGD_to_Adam"]
    assert "learning_rate" not in switched[0].params


def test_settings_of_a_switch_become_two_optimizers_at_an_epoch() -> None:
    spec = switching(switches=(SWITCH.model_copy(update={"slots": "keep"}),))
    arguments = {"learning_rate": 0.1, "momentum": 0.9, "switch_fraction": 0.3, "second_learning_rate": 0.01}
    found = configuration_of(spec, "SGD_to_Adam", arguments, LENGTH)
    assert found.optimizer == OptimizerConfig("SGD", {"learning_rate": 0.1, "momentum": 0.9})
    (switch,) = found.switches
    assert (switch.epoch, switch.keeps_slots, switch.estimates_rate) == (8, True, False)
    assert switch.optimizer == OptimizerConfig("Adam", {"learning_rate": 0.01})


def test_the_schedule_of_the_second_optimizer_covers_what_is_left() -> None:
    arguments: dict[str, Any] = {
        "schedule": "linear",
        "switch_fraction": 0.4,
        "second_schedule": "cosine",
        "second_warmup_fraction": 0.1,
        "second_learning_rate": 0.01,
    }
    found = configuration_of(switching(), "SGD_to_Adam", arguments, LENGTH)
    assert found.optimizer.schedule == Schedule("linear", 25 * 11)
    assert found.switches[0].optimizer.schedule == Schedule("cosine", 15 * 11, warmup_steps=16)


def test_an_exponential_decay_never_ends_at_nothing() -> None:
    found = configuration_of(spec_of(), "Adam", {"schedule": "exponential"}, LENGTH)
    assert found.optimizer.schedule == Schedule("exponential", 275, end_factor=1e-3)


def test_code_of_a_switch_names_both_optimizers_and_their_epochs() -> None:
    arguments = {"momentum": 0.9, "switch_fraction": 0.4, "second_learning_rate": 0.01, "switch_epoch": 10}
    assert settings_code(switching(), "SGD_to_Adam", arguments, 11).splitlines() == [
        "keras.optimizers.SGD(momentum=0.9)  # epochs 1 to 10",
        f"keras.optimizers.Adam(learning_rate=0.01)  # from epoch 11 on: {REMARK}",
    ]


def test_a_schedule_named_by_a_flag_is_searched_of_every_optimizer_that_takes_one() -> None:
    spec = spec_of(optimizers="sgd,schedulefreeadamw", schedule="constant,cosine")
    assert spec.space["SGD"][-1].choices == ("constant", "cosine")
    assert "schedule" not in [d.keyword for d in spec.space["ScheduleFreeAdamW"]]
    assert spec.is_scheduled("SGD")
    assert not spec.is_scheduled("ScheduleFreeAdamW")
    trial = optuna.create_study().ask()
    assert suggest_optimizer(trial, {"SGD": spec.space["SGD"]}, 275, jointly=True).arguments["schedule"] in (
        "constant",
        "cosine",
    )


SPEC = """
problem = "net.py"
optimizers = ["sgd", "adam"]
schedule = ["constant", "cosine"]

[[switch]]
from = "SGD"
to = "adam"
at = {low = 0.2, high = 0.5}
slots = "keep"

[[switch]]
from = "adam"
to = "sgd"
learning_rate = "swats"

[space.Adam]
schedule = "linear"
warmup_fraction = [0.0, 0.05]
end_factor = 0.1
"""


def test_a_spec_file_says_the_same_and_is_printed_back(tmp_path: Path) -> None:
    spec = read(tmp_path, SPEC)
    assert spec.switches == (
        SwitchSpec(first="SGD", second="Adam", low=0.2, high=0.5, slots="keep"),
        SwitchSpec(first="Adam", second="SGD", rate="swats"),
    )
    assert [d.keyword for d in spec.space["Adam"]][-3:] == ["schedule", "warmup_fraction", "end_factor"]
    assert spec.space["SGD"][-1].choices == ("constant", "cosine")
    assert read(tmp_path, spec_toml(spec, "net")) == spec


def read(folder: Path, text: str) -> StudySpec:
    file = folder / "study.toml"
    file.write_text(text)
    return resolve(merged({"problem": "net.py", "spec": file}), description(), False, Path("/"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('to = "adam"', 'to = "adamm"'), r'Did you mean "adam"\? .*study.toml, line 8'),
        (
            ("{low = 0.2, high = 0.5}", "{low = 0.6, high = 0.5}"),
            r"switch.0.at must lie between 0 and 1.*line 9",
        ),
        (('slots = "keep"', 'slots = "kept"'), r'switch.0.slots must be "new" or "keep".*line 10'),
        (('"swats"', "0.1"), r'switch.1.learning_rate must be "search" or "swats".*line 15'),
        (('from = "adam"\n', ""), r"switch.1.from must name an optimizer"),
        (("end_factor = 0.1", "end_factor = 2"), r"end_factor must be a number in \[0, 1\]"),
        (('schedule = "linear"', 'schedule = "linea"'), "schedule must be one of constant, cosine"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(tmp_path, SPEC.replace(*change, 1))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"optimizers": "sgd,lion"}, "Add adam to --optimizers"),
        ({"epochs": 1}, "at least 2 epochs"),
        ({"goal": "best-config"}, "full = true"),
        ({"switches": (SWITCH, SWITCH)}, "named once"),
        ({"switches": (SwitchSpec(first="sgd", second="ftrl"),), "optimizers": "sgd,ftrl"}, "Ftrl cannot be"),
        ({"schedule": "cosin"}, "--schedule must be constant, cosine, linear or exponential"),
    ],
)
def test_what_cannot_be_tried_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        switching(**asked)
