"""A request resolves to one spec, and launching again can tell the same study from another one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optselect.search.errors import InvalidInput
from optselect.search.names import study_name
from optselect.search.spec.dimension import Dimension, Scale
from optselect.search.spec.objective import Objective, parse_objective
from optselect.search.spec.space import Override
from optselect.search.spec.study_spec import Request, StudySpec, differences, resolve
from optselect.search.strategy.planning import baseline_tickets
from tests.support.problems import description


def resolved(**flags: Any) -> StudySpec:
    return resolve(Request("net.py", **flags), description(), bundled=False, folder=Path("/here"))


def test_a_request_without_flags_takes_the_problems_own_epochs_and_the_default_optimizers() -> None:
    spec = resolved()
    assert (spec.epochs, spec.trials, len(spec.optimizers)) == (25, 24, 8)
    assert (spec.objective, spec.direction) == ("val_loss", "minimize")
    assert spec.problem == "/somewhere/net.py"


def test_a_stored_spec_reads_back_as_it_was_and_does_not_differ_from_itself() -> None:
    spec = resolved(tune="all")
    stored = StudySpec.model_validate(spec.model_dump(mode="json"))
    assert stored == spec
    assert list(differences(stored, spec)) == []


def test_the_place_of_launch_makes_no_other_study() -> None:
    elsewhere = resolve(Request("net.py"), description(), bundled=False, folder=Path("/elsewhere"))
    assert list(differences(resolved(), elsewhere)) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"trials": 48}, ["trials 24 -> 48"]),
        ({"epochs": 5}, ["epochs 25 -> 5"]),
        ({"seed": 1}, ["seed 0 -> 1"]),
        ({"precision": "mixed_float16"}, ["precision of the problem file -> mixed_float16"]),
        ({"objective": "val_mae"}, ["objective val_loss -> val_mae"]),
        (
            {"tune": "all"},
            ["tune auto -> all", "space.Adam.beta_2 not searched -> 0.5 .. 0.9999 (log 1-x)"],
        ),
        ({"optimizers": "adam"}, ["optimizers SGD,RMSprop,Adam,AdamW,Nadam,Adagrad,Adadelta,Lion -> Adam"]),
    ],
)
def test_every_difference_is_named(flags: dict[str, Any], words: list[str]) -> None:
    found = list(differences(resolved(), resolved(**flags)))
    assert set(words) <= set(found)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"trials": 0}, "--trials must be a whole number from 1"),
        ({"trials": -3}, "Received: -3"),
        ({"epochs": 0}, "--epochs"),
        ({"seed": -1}, "--seed"),
        ({"seed": 5_000_000_000}, "--seed"),
        ({"precision": "half"}, "--precision must be float32, mixed_float16 or mixed_bfloat16"),
        ({"tune": "2"}, "--tune must be auto, 1 or all"),
    ],
)
def test_a_number_that_cannot_be_is_refused(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Request("net.py", **flags)


@pytest.mark.parametrize("name", ["", "a/b", "a'b", "a\nb", "-a", "x" * 101, "a b"])
def test_a_name_that_harms_paths_or_shells_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="--name"):
        study_name(name, Path("net.py"))


def test_the_name_defaults_to_the_problem_files() -> None:
    assert study_name(None, Path("/x/my problem (2).py")) == "my-problem-2"
    assert study_name("größe_1", Path("net.py")) == "größe_1"


METRICS = ["loss", "val_loss", "val_accuracy", "val_auc", "val_custom"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("val_loss", Objective("val_loss", "minimize")),
        ("val_accuracy", Objective("val_accuracy", "maximize")),
        ("val_auc", Objective("val_auc", "maximize")),
        ("val_custom:max", Objective("val_custom", "maximize")),
        ("val_accuracy:min", Objective("val_accuracy", "minimize")),
    ],
)
def test_an_objective_has_a_direction(text: str, expected: Objective) -> None:
    assert parse_objective(text, METRICS) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("val_custom", "val_custom:min or val_custom:max"),
        ("val_los", 'Did you mean "val_loss"'),
        ("loss", "must be a validation metric"),
        ("val_loss:up", '":min" or ":max"'),
    ],
)
def test_an_objective_that_cannot_be_judged_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_objective(text, METRICS)


def with_averages(choices: tuple[bool, ...]) -> Override:
    scale: Scale = "fixed" if len(choices) == 1 else "choice"
    return Override((Dimension(keyword="use_ema", scale=scale, choices=choices),), "study.toml")


def test_a_callback_that_swaps_averages_wants_them_in_every_optimizer() -> None:
    problem = replace(description(), averaging_callback="SwapEMAWeights")

    def spec_of(space: dict[str, Override]) -> StudySpec:
        request = Request("net.py", optimizers="sgd,adam", space=space)
        return resolve(request, problem, bundled=False, folder=Path("/here"))

    whole = spec_of({"SGD": with_averages((True,)), "Adam": with_averages((True,))})
    defaults = {ticket.optimizer: ticket.arguments for ticket in baseline_tickets(whole)}
    assert defaults == {"baseline": {}, "SGD": {"use_ema": True}, "Adam": {"use_ema": True}}
    with pytest.raises(
        InvalidInput, match=r"SwapEMAWeights needs use_ema=True .* Received: Adam without it\. "
    ):
        spec_of({"SGD": with_averages((True,)), "Adam": with_averages((True, False))})
    with pytest.raises(
        InvalidInput, match=r"Write \[space.SGD\] use_ema = true, \[space.Adam\] use_ema = true"
    ):
        spec_of({})


def test_a_new_study_has_the_learned_sampler_and_one_of_before_keeps_tpe() -> None:
    assert resolved().sampler == "learned"
    assert resolved(sampler="tpe").sampler == "tpe"
    before = {key: value for key, value in resolved().model_dump(mode="json").items() if key != "sampler"}
    assert StudySpec.model_validate(before).sampler == "tpe"
    assert "sampler tpe -> learned" in differences(resolved(sampler="tpe"), resolved())


def test_the_learned_sampler_searches_all_usual_arguments_with_few_trials_too() -> None:
    assert [d.keyword for d in resolved(trials=8).space["Adam"]] == ["learning_rate", "beta_1"]
    assert [d.keyword for d in resolved(trials=8, sampler="tpe").space["Adam"]] == ["learning_rate"]
