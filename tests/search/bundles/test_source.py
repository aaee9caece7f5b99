"""What a study keeps of a source is the program that was launched, in whatever encoding its file is."""

import runpy
from pathlib import Path

import pytest

from optselect.search.bundles.source import bundle_hash, local_hash, read_bundle, read_source, written_source
from optselect.search.errors import InvalidInput

COOKIE = "# -*- coding: latin-1 -*-\n"
PROGRAM = "größe = 'ß'\n"


@pytest.mark.parametrize(
    "body",
    [
        PROGRAM.encode(),
        b"\xef\xbb\xbf" + PROGRAM.encode(),
        (COOKIE + PROGRAM).encode("latin-1"),
        ("#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n" + PROGRAM).encode("cp1252"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_file_that_is_unpacked_is_the_same_program(tmp_path: Path, body: bytes, end: bytes) -> None:
    (tmp_path / "net.py").write_bytes(body.replace(b"\n", end))
    bundle = read_bundle(tmp_path / "net.py", ["net.py"])
    assert local_hash(tmp_path / "net.py", bundle, {}) == bundle_hash(bundle)
    (tmp_path / "net.py").write_bytes(written_source(bundle["net.py"]))
    assert (tmp_path / "net.py").read_bytes() == body
    assert local_hash(tmp_path / "net.py", bundle, {}) == bundle_hash(bundle)
    assert runpy.run_path(str(tmp_path / "net.py"))["größe"] == "ß"


def test_a_file_with_a_mark_has_the_hash_of_studies_that_were_stored_before(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    assert read_source(tmp_path / "net.py") == "\ufeffx = 1\n"


def test_a_compiled_module_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "fast.so").write_bytes(b"\x7fELF\x02\x00\xff\xfe")
    with pytest.raises(InvalidInput, match=r"fast\.so must be Python's source.*must be installed") as raised:
        read_source(tmp_path / "fast.so")
    assert "\n" not in str(raised.value)
