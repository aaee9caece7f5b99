"""One rule for what a study may be called: in any script, and short and plain enough to be a file's name everywhere."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from optselect.search.errors import InvalidInput
from optselect.search.named_file import write_named
from optselect.search.names import demand_apart, is_lawful, name_of_file, study_name
from optselect.trials.terms.errors import ConfigurationError
from optselect.trials.terms.reference import read_reference

ADDED = len(".supervisor.log" + "0" * 32 + ".part")
"""Bytes that are added to a name where it becomes a file's."""


@pytest.mark.parametrize(
    "name",
    [
        "日" * 67,
        "日" * 100,
        "\U0001f600",
        "a\u202eb",
        "a\x1b[31m",
        "con",
        "NUL.txt",
        "Lpt1",
        "a.",
        ".a",
        "..",
        "́a",
        *("a ", "a\\b", "a\0b", "a\udcff", "x" * 5000, "C:", "a*"),
    ],
)
def test_names_that_some_system_cannot_hold_are_refused_in_one_short_line(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--name must begin with a letter") as refused:
        study_name(name, Path("net.py"))
    assert str(refused.value).isprintable() and len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "name", ["größe_1", "日" * 66, "हिन्दी", "x" * 100, "_a", "a-b.c", "console", "com10"]
)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    assert study_name(name, Path("net.py")) == name


def test_a_name_is_one_however_its_letters_were_put_together() -> None:
    apart = unicodedata.normalize("NFD", "Modèle-한국")
    assert study_name(apart, Path("x.py")) == study_name(None, Path(f"{apart}.py")) == "Modèle-한국"


@given(some.text(max_size=300))
def test_every_problem_file_gives_a_lawful_name(stem: str) -> None:
    name = name_of_file(stem)
    assert is_lawful(name) and study_name(name, Path("net.py")) == name
    assert len(name.encode()) + ADDED <= 255


@given(some.text(max_size=120))
def test_a_typed_name_is_lawful_or_refused(name: str) -> None:
    try:
        assert is_lawful(study_name(name, Path("net.py")))
    except InvalidInput as error:
        assert str(error).isprintable()


def test_names_that_differ_in_capitals_only_are_refused_for_a_new_study() -> None:
    demand_apart("digits", ["digits", "other"])
    with pytest.raises(InvalidInput, match='must differ from "Digits"'):
        demand_apart("digits", ["Digits"])


def test_a_file_of_the_longest_name_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 251 + ".csv")
    write_named(file, b"1")
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_an_optimizers_name_is_bounded_as_it_names_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    assert read_reference(f"mine.py:{'日' * 66}", tmp_path).class_name == "日" * 66
    with pytest.raises(ConfigurationError, match="at most 200 bytes"):
        read_reference(f"mine.py:{'日' * 67}", tmp_path)
