"""Which places a row of the database may name: those of its own study, which the machine derives itself."""

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optselect.storage.errors import InvalidRow
from optselect.storage.records import checkpoint_files
from optselect.storage.records.studies import StoredStudy

OF_OURS = "epoch-1-0123456789ab.npz"


@pytest.fixture
def study() -> StoredStudy:
    unknown = {field.name: None for field in dataclasses.fields(StoredStudy)}
    return StoredStudy(**{**unknown, "id": 1, "name": "net", "created_at": datetime.now(UTC)})  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["", "local://", "memory://"])
def test_of_a_deleted_study_only_what_was_written_goes(tmp_path: Path, scheme: str) -> None:
    folder = f"{scheme}{tmp_path}/study-1"
    foreign = ("ticket-1/thesis.txt", "notes/ticket-1.keras", "models/epoch-1-0123456789ab.npz")
    own = (f"ticket-1/{OF_OURS}", "ticket-2/epoch-2-0123456789ab.npz", "models/ticket-3.keras")
    for name in (*foreign, *own):
        checkpoint_files.write_file(folder, name, name.encode())
    checkpoint_files.remove_ours(folder)
    for name in foreign:
        assert checkpoint_files.read_file(folder, name) == name.encode()
        checkpoint_files.remove_quietly(folder, name)
    for name in own:
        with pytest.raises(OSError, match=re.escape(name)):
            checkpoint_files.read_file(folder, name)


@pytest.mark.parametrize(
    "place", ["checkpoints", "../x", "/a/../b", "s3://b/../c", "simplecache::file:///a", ""]
)
def test_a_row_that_names_an_impossible_place_is_no_study(study: StoredStudy, place: str) -> None:
    with pytest.raises(InvalidRow, match="must be a whole path or one address"):
        dataclasses.replace(study, checkpoints=place)


@pytest.mark.parametrize("name", ["../../victim", "a/b", "..", "", "-x", "--storage=evil", "a\nb", "a\0b"])
def test_a_row_whose_name_would_lead_elsewhere_is_no_study(study: StoredStudy, name: str) -> None:
    with pytest.raises(InvalidRow, match="The name of a stored study must begin with a letter"):
        dataclasses.replace(study, name=name)
