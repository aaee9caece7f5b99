"""A file has a name that another machine can find, and content by which it is known."""

from pathlib import Path

import pytest

from optselect.trials.problem.user_files import changed_file, hash_named, name_of


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("problem", "launched", "checkpoint"):
        (tmp_path / name).mkdir()
    return tmp_path / "problem", tmp_path / "launched"


def test_a_name_is_relative_to_the_problem_or_to_the_folder_of_the_launch(folders: tuple[Path, Path]) -> None:
    problem, launched = folders
    assert name_of(problem / "sub" / "base.keras", folders) == "sub/base.keras"
    assert name_of(launched / "base.keras", folders) == "base.keras"
    assert name_of(Path("/data/base.keras"), folders) == "/data/base.keras"


def test_a_file_is_the_same_wherever_it_lies_and_another_with_other_content(
    folders: tuple[Path, Path],
) -> None:
    problem, launched = folders
    (launched / "base.keras").write_text("one")
    files = hash_named(["base.keras", "gone"], folders)
    assert set(files) == {"base.keras"} and changed_file(files, folders) == ""
    (problem / "base.keras").write_text("two")
    assert changed_file(files, folders) == "", "one of both is the file"
    (launched / "base.keras").unlink()
    told = changed_file(files, folders)
    assert told.startswith("base.keras must be the file") and f"Received: {problem}/base.keras" in told
    (problem / "base.keras").unlink()
    assert changed_file(files, folders).endswith(f"Received: no such file in {problem} or {launched}")


def test_a_folder_is_known_by_the_names_and_contents_in_it(folders: tuple[Path, Path]) -> None:
    kept = folders[0].parent / "checkpoint"
    (kept / "a.index").write_text("1")
    files = hash_named([str(kept)], folders)
    assert changed_file(files, folders) == ""
    (kept / "a.index").rename(kept / "b.index")
    assert "checkpoint must be the file" in changed_file(files, folders)


def test_what_a_library_downloaded_may_be_missing_elsewhere(folders: tuple[Path, Path]) -> None:
    assert changed_file({"/home/somebody/models/base.h5": "0" * 64}, folders) == ""
