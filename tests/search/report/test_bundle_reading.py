"""A bundle that somebody has sent is read as it was written, or refused in one line, whatever its bytes are."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from optselect.search.errors import InvalidInput
from optselect.search.report import bundle_reading
from optselect.search.report.bundle_reading import bundled_evidence, judging
from optselect.search.report.verdict_page import answer_json
from optselect.search.verdict.findings import find

KEPT = Path(__file__).parents[2] / "acceptance" / "kept" / "patients.zip"
Change = Callable[[Any], object]


def parts() -> dict[str, Any]:
    """The files of a whole bundle; those of JSON as values."""
    with zipfile.ZipFile(KEPT) as archive:
        return {name: read(name, archive.read(name)) for name in archive.namelist()}


def read(name: str, body: bytes) -> Any:
    return json.loads(body) if name.endswith(".json") else body


def packed(files: dict[str, Any], folder: Path, **manifest: Any) -> Path:
    """A bundle of these files whose hashes are right."""
    bodies = {n: one if isinstance(one, bytes) else json.dumps(one).encode() for n, one in files.items()}
    del bodies["manifest.json"]
    told = {
        **files["manifest.json"],
        "files": {n: hashlib.sha256(b).hexdigest() for n, b in bodies.items()},
        **manifest,
    }
    file = folder / "study.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, body in {"manifest.json": json.dumps(told).encode(), **bodies}.items():
            archive.writestr(name, body)
    return file


def refused(file: Path) -> str:
    with pytest.raises(InvalidInput) as error:
        bundled_evidence(file)
    line = str(error.value)
    assert "\n" not in line and len(line) < 700 and "Received: " in line
    return line


def test_a_whole_bundle_is_read_and_further_fields_of_a_later_version_are_read_over(tmp_path: Path) -> None:
    files = parts()
    plain = answer_json("patients", find(bundled_evidence(KEPT).record))
    for part in (
        files["manifest.json"],
        files["study.json"],
        files["study.json"]["spec"],
        files["study.json"]["problem"],
    ):
        part["of_tomorrow"] = {"a": [1]}
    files["study.json"]["problem"]["baseline"]["of_tomorrow"] = 1
    for trial in files["trials.json"]:
        trial["of_tomorrow"] = None
    space = files["study.json"]["spec"]["space"]
    next(iter(space.values()))[0]["of_tomorrow"] = "x"
    files["curves.json"] = {"1": [{"epoch": 1, "ts_ms": 1, "metrics": {"val_loss": "NaN"}, "of_tomorrow": 1}]}
    files["of_tomorrow.bin"] = b"\xff"
    assert answer_json("patients", find(bundled_evidence(packed(files, tmp_path)).record)) == plain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["manifest.json"].update(format=2), "format 2"),
        (lambda f: f["manifest.json"].update(format="1"), "format 1"),
        (lambda f: f["manifest.json"].pop("format"), "format"),
        (lambda f: f.update({"manifest.json": {"format": {"a": 1}}}), "format {'a': 1}"),
        (lambda f: f.pop("trials.json"), "no 'trials.json'"),
        (lambda f: f.pop("study.json"), "no 'study.json'"),
        (lambda f: f.update({"study.json": []}), "dictionary"),
        (lambda f: f.update({"study.json": b'{"name": 1, "name": 2}'}), "'name' twice"),
        (lambda f: f.update({"study.json": b"\xff\xfe"}), "utf-8"),
        (lambda f: f.update({"trials.json": b"[NaN]"}), "NaN, which is no JSON"),
        (lambda f: f.update({"trials.json": b"[" * 200_000}), "recursion"),
        (lambda f: f.update({"trials.json": b"[1" + b"0" * 5000 + b"]"}), "digits"),
        (lambda f: f.update({"trials.json": {}}), "array"),
        (lambda f: f.update({"trials.json": f["trials.json"] * 2}), "twice"),
        (lambda f: f["study.json"].update(budget=-1), "budget"),
        (lambda f: f["study.json"].update(budget="36"), "budget"),
        (lambda f: f["study.json"].update(decisions=[3]), "decisions"),
        (lambda f: f["study.json"]["spec"].pop("space"), "space"),
        (lambda f: f["study.json"]["spec"].update(space={}), "no '"),
        (lambda f: f["study.json"]["problem"].pop("baseline"), "baseline"),
        (lambda f: f["trials.json"][0].update(epochs=-3), "number that cannot be"),
        (lambda f: f["trials.json"][0].update(attempts=1.5), "attempts"),
        (lambda f: f["trials.json"][0].update(value="NaN"), "value"),
        (lambda f: f["trials.json"][0].update(state="done"), "'done'"),
        (lambda f: f["trials.json"][0].update(optimizer="Evil"), "'Evil'"),
        (lambda f: f["trials.json"][0].update(result={"test_loss": "much"}), "'much'"),
        (lambda f: f["trials.json"][0].pop("seed"), "seed"),
        (lambda f: f.update({"curves.json": {"1": [{"epoch": 0, "ts_ms": 1, "metrics": {}}]}}), "first one"),
        (lambda f: f.update({"curves.json": {"one": []}}), "one"),
        (lambda f: f.update({"curves.json": [1]}), "list"),
        (lambda f: f.update({"source/x.py": b"\xff"}), "utf-8"),
    ],
)
def test_what_no_study_holds_is_refused_in_one_line(tmp_path: Path, change: Change, words: str) -> None:
    files = parts()
    manifest = files["manifest.json"]
    change(files)
    told = files["manifest.json"] if files["manifest.json"] is not manifest else {}
    assert words in refused(packed(files, tmp_path, **told))


def test_bytes_that_are_no_bundle_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, whole = tmp_path / "study.zip", KEPT.read_bytes()
    for body in (
        b"",
        b"PK",
        whole[: len(whole) // 2],
        whole[:100] + b"\0" * 50 + whole[150:],
        b"\0" * 10_000,
    ):
        file.write_bytes(body)
        refused(file)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("manifest.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("manifest.json", "{}")
    file.write_bytes(stream.getvalue())
    assert "two files of one name" in refused(file)
    monkeypatch.setattr(bundle_reading, "MOST_BYTES", 1000)
    assert "unpacked, more than" in refused(KEPT)
    refused(tmp_path)  # a folder
    refused(tmp_path / "none.zip")


ANYTHING = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=5,
)


@given(some.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_place_of_a_value_it_is_read_or_refused(
    tmp_path: Path, data: some.DataObject
) -> None:
    files = parts()
    part = files[data.draw(some.sampled_from(["study.json", "trials.json", "manifest.json"]))]
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(some.sampled_from(keys))
        inner = part[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(some.booleans()):
            break
        part = inner
    part[key] = data.draw(ANYTHING)
    file = packed(files, tmp_path, **{n: one for n, one in files["manifest.json"].items() if n != "files"})
    try:
        evidence = bundled_evidence(file)
        with judging(file):
            answer_json(evidence.record.name, find(evidence.record))
    except InvalidInput as error:
        assert "\n" not in str(error)
