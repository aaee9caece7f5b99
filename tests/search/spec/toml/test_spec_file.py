"""A spec file says what the flags say, and ranges in Keras's values; each mistake is named with its line."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from optselect.search.errors import InvalidInput
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.dimension import one_minus
from optselect.search.spec.requesting import merged
from optselect.search.spec.space import suggest_optimizer
from optselect.search.spec.study_spec import StudySpec, differences, resolve
from optselect.search.spec.toml.reading import read_spec
from optselect.search.spec.toml.source import line_of
from optselect.search.spec.toml.writing import spec_toml
from optselect.trials.terms.configuration import OptimizerConfig, check_arguments
from tests.support.problems import description

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
    request = merged({"spec": spec, **flags})
    return resolve(request, description(), bundled=False, folder=Path("/here"))


def test_a_file_says_what_the_flags_say(write: Any) -> None:
    asked = merged({"spec": write(SPEC)})
    assert (asked.name, asked.trials, asked.objective) == ("mine", 36, "val_mae")
    assert asked.optimizers == "sgd,adam"
    assert (asked.tune, asked.seed) == ("auto", 0)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(write: Any) -> None:
    asked = merged({"problem": "diabetes", "trials": 7, "name": "other", "spec": write(SPEC)})
    assert (asked.problem, asked.trials, asked.name) == ("diabetes", 7, "other")
    assert asked.objective == "val_mae"


def test_a_zero_on_the_command_line_is_typed_and_not_absent() -> None:
    assert merged({"problem": "diabetes", "workers": 0}).workers == 0
    with pytest.raises(InvalidInput, match="--trials"):
        merged({"problem": "diabetes", "trials": 0})


def test_the_problem_is_found_beside_the_file(write: Any, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("")
    assert merged({"spec": write(SPEC)}).problem == str(tmp_path / "net.py")


def test_a_namesake_in_the_current_folder_is_not_the_specs_problem(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "net.py").write_text("")
    monkeypatch.chdir(elsewhere)
    assert merged({"spec": write(SPEC)}).problem == str(tmp_path / "net.py")


def test_a_bundled_problem_keeps_its_bare_name(write: Any) -> None:
    assert merged({"spec": write('problem = "diabetes"')}).problem == "diabetes"


def test_tune_may_be_the_number_1_as_on_the_command_line(write: Any) -> None:
    assert merged({"spec": write('problem = "diabetes"\ntune = 1')}).tune == "1"


def test_a_file_may_begin_with_a_byte_order_mark(write: Any) -> None:
    assert merged({"problem": "diabetes", "spec": write("\ufefftrials = 3")}).trials == 3


def test_an_objective_of_the_file_is_refused_with_its_line_and_a_typed_one_without(write: Any) -> None:
    file = write('trials = 3\nobjective = "val_los"')
    with pytest.raises(
        InvalidInput, match=r'^objective must.*Did you mean "val_loss"\?.*\(study\.toml, line 2\)'
    ):
        resolved(file, problem="net.py")
    with pytest.raises(InvalidInput, match=r"^--objective must(?!.*study\.toml)"):
        resolved(file, problem="net.py", objective="val_ma")


@pytest.mark.parametrize("key", ["storage", "tracking"])
def test_no_error_shows_the_password_of_an_address(write: Any, key: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{key} must be a string.*line 1") as caught:
        read_spec(write(f'{key} = ["postgresql://me:secret@host/db"]'))
    assert "secret" not in str(caught.value)


def test_the_stored_spec_holds_nothing_of_the_launch(write: Any) -> None:
    launch = 'storage = "postgresql://me:secret@host/db"\ntracking = "http://host"\nworkers = 3\n'
    stored = resolved(write(launch + SPEC)).model_dump(mode="json")
    assert not {"storage", "tracking", "workers"} & stored.keys()
    assert "secret" not in str(stored)


def test_own_warmup_steps_replace_the_catalogues_fraction(write: Any) -> None:
    file = write("[space.ScheduleFreeAdamW]\nwarmup_steps = 5")
    spec = resolved(file, problem="net.py", optimizers="schedulefreeadamw", tune="all")
    trial = optuna.trial.FixedTrial(
        {
            "optimizer": "ScheduleFreeAdamW",
            "ScheduleFreeAdamW.learning_rate": 0.01,
            "ScheduleFreeAdamW.one_minus_beta_1": 0.1,
        }
    )
    assert suggest_optimizer(trial, spec.space, total_steps=275).arguments["warmup_steps"] == 5
    assert resolved(write(spec_toml(spec, "x"))).space == spec.space


@pytest.mark.parametrize("keyword", ["learning_rate_power", "beta"])
def test_what_the_catalogue_does_not_search_is_linear_unless_it_is_a_rate_or_strength(
    write: Any, keyword: str
) -> None:
    low, high = (-0.9, -0.1) if keyword == "learning_rate_power" else (0.0, 0.5)
    file = write(f"[space.Ftrl]\n{keyword} = {{low = {low}, high = {high}}}")
    assert resolved(file, problem="net.py", optimizers="ftrl").space["Ftrl"][-1].scale == "linear"


def test_a_range_without_log_gets_the_catalogues_scale(write: Any) -> None:
    for name, entry in CATALOGUE.items():
        for dimension in entry.tier_1 + entry.tier_2:
            if dimension.choices:
                continue
            low, high = dimension.keras_bounds()
            text = f"[space.{name}]\n{dimension.keyword} = {{low = {low!r}, high = {high!r}}}"
            assert read_spec(write(text)).space[name].dimensions == (dimension,)


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
    check_arguments(OptimizerConfig(config.optimizer, config.arguments))


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
    assert list(differences(spec, again)) == []
    assert again.space == spec.space


def test_own_ranges_survive_being_printed(write: Any) -> None:
    spec = resolved(write(SPEC))
    assert resolved(write(spec_toml(spec, "mine"))).space == spec.space


def test_1_minus_x_comes_back_to_the_last_bit(write: Any) -> None:
    drawn = np.random.default_rng(1).uniform(0, 1, 2000)
    values = [*map(float, drawn), *(float(f"{x:.4g}") for x in drawn), 0.995, 1 - 1e-13, 0.0, 1e-9]
    for value in values:
        sampled = one_minus(value)
        assert one_minus(one_minus(sampled)) == sampled
        assert one_minus(sampled) == pytest.approx(value, abs=1e-15)


def test_a_beta_close_to_1_does_not_become_the_logarithm_of_0(write: Any) -> None:
    file = write("[space.Adam]\nbeta_1 = {low = 0.5, high = 0.9999999999999}")
    spec = resolved(file, problem="net.py", optimizers="adam")
    assert spec.space["Adam"][1].low == 1e-13
    assert resolved(write(spec_toml(spec, "x"))).space == spec.space


def test_ranges_that_differ_in_a_late_digit_are_another_study(write: Any) -> None:
    stored, wanted = (
        resolved(write(f"[space.Adam]\nepsilon = {{low = 1e-9, high = {high}}}"), problem="net.py")
        for high in ("0.01", "0.01000000001")
    )
    assert list(differences(stored, wanted)) == [
        "space.Adam.epsilon 1e-09 .. 0.01 (log) -> 1e-09 .. 0.01000000001 (log)"
    ]


def test_a_changed_range_is_named_in_keras_values(write: Any) -> None:
    stored = resolved(None, problem="net.py", optimizers="sgd,adam", trials=36)
    wanted = resolved(write(SPEC.replace("val_mae", "val_loss")))
    changes = list(differences(stored, wanted))
    assert "space.Adam.learning_rate 1e-05 .. 0.1 (log) -> 0.0001 .. 0.01 (log)" in changes
    assert "space.Adam.beta_1 0.001 .. 0.99 (log 1-x) -> 0.5 .. 0.995 (log 1-x)" in changes
    assert "space.Adam.amsgrad not searched -> False | True" in changes


def test_a_problem_with_a_strange_path_can_be_printed_and_read(write: Any) -> None:
    spec = resolved(None, problem="net.py").model_copy(update={"problem": '/a "b"\\c\n\x7f/größe 😀.py'})
    assert merged({"spec": write(spec_toml(spec, "x"))}).problem == spec.problem


def test_a_stored_space_keeps_its_order_although_jsonb_does_not() -> None:
    spec = resolved(None, problem="net.py", optimizers="rmsprop,sgd,adam")
    shuffled = spec.model_dump(mode="json")
    shuffled["space"] = dict(sorted(shuffled["space"].items()))
    assert list(StudySpec.model_validate(shuffled).space) == ["RMSprop", "SGD", "Adam"]


MISTAKES = {
    "trials = = 3": "TOML.*line 1",
    "trails = 3": r'no key trails \(study\.toml, line 1\)\. Did you mean "trials"',
    'trials = "many"': r"trials must be a whole number\. Received: trials='many' \(study\.toml, line 1\)",
    "trials = 0": r"trials must be greater than or equal to 1.*line 1",
    "seed = 1.5": "seed must be a whole number",
    'tune = "2"': "tune must be 'auto', '1' or 'all'",
    "optimizers = 3": 'optimizers must be a list of names, or "all"',
    'optimizers = ["adm"]': r'optimizers: There is no optimizer "adm"\. Did you mean "adam".*line 1',
    "[space.Adm]\nrho = 0.1": r"space\.Adm: There is no optimizer.*line 1",
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
    "[space]\nAdam = 3": r"space\.Adam must be a table",
    "[space.Muon]\nns_steps = {low = 1.5, high = 3}": r"ns_steps\.low must be an integer",
    "[space.Muon]\nns_steps = {low = 1, high = 1"
    + "0" * 30
    + "}": r"ns_steps\.high must be a whole number up to 2\*\*53",
    "[space.Adam]\nepsilon = 1" + "0" * 400: r"space\.Adam\.epsilon must be a whole number up to .*line 2",
    "[space.Adam]\nepsilon = {low = 1e-8, high = 1"
    + "0" * 400
    + "}": r"epsilon\.high must be a whole number",
    "[space.Adam]\nepsilon = {low = 1e-8, high = inf}": r"epsilon\.high must be a number\. Received: high=inf",
    "[space.Adam]\nepsilon = {low = nan, high = 1.0}": r"epsilon\.low must be a number > 0",
    "[space.Adam]\nepsilon = 1979-05-27": r"epsilon must be a number > 0",
    "[space.Adam]\nclipnorm = 1.0\nclipvalue = 0.5": r"space\.Adam: Adam takes only one of clipnorm.*line 1",
    'optimizers = ["schedulefreeadamw"]\n[space.ScheduleFreeAdamW]\nwarmup_steps = 5\nwarmup_fraction = 0.1': "warmup_steps must stand without warmup_fraction.*line 3",
    'optimizers = ["schedulefreeadamw"]\n[space.ScheduleFreeAdamW]\nwarmup_steps = 275': "less than the 275 steps of a training",
    "[space.ScheduleFreeAdamW]\nwarmup_fraction = false": r"warmup_fraction must be a number in \[0, 1\)",
    "[space.Lion]\nbeta_1 = {low = 1e-20, high = 0.9}": r"beta_1\.low must be a number in \(0, 1\)",
    "[space.SGD]\nlearning_rate = {low = 0, high = 1, log = 'no'}": "log must be true or false",
    "trials = 1" + "0" * 5000: r"TOML file\. Received: a number with thousands of digits",
    "a = " + "[" * 3000: r"TOML file\. Received: brackets nested too deeply",
    'name = "a/b"': r"^name must begin with a letter.*\(study\.toml, line 1\)",
    "optimizers = []": r'optimizers must be a list of names, or "all"\. Received: \[\]',
    "optimizers = [3]": r'^optimizers must be a list of names, or "all"\. Received: 3',
    "tune = true": "tune must be 'auto', '1' or 'all'",
    '"list[str]" = 3': r"no key list\[str\] \(study\.toml, line 1\)",
    "space = 3": "space must be a table",
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
        merged({"spec": write("trials = 3\n")})


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


@pytest.mark.parametrize(
    ("line", "received"),
    [
        ("learning_rate = 1e-50", "learning_rate=1e-50, which becomes 0"),
        ("learning_rate = {low = 1e-40, high = 1e-2}", "low=1e-40, which becomes 0"),
        ("learning_rate = {low = 1e-4, high = 1e39}", "high=1e+39, which becomes inf"),
        ("learning_rate = [1e-3, 1e-39]", "learning_rate=1e-39"),
        ("epsilon = 1e-46", "epsilon=1e-46"),
        ("epsilon = {low = 1e-46, high = 1e-3}", "low=1e-46"),
        ("weight_decay = 1e-300", "weight_decay=1e-300"),
        ("clipnorm = 1e200", "clipnorm=1e+200"),
        ("learning_rate = inf", "learning_rate=inf"),
        ("learning_rate = {low = nan, high = 1.0}", "low=nan"),
    ],
)
def test_numbers_that_float32_does_not_hold_are_refused(tmp_path: Path, line: str, received: str) -> None:
    (tmp_path / "study.toml").write_text(f"[space.Adam]\n{line}\n")
    with pytest.raises(InvalidInput, match=re.escape(received)) as refused:
        read_spec(tmp_path / "study.toml")
    assert "study.toml, line 2" in str(refused.value)


@pytest.mark.parametrize(
    "line", ["learning_rate = 1e-30", "epsilon = 1.2e-38", "beta_1 = 0.99999999", "beta_1 = 0.0"]
)
def test_small_numbers_that_float32_holds_are_taken(tmp_path: Path, line: str) -> None:
    (tmp_path / "study.toml").write_text(f"[space.Adam]\n{line}\n")
    assert read_spec(tmp_path / "study.toml").space["Adam"].dimensions
