"""Of a listed bundle just its own files run, whatever lies beside them and whatever they are called."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optselect.trials.optimizers.custom import load_class
from optselect.trials.problem.loading import import_problem
from optselect.trials.terms.errors import ProblemError, SourceNotListed
from optselect.trials.terms.listed_code import ListedCode, installed_path
from optselect.trials.terms.reference import Reference

MINE = "import keras\nclass Mine(keras.optimizers.SGD): ...\n"


@pytest.fixture
def imports() -> Iterator[None]:
    """What a process imports with is put back, and the modules go."""
    path, hooks, modules = sys.path[:], sys.path_hooks[:], set(sys.modules)
    yield
    sys.path[:], sys.path_hooks[:] = path, hooks
    sys.path_importer_cache.clear()
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith("/tmp"):
            del sys.modules[name]


def listed(folder: Path, **files: str) -> ListedCode:
    """A bundle in a folder; `package__inner` is the file package/inner.py."""
    names = {name.replace("__", "/") + ".py": text for name, text in files.items()}
    for name, content in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    hashes = {name: hashlib.sha256(content.encode()).hexdigest() for name, content in names.items()}
    return ListedCode(str(folder), hashes)


def test_a_bundles_own_modules_packages_and_classes_are_found(tmp_path: Path, imports: None) -> None:
    code = listed(
        tmp_path, net="import near\nfrom package.inner import ONE", near=MINE, package__inner="ONE = 1"
    )
    code = ListedCode.from_json(code.to_json())
    assert import_problem(tmp_path / "net.py", code).ONE == 1
    for place in ("near", str(tmp_path / "near.py")):
        assert load_class(Reference(place, "Mine"), tmp_path / "net.py", code).__module__ == "near"
    with pytest.raises(ProblemError, match=r"must be a subclass of keras\.optimizers\.Optimizer"):
        load_class(Reference("keras", "Model"), tmp_path / "net.py", code)


def test_what_lies_beside_a_bundles_files_or_in_the_working_folder_is_not_there(
    tmp_path: Path, imports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "bundle", tmp_path / "elsewhere"
    code = listed(here, net="", package__inner="")
    listed(here, stray_a="", package__stray_b="")
    listed(elsewhere, stray_c="")
    (here / "linked.py").symlink_to(elsewhere / "stray_c.py")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    sys.path[:0] = ["", str(elsewhere)]
    for name in ("stray_a", "package.stray_b", "stray_c", "linked"):
        (here / "net.py").write_text(f"import {name}")
        again = ListedCode(code.folder, {**code.hashes, "net.py": hash_of(here / "net.py")})
        with pytest.raises(ProblemError, match=r"must be importable|must be a file of the listed bundle"):
            import_problem(here / "net.py", again)


def hash_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_compiled_file_or_a_changed_one_does_not_run(tmp_path: Path, imports: None) -> None:
    code = listed(tmp_path, net="import near", near="")
    import_problem(tmp_path / "net.py", code)
    assert not list(tmp_path.rglob("*.pyc")), "none is written, for none would be read"
    (tmp_path / "near.py").write_text("1 / 0")
    del sys.modules["near"]
    with pytest.raises(SourceNotListed, match=r"near\.py in .*, which has changed"):
        import_problem(tmp_path / "net.py", code)


@pytest.mark.parametrize(
    "place",
    [
        "/etc/evil.py",
        "{bundle}/../evil.py",
        "{bundle}/evil.py",
        "../evil.py",
        "..evil",
        "a b",
        "",
        "os",
        "subprocess",
    ],
)
def test_a_place_out_of_the_bundle_is_refused_before_it_is_looked_at(tmp_path: Path, place: str) -> None:
    code = listed(tmp_path / "bundle", net="")
    listed(tmp_path, evil="1 / 0", bundle__evil="1 / 0")
    with pytest.raises(ProblemError, match=r"listed|Python's own|must be written"):
        load_class(
            Reference(place.format(bundle=tmp_path / "bundle"), "Mine"), tmp_path / "bundle/net.py", code
        )


def test_what_is_installed_is_neither_the_working_folder_nor_pythonpath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:.:")
    monkeypatch.chdir(tmp_path)
    assert not {"", ".", str(tmp_path)} & set(installed_path())
