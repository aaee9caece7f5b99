"""A trial goes on from its newest whole checkpoint, wherever the bytes lie and whatever happened to them."""

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from optselect.storage.errors import InvalidAddress, LeaseLost
from optselect.storage.records import checkpoint_files, checkpoints, curves, tickets, unsent
from optselect.storage.records.checkpoints import MOST_BYTES_IN_TABLE, Checkpoint
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import Ticket, TrialEnding
from optselect.storage.records.unsent import Unsent
from tests.service.test_tickets import claim, epochs, finish, lost_claim

SMALL, LARGE = b"small state", b"x" * (MOST_BYTES_IN_TABLE + 1)


@pytest.fixture
def ticket(engine: Engine, study: StoredStudy) -> Ticket:
    return claim(engine, study)


def save(engine: Engine, ticket: Ticket, epoch: int, snapshot: bytes, folder: str = "nowhere") -> None:
    placed = checkpoints.place(Checkpoint(epoch, epoch / 2, snapshot), ticket.lease, folder)
    curves.write_epochs(engine, ticket.lease, epochs(epoch), checkpoint=placed)


def stored(engine: Engine, ticket: Ticket, folder: object = "nowhere") -> list[tuple[int, bytes]]:
    found = checkpoints.whole_checkpoints(engine, ticket.id, str(folder))
    return [(one.epoch, one.snapshot) for one in found]


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("snapshot", [SMALL, LARGE], ids=["in the table", "in files"])
@pytest.mark.parametrize("scheme", ["", "local://"])
def test_two_checkpoints_are_kept_and_none_after_the_trials_end(
    engine: Engine, ticket: Ticket, tmp_path: Path, snapshot: bytes, scheme: str
) -> None:
    folder = f"{scheme}{tmp_path}/study-1"
    for epoch in (1, 2, 3):
        save(engine, ticket, epoch, snapshot, folder)
    assert stored(engine, ticket, folder) == [(3, snapshot), (2, snapshot)]
    assert len(files(tmp_path)) == (2 if snapshot == LARGE else 0)
    finish(engine, ticket, TrialEnding("complete", 3, 0.5), folder)
    assert stored(engine, ticket, folder) == []
    assert list(tmp_path.iterdir()) == []


def test_a_holder_of_the_past_stores_no_checkpoint(engine: Engine, study: StoredStudy) -> None:
    old = lost_claim(engine, study)
    new = claim(engine, study)
    save(engine, new, 1, SMALL)
    with pytest.raises(LeaseLost):
        save(engine, old, 2, b"of the past")
    assert stored(engine, new) == [(1, SMALL)]


@pytest.mark.parametrize("snapshot", [SMALL, LARGE], ids=["in the table", "in files"])
def test_a_corrupt_checkpoint_falls_back_to_the_one_before_with_a_warning(
    engine: Engine, ticket: Ticket, tmp_path: Path, snapshot: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in (1, 2):
        save(engine, ticket, epoch, snapshot, str(tmp_path))
    with engine.begin() as connection:
        connection.execute(text("UPDATE checkpoint SET body = 'torn' WHERE epoch = 2 AND uri IS NULL"))
    for file in tmp_path.rglob("epoch-2-*"):
        file.write_bytes(snapshot[:100])
    assert stored(engine, ticket, tmp_path) == [(1, snapshot)]
    assert "the checkpoint of epoch 2 cannot be used" in caplog.text


def test_a_checkpoint_that_is_gone_falls_back_to_the_start_with_a_warning(
    engine: Engine, ticket: Ticket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(engine, ticket, 1, LARGE, str(tmp_path))
    for file in files(tmp_path):
        file.unlink()
    assert stored(engine, ticket, tmp_path) == []
    assert "No such file" in caplog.text


def test_a_full_disk_costs_a_checkpoint_and_a_warning_and_the_older_one_stays(
    engine: Engine,
    ticket: Ticket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    save(engine, ticket, 1, LARGE, str(tmp_path))
    monkeypatch.setattr(os, "fsync", full_disk)
    save(engine, ticket, 2, LARGE, str(tmp_path))
    assert [epoch for epoch, _ in stored(engine, ticket, tmp_path)] == [1]
    assert [row.epoch for row in curves.read_curve(engine, ticket.id)] == [1, 2]
    assert "no checkpoint at epoch 2, the one before stays" in caplog.text
    assert len(files(tmp_path)) == 1


def full_disk(_file: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_going_on_from_a_checkpoint_forgets_what_lies_behind_it(engine: Engine, ticket: Ticket) -> None:
    for epoch in (1, 2):
        save(engine, ticket, epoch, SMALL)
    tickets.restart_after(engine, ticket.lease, 1)
    assert [row.epoch for row in curves.read_curve(engine, ticket.id)] == [1]
    assert stored(engine, ticket) == [(1, SMALL)]


def test_a_place_for_checkpoints_that_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, word in (
        (str(tmp_path / "file" / "folder"), "folder that can be written"),
        ("s3://key:secret@bucket/folder", "no credentials"),
        ("nosuchscheme://bucket", "address that fsspec knows"),
    ):
        with pytest.raises(InvalidAddress, match=word):
            checkpoint_files.check_place(place)


# --- rows that another hand has written ---------------------------------------------------------------

OF_OURS = "epoch-1-0123456789ab.npz"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder with a file that is called as ours are, and one that is not."""
    folder = tmp_path / "victim" / "ticket-1"
    folder.mkdir(parents=True)
    (folder / OF_OURS).write_bytes(LARGE)
    (folder / "thesis.txt").write_text("mine")
    return folder


def rewrite(engine: Engine, epoch: int, uri: str) -> None:
    with engine.begin() as connection:
        statement = text("UPDATE checkpoint SET uri = :uri, body = NULL WHERE epoch = :epoch")
        connection.execute(statement, {"uri": uri, "epoch": epoch})


HOSTILE = (
    "{victim}/thesis.txt",
    "{victim}/{of_ours}",
    "file://{victim}/{of_ours}",
    "local://{victim}/{of_ours}",
    "simplecache::file://{victim}/{of_ours}",
    "{folder}/../../victim/ticket-1/{of_ours}",
    "{folder}-evil/ticket-1/{of_ours}",
    "{folder}/ticket-1/../../../victim/ticket-1/thesis.txt",
    "memory://bucket/{of_ours}",
    "",
    "/",
    "..",
)


@pytest.mark.parametrize("scheme", ["", "local://"])
def test_a_row_makes_nobody_read_or_remove_a_file_elsewhere(
    engine: Engine, ticket: Ticket, tmp_path: Path, victim: Path, scheme: str
) -> None:
    folder = f"{scheme}{tmp_path}/checkpoints/study-1"
    evil = tmp_path / "checkpoints" / "study-1-evil" / "ticket-1"
    shutil.copytree(victim, evil)
    for epoch, uri in enumerate(HOSTILE, 1):  # each drops the row but one before it
        save(engine, ticket, epoch, SMALL, folder)
        where = f"{tmp_path}/checkpoints/study-1"
        rewrite(engine, epoch, uri.format(victim=victim, folder=where, of_ours=OF_OURS))
        assert stored(engine, ticket, folder) == []
    save(engine, ticket, len(HOSTILE) + 1, LARGE, folder)
    finish(engine, ticket, TrialEnding("complete", 3, 0.5), folder)
    for untouched in (victim, evil):
        assert [file.name for file in files(untouched)] == [OF_OURS, "thesis.txt"]
    assert not (tmp_path / "checkpoints" / "study-1").exists(), "what is ours is gone all the same"


@pytest.mark.parametrize("level", ["study-1", "study-1/ticket-1"])
def test_a_link_that_leads_out_is_neither_written_nor_read_nor_emptied(
    engine: Engine, ticket: Ticket, tmp_path: Path, victim: Path, level: str
) -> None:
    folder = tmp_path / "checkpoints" / "study-1"
    link = tmp_path / "checkpoints" / level
    link.parent.mkdir(parents=True)
    link.symlink_to(victim.parent if level == "study-1" else victim)
    save(engine, ticket, 1, SMALL)
    rewrite(engine, 1, f"{folder}/ticket-1/{OF_OURS}")
    assert stored(engine, ticket, folder) == []
    save(engine, ticket, 2, LARGE, str(folder))
    finish(engine, ticket, TrialEnding("complete", 2, 0.5), str(folder))
    checkpoint_files.remove_ours(str(folder))
    assert [file.name for file in files(victim)] == [OF_OURS, "thesis.txt"]
    assert link.is_symlink()


def test_a_checkpoint_is_found_where_a_home_was_moved_or_is_reached_by_a_link(
    engine: Engine, ticket: Ticket, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "old", target_is_directory=True)
    save(engine, ticket, 1, LARGE, str(tmp_path / "link" / "study-1"))
    assert stored(engine, ticket, tmp_path / "old" / "study-1") == [(1, LARGE)]
    (tmp_path / "old").rename(tmp_path / "new")
    assert stored(engine, ticket, tmp_path / "new" / "study-1") == [(1, LARGE)]
    finish(engine, ticket, TrialEnding("complete", 1, 0.5), str(tmp_path / "new" / "study-1"))
    assert files(tmp_path / "new") == []


# --- what a machine kept while the database was away --------------------------------------------------


def kept(*stamps: int, first: int = 1) -> Unsent:
    rows = [EpochRow(epoch, stamp, {"loss": float("nan")}) for epoch, stamp in enumerate(stamps, first)]
    return Unsent(Checkpoint(rows[-1].epoch, 2.5, SMALL), rows)


def test_what_a_machine_kept_comes_back_whole(
    engine: Engine, study: StoredStudy, ticket: Ticket, tmp_path: Path
) -> None:
    folder = unsent.folder_of(study, tmp_path)
    assert unsent.take(engine, folder, ticket.id) is None
    unsent.keep(folder, ticket.id, kept(10, 20))
    found = unsent.take(engine, folder, ticket.id)
    assert found is not None
    assert found.checkpoint == Checkpoint(2, 2.5, SMALL)
    assert [(row.epoch, row.ts_ms, str(row.metrics["loss"])) for row in found.rows] == [
        (1, 10, "nan"),
        (2, 20, "nan"),
    ]


@pytest.mark.parametrize(
    "damage", ["another worker went on", "the file was torn"], ids=lambda words: words.replace(" ", "-")
)
def test_what_a_machine_kept_is_dropped_when_it_is_of_no_use_any_more(
    engine: Engine, study: StoredStudy, ticket: Ticket, tmp_path: Path, damage: str
) -> None:
    folder = unsent.folder_of(study, tmp_path)
    file = unsent.keep(folder, ticket.id, kept(10, 20))
    if damage == "the file was torn":
        file.write_bytes(file.read_bytes()[:-50])
    else:
        curves.write_epochs(engine, ticket.lease, [EpochRow(1, 11, {"loss": 0.5})])
    assert unsent.take(engine, folder, ticket.id) is None
    assert not file.exists()


def test_hash_and_size_of_a_checkpoint_are_stored_with_it(engine: Engine, ticket: Ticket) -> None:
    save(engine, ticket, 1, SMALL)
    with engine.begin() as connection:
        row = connection.execute(text("SELECT bytes, sha256, uri, seconds FROM checkpoint")).one()
    assert tuple(row) == (len(SMALL), hashlib.sha256(SMALL).hexdigest(), None, 0.5)
