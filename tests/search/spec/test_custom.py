"""What is searched of a class of one's own follows from its constructor, its search_space and the spec file."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from optselect.search.errors import InvalidInput
from optselect.search.spec.custom import asked_classes, notes, read_customs
from optselect.search.spec.requesting import merged
from optselect.search.spec.settings import settings_code
from optselect.search.spec.study_spec import StudySpec, differences, resolve
from optselect.search.spec.toml.writing import spec_toml
from optselect.search.strategy.choosing import strategy_of
from optselect.search.strategy.planning import baseline_tickets
from optselect.trials.terms.description import CustomDescription, ParameterDescription, ProblemDescription
from optselect.trials.terms.errors import ConfigurationError
from tests.support.problems import description

REQUIRED = object()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the file that the tests name; nobody reads it, for TensorFlow is elsewhere."""
    (tmp_path / "mine.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def described(here: Path, space: dict[str, Any] | None = None, **parameters: Any) -> ProblemDescription:
    """The small problem with the class Mine beside it, whose constructor has these arguments."""
    given = {
        name: ParameterDescription(None, "", True)
        if default is REQUIRED
        else ParameterDescription(default, repr(default), False)
        for name, default in parameters.items()
    }
    own = CustomDescription(f"{here / 'mine.py'}:Mine", "mine.py", given, True, space)
    return dataclasses.replace(description(), optimizers={"Mine": own})


def study(model: ProblemDescription, spec: str = "", **flags: Any) -> StudySpec:
    path = None
    if spec:
        path = Path("study.toml")
        path.write_text(spec)
    asked = {"problem": "net.py", "optimizers": "sgd,mine.py:Mine", "trials": 24, **flags, "spec": path}
    request = merged(asked)
    return resolve(request, model, False, Path("/here"), read_customs(request, model.optimizers))


def ranges(spec: StudySpec) -> dict[str, str]:
    return {dimension.keyword: dimension.shown_range() for dimension in spec.space["Mine"]}


def test_known_names_are_searched_in_keras_ranges_and_others_stay_at_their_default(here: Path) -> None:
    problem = described(here, learning_rate=0.01, momentum=0.9, dampening=0.0, beta_2=0.999)
    spec = study(problem)
    assert spec.optimizers == ("SGD", "Mine")
    assert ranges(spec) == {"learning_rate": "1e-05 .. 0.1 (log)", "momentum": "0.001 .. 0.995 (log 1-x)"}
    (note,) = notes(spec, problem.optimizers)
    assert "dampening=0.0 (to search it: [space.Mine] dampening = {low = ..., high = ...}" in note
    assert "beta_2=0.999 (--tune all searches it)" in note
    assert list(ranges(study(problem, tune="all"))) == ["learning_rate", "momentum", "beta_2"]


def test_a_default_outside_a_known_range_widens_it(here: Path) -> None:
    problem = described(here, learning_rate=2.0, epsilon=1e-14)
    assert ranges(study(problem, tune="all")) == {
        "learning_rate": "1e-05 .. 20 (log)",
        "epsilon": "1e-15 .. 1 (log)",
    }


def test_the_spec_file_wins_over_the_class_and_the_class_over_known_names(here: Path) -> None:
    space = {"learning_rate": {"low": 1e-3, "high": 1e-2}, "dampening": 0.5, "nesterov": [False, True]}
    problem = described(here, space, learning_rate=0.01, dampening=0.0, nesterov=False)
    assert ranges(study(problem)) == {
        "learning_rate": "0.001 .. 0.01 (log)",
        "dampening": "0.5",
        "nesterov": "False | True",
    }
    file = "[space.Mine]\ndampening = {low = 0, high = 1}\n"
    # Floats, as the constructor's default is.
    assert ranges(study(problem, file))["dampening"] == "0 .. 1 (linear)"


def test_whole_numbers_stay_whole_where_the_constructor_does_not_say_otherwise(here: Path) -> None:
    problem = described(here, learning_rate=0.01, every=5)
    (every,) = (
        d
        for d in study(problem, "[space.Mine]\nevery = {low = 2, high = 9}\n").space["Mine"]
        if d.keyword == "every"
    )
    assert (every.scale, every.at(0.99)) == ("integer", 9)


def test_an_argument_without_a_default_must_be_given_one(here: Path) -> None:
    problem = described(here, learning_rate=0.01, decay=REQUIRED)
    with pytest.raises(InvalidInput, match=r"Mine.decay has no default.*\[space.Mine\] decay = VALUE"):
        study(problem)
    spec = study(problem, "[space.Mine]\ndecay = 0.25\n")
    # Mine has no defaults to run at.
    assert [ticket.optimizer for ticket in baseline_tickets(spec)] == ["baseline", "SGD"]
    assert {"optimizer": "Mine"}.items() <= strategy_of(spec).search(4).tickets[1].fixed_params.items()


def test_a_known_name_without_a_default_is_searched_at_any_budget(here: Path) -> None:
    spec = study(described(here, learning_rate=REQUIRED, epsilon=REQUIRED))
    assert list(ranges(spec)) == ["learning_rate", "epsilon"]


WRONG = {
    "an argument that the constructor has not": (
        "[space.Mine]\nlearning_rates = 0.1\n",
        r"\[?space.Mine.*the constructor of Mine has no argument learning_rates. Its arguments: learning_rate, momentum",
    ),
    "a momentum of 1": (
        "[space.Mine]\nmomentum = 1.0\n",
        r"space.Mine.momentum must be a number in \[0, 1\).*line 2",
    ),
    "a class that is not tried": ("[space.Theirs]\nmomentum = 0.5\n", 'no optimizer "Theirs"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_the_space_is_named_with_its_place(here: Path, name: str) -> None:
    spec, words = WRONG[name]
    with pytest.raises(InvalidInput, match=words):
        study(described(here, learning_rate=0.01, momentum=0.9), spec)


def test_a_mistake_in_search_space_names_the_class(here: Path) -> None:
    problem = described(here, {"momentum": {"low": 0.9, "high": 0.1}}, learning_rate=0.01, momentum=0.9)
    with pytest.raises(InvalidInput, match=r"Mine.search_space.momentum.low must be less than high.*mine.py"):
        study(problem)


NAMES = {
    "sgd,mine.py:Adam": "must not be called like Adam.*add the line MyAdam = Adam",
    "sgd,mine.py:Mine,other.py:Mine": "must name different classes. Received: Mine twice",
    "gone.py:Mine": 'There is no file "gone.py"',
    "mine.py:": "is written my_optimizers.py:MyMomentum",
    "a-b:Mine": "is written my_optimizers.py:MyMomentum",
}


@pytest.mark.parametrize("names", NAMES)
def test_a_wrong_reference_is_refused_before_any_model_is_built(here: Path, names: str) -> None:
    (here / "other.py").write_text("")
    with pytest.raises((InvalidInput, ConfigurationError), match=NAMES[names]):
        merged({"problem": "diabetes", "optimizers": names})


def test_the_file_is_found_beside_the_spec_and_tried_with_its_values(here: Path) -> None:
    folder = here / "specs"
    folder.mkdir()
    (folder / "theirs.py").write_text("")
    spec = folder / "study.toml"
    spec.write_text(
        'problem = "diabetes"\noptimizers = ["theirs.py:Theirs"]\n[space.Theirs]\nrate = [2, 3]\nbeta_1 = 0.5\n'
    )
    (asked,) = asked_classes(merged({"spec": spec}))
    assert (asked.reference.path, asked.reference.class_name) == (folder / "theirs.py", "Theirs")
    assert asked.arguments == {"rate": 3, "beta_1": 0.5}


def test_the_printed_spec_launches_the_same_study(here: Path) -> None:
    problem = described(here, {"momentum": 0.5}, learning_rate=0.01, momentum=0.9, power=REQUIRED)
    spec = study(problem, "[space.Mine]\npower = {low = 0.5, high = 2.0, log = true}\n", switch="sgd:Mine")
    assert f'optimizers = ["SGD", "{here}/mine.py:Mine"]' in spec_toml(spec, "net")
    again = study(problem, spec_toml(spec, "net"), optimizers=None, problem=None, trials=None)
    assert list(differences(spec, again)) == []


def test_its_code_imports_it(here: Path) -> None:
    spec = study(described(here, learning_rate=0.01))
    code = settings_code(spec, "Mine", {"learning_rate": 0.5}, 11)
    assert code == "from mine import Mine\nMine(learning_rate=0.5)"
