"""A spec file says what the flags say, and ranges in Keras's values; each mistake is named with its line."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from optselect.search.catalogue import CATALOGUE
from optselect.search.errors import InvalidInput
from optselect.search.requesting import Flags, merged
from optselect.search.space import suggest_optimizer
from optselect.search.spec import StudySpec, differences, resolve
from optselect.search.spec_file import read_spec, spec_toml
from optselect.search.toml_lines import line_of
from optselect.trials.configuration import check_arguments
from tests.search.problems import description

SPEC = """
problem = "net.py"
name = "mine"
optimizers = ["sgd", "adam"]
trials = 36          # of both
objective = "val_mae"

[space.adam]
learning_rate = {low = 1e-4, high = 1e-2, log = true}
beta_1 = {low = 0.5, high = 0.995}
epsilon = 1e-8
amsgrad = [false, true]

[space.SGD]
momentum = 0
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str) -> Path:
        (tmp_path / "study.toml").write_text(text)
        return tmp_path / "study.toml"

    return written


def resolved(spec: Path | None, **flags: Any) -> StudySpec:
    request = merged(Flags(**flags), spec).request
    return resolve(request, description(), bundled=False, folder=Path("/here"))


def test_a_file_says_what_the_flags_say(write: Any) -> None:
    asked = merged(Flags(), write(SPEC))
    assert (asked.flags.name, asked.request.trials, asked.request.objective) == ("mine", 36, "val_mae")
    assert asked.request.optimizers == "sgd,adam"
    assert (asked.request.tune, asked.request.seed) == ("auto", 0)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(write: Any) -> None:
    asked = merged(Flags(problem="diabetes", trials=7, name="other"), write(SPEC))
    assert (asked.request.problem, asked.request.trials, asked.flags.name) == ("diabetes", 7, "other")
    assert asked.request.objective == "val_mae"


def test_a_zero_on_the_command_line_is_typed_and_not_absent() -> None:
    assert merged(Flags(problem="diabetes", workers=0), None).flags.workers == 0
    with pytest.raises(InvalidInput, match="--trials"):
        merged(Flags(problem="diabetes", trials=0), None)


def test_the_problem_is_found_beside_the_file(write: Any, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("")
    assert merged(Flags(), write(SPEC)).request.problem == str(tmp_path / "net.py")


def test_own_ranges_replace_or_join_those_of_the_catalogue(write: Any) -> None:
    space = resolved(write(SPEC)).space
    adam = {dimension.keyword: dimension for dimension in space["Adam"]}
    assert list(adam) == ["learning_rate", "beta_1", "epsilon", "amsgrad"]
    assert (adam["learning_rate"].low, adam["learning_rate"].scale) == (1e-4, "log")
    assert (adam["beta_1"].low, adam["beta_1"].high, adam["beta_1"].scale) == (0.005, 0.5, "complement")
    assert (adam["epsilon"].scale, adam["epsilon"].choices) == ("fixed", (1e-8,))
    assert adam["amsgrad"].choices == (False, True)
    assert [dimension.keyword for dimension in space["SGD"]] == ["learning_rate", "momentum"]


def test_a_fixed_value_is_no_parameter_of_the_search_and_reaches_keras(write: Any) -> None:
    study = optuna.create_study()
    study.enqueue_trial({"optimizer": "Adam"})
    trial = study.ask()
    config = suggest_optimizer(trial, resolved(write(SPEC)).space, 100)
    assert config.arguments["epsilon"] == 1e-8
    assert "Adam.epsilon" not in trial.params
    check_arguments(config)


def test_whole_numbers_stay_whole_and_other_numbers_become_floats(write: Any) -> None:
    text = "optimizers = ['muon']\n[space.Muon]\nns_steps = {low = 2, high = 6}\nlearning_rate = 1\n"
    study = optuna.create_study()
    study.enqueue_trial({"optimizer": "Muon"})
    config = suggest_optimizer(study.ask(), resolved(write(text), problem="net.py").space, 100)
    assert isinstance(config.arguments["ns_steps"], int)
    assert isinstance(config.arguments["learning_rate"], float)


@pytest.mark.parametrize("tune", ["auto", "1", "all"])
@pytest.mark.parametrize("optimizers", [None, "all", "sgd,adam"])
def test_a_printed_spec_launches_the_very_same_study(write: Any, optimizers: str | None, tune: str) -> None:
    spec = resolved(None, problem="net.py", optimizers=optimizers, tune=tune, trials=100)
    again = resolved(write(spec_toml(spec, "net")))
    assert list(differences(spec.model_dump(mode="json"), again)) == []
    assert again.space == spec.space


def test_own_ranges_survive_being_printed(write: Any) -> None:
    spec = resolved(write(SPEC))
    assert resolved(write(spec_toml(spec, "mine"))).space == spec.space


def test_a_stored_space_keeps_its_order_although_jsonb_does_not() -> None:
    spec = resolved(None, problem="net.py", optimizers="rmsprop,sgd,adam")
    shuffled = spec.model_dump(mode="json")
    shuffled["space"] = dict(sorted(shuffled["space"].items()))
    assert list(StudySpec.model_validate(shuffled).space) == ["RMSprop", "SGD", "Adam"]


MISTAKES = {
    "trials = = 3": "TOML.*line 1",
    "trails = 3": r'no key trails \(study\.toml, line 1\)\. Did you mean "trials"',
    'trials = "many"': r"trials must be a valid integer\. Received: trials='many' \(study\.toml, line 1\)",
    "trials = 0": r"trials must be greater than or equal to 1.*line 1",
    "seed = 1.5": "seed must be a valid integer",
    'tune = "2"': "tune must be 'auto', '1' or 'all'",
    "optimizers = 3": 'optimizers must be a list of names, or "all"',
    'optimizers = ["adm"]': r'optimizers: there is no optimizer "adm"\. Did you mean "adam".*line 1',
    "[space.Adm]\nrho = 0.1": r"space\.Adm: there is no optimizer.*line 1",
    "[space.Adam]\nbeta1 = 0.9": r'no key space\.Adam\.beta1 \(study\.toml, line 2\)\. Did you mean "beta_1"',
    "[space.Adam]\n\nbeta_1 = {low = 1.2, high = 2.0}": r"space\.Adam\.beta_1\.low must be a number in \[0, 1\)\. Received: low=1\.2 \(study\.toml, line 3\)",
    "[space.Adam]\nbeta_1 = {low = 0.5, high = 1.0}": r"space\.Adam\.beta_1\.high must be a number in \[0, 1\)",
    "[space.Adam]\nbeta_1 = {low = 0.9, high = 0.5}": r"space\.Adam\.beta_1\.low must be less than high\. Received: low=0\.9, high=0\.5",
    "[space.SGD]\nmomentum = {low = 0.1, high = 0.9, log = true}": r"space\.SGD\.momentum\.log must be left out.*log of 1 - x",
    "[space.Adam]\nlearning_rate = {low = 0, high = 0.1, log = true}": r"learning_rate\.low must be greater than 0",
    "[space.Adam]\nlearning_rate = {low = 0, high = 0.1}": r"learning_rate\.low must be greater than 0",
    "[space.Adam]\nlearning_rate = {low = -1, high = 0.1, log = false}": r"learning_rate\.low must be a number > 0",
    "[space.Adam]\nlearning_rate = {low = 0.1}": r"learning_rate must have a high\. Received: low",
    "[space.Adam]\nlearning_rate = {low = 0.1, hihg = 1}": r'learning_rate\.hihg.*Did you mean "high"',
    "[space.Adam]\nlearning_rate = {low = 'a', high = 1}": r"learning_rate\.low must be a number\. Received: low='a'",
    "[space.Adam]\nlearning_rate = {low = 0.1, high = 1, log = 3}": r"log must be true or false",
    "[space.Adam]\nlearning_rate = []": "at least two different choices",
    "[space.Adam]\namsgrad = [true, true]": "at least two different choices",
    "[space.Adam]\namsgrad = [true, 3]": r"space\.Adam\.amsgrad must be True or False",
    "[space.Adam]\nepsilon = 0.0": r"space\.Adam\.epsilon must be a number > 0",
    "[space.Adam]\nrho = 0.9\n[space.adam]\nepsilon = 1e-8": "rho",
    "[space]\nAdam = 3": r"space\.Adam must be a valid dictionary",
    "[space.Muon]\nns_steps = {low = 1.5, high = 3}": r"ns_steps\.low must be an integer",
    "[space.Nadam]\nepsilon = 1e-8": r"space\.Nadam \(study\.toml, line 1\) must be of an optimizer that the study tries",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_named_with_its_key_its_line_and_what_must_hold(write: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=MISTAKES[text]) as caught:
        resolved(
            write(text), problem="net.py", **({} if "optimizers" in text else {"optimizers": "sgd,adam"})
        )
    assert "\n" not in str(caught.value)


def test_the_same_optimizer_stands_once(write: Any) -> None:
    with pytest.raises(InvalidInput, match=r"a second table of Adam \(study\.toml, line 3\)"):
        read_spec(write("[space.Adam]\nepsilon = 1e-8\n[space.adam]\nepsilon = 1e-8\n"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.toml: No such file"):
        read_spec(tmp_path / "nowhere.toml")


def test_a_problem_must_come_from_somewhere(write: Any) -> None:
    with pytest.raises(InvalidInput, match="A problem must be named"):
        merged(Flags(), write("trials = 3\n"))


def test_every_dimension_of_the_catalogue_can_be_written_and_read(write: Any) -> None:
    for name, entry in CATALOGUE.items():
        dimensions = entry.tier_1 + entry.tier_2
        spec = resolved(None, problem="net.py", optimizers=name, tune="all")
        assert resolved(write(spec_toml(spec, "x"))).space[name] == dimensions


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a = 1\nb = 2", ("b",), 2),
        ("[space.Adam]  # mine\nrho = 1", ("space", "Adam", "rho"), 2),
        ("[space.'Adam']\n\"rho\" = 1", ("space", "Adam", "rho", "low"), 2),
        ("[space]\nAdam.rho = 1", ("space", "Adam", "rho"), 2),
        ("space.Adam.rho = 1", ("space", "Adam", "rho"), 1),
        ("[space.Adam]\nx = 1\n[space.SGD]\nx = 2", ("space", "SGD", "x"), 4),
        ("a = 1", ("b",), None),
    ],
)
def test_the_line_of_a_key_is_found(text: str, key: tuple[str, ...], line: int | None) -> None:
    assert line_of(text, key) == line
