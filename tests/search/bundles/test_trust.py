"""A machine that lists the sources it trusts runs no other, whatever stands in the database."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from optselect.search.bundles.source import bundle_hash, unpacked
from optselect.search.bundles.trust import ALL_TRUSTED, Trust
from optselect.search.errors import InvalidInput
from optselect.search.studies.joining import Joining
from optselect.storage.records.studies import StoredStudy
from tests.support.problems import description

BUNDLE = {"net.py": "def model(): ..."}
OWN = bundle_hash(BUNDLE)
OTHER = "a" * 64


def study(**changes: Any) -> StoredStudy:
    fields = {field.name: None for field in dataclasses.fields(StoredStudy)}
    known = {
        "id": 1,
        "name": "net",
        "bundle": BUNDLE,
        "bundle_sha256": OWN,
        "problem": description().to_json(),
    }
    return StoredStudy(**{**fields, "created_at": datetime.now(UTC), **known, **changes})


def test_a_listed_source_runs_and_all_do_where_nothing_is_listed() -> None:
    Trust.read(f"{OTHER},{OWN.upper()}", None).demand(study())
    ALL_TRUSTED.demand(study())


def test_another_source_is_refused_with_its_own_hash() -> None:
    with pytest.raises(InvalidInput, match=f'Received: study "net" with the source {OWN}'):
        Trust.read(OTHER, None).demand(study())


def test_a_source_that_bears_a_trusted_hash_and_is_another_is_refused() -> None:
    forged = study(bundle={"net.py": "import os"})
    with pytest.raises(InvalidInput, match=r"must be listed by --only-bundles"):
        Trust.read(OWN, None).demand(forged)
    with pytest.raises(InvalidInput, match=r"must be listed by --only-bundles"):
        Trust.read(bundle_hash(forged.bundle), None).demand(forged)


def test_a_file_lists_a_hash_on_each_line(tmp_path: Path) -> None:
    (tmp_path / "trusted").write_text(f"# read by Ann\n\n{OWN}  net\n")
    trust = Trust.read(None, tmp_path / "trusted")
    trust.demand(study())
    assert Trust.read(trust.arguments()[1], None) == trust, "the same for a child's command line"


def test_a_file_that_lists_nothing_trusts_nothing(tmp_path: Path) -> None:
    (tmp_path / "trusted").write_text("# nobody yet\n")
    trust = Trust.read(None, tmp_path / "trusted")
    for same in (trust, Trust.read(trust.arguments()[1], None)):
        with pytest.raises(InvalidInput):
            same.demand(study())


@pytest.mark.parametrize("listed", ["", "abc", f"{OWN[:12]}", f"{OWN},"])
def test_a_hash_must_be_whole(listed: str) -> None:
    with pytest.raises(InvalidInput, match=r"--only-bundles must hold hashes of 64 hexadecimal digits"):
        Trust.read(listed, None)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"--trust must name a file with hashes"):
        Trust.read(None, tmp_path / "nowhere")


def test_trusted_sources_and_local_ones_exclude_each_other() -> None:
    with pytest.raises(InvalidInput, match="Leave one out"):
        Joining(use_local=True, trust=Trust.read(OWN, None)).demand_possible("net")


def test_a_file_that_lay_under_the_hash_before_is_written_anew(tmp_path: Path) -> None:
    file = unpacked(study(problem={"path": "/elsewhere/net.py"}), tmp_path)
    file.write_text("import os")
    assert unpacked(study(problem={"path": "/elsewhere/net.py"}), tmp_path).read_text() == BUNDLE["net.py"]
