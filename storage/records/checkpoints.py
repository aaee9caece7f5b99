"""From which state does another worker go on with a trial whose worker died?

A checkpoint is the bytes of a snapshot under their hash, written in the same transaction as the epochs that lead
to it. Two are kept: should the newest be damaged, the one before serves.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.records.checkpoint_files import (
    checkpoint_named,
    read_file,
    remove_quietly,
    ticket_folder,
    write_file,
)
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import Lease, fence_values
from optselect.storage.server.database import again, outage_seconds

log = logging.getLogger(__name__)

MOST_BYTES_IN_TABLE = 4_000_000
"""Larger ones become files: 50 MB took 2 s to write into the table, a fifth of that as a file."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole state of a training."""

    epoch: int  # trained epochs
    seconds: float  # spent on them, over all attempts
    snapshot: bytes


@dataclass(frozen=True)
class PlacedCheckpoint:
    """A checkpoint ready for its row: its bytes lie in a file already, or will lie in the row."""

    epoch: int
    seconds: float
    size: int
    sha256: str
    folder: str  # the study's, where outdated ones lie, too
    uri: str | None = None
    body: bytes | None = None


def folder_for(study: StoredStudy, home: Path) -> str:
    """Where large checkpoints of a study go: its own place, else this machine's home."""
    return f"{(study.checkpoints or str(home / 'checkpoints')).rstrip('/')}/{study.name}-{study.id}"


def place(checkpoint: Checkpoint, lease: Lease, folder: str) -> PlacedCheckpoint | None:
    """Write a large checkpoint to its file; None, with a warning, where the disk takes it not: the older one stays."""
    body = checkpoint.snapshot
    facts = (checkpoint.epoch, checkpoint.seconds, len(body), hashlib.sha256(body).hexdigest(), folder)
    if len(body) <= MOST_BYTES_IN_TABLE:
        return PlacedCheckpoint(*facts, body=body)
    name = f"{ticket_folder(lease.ticket_id)}/epoch-{checkpoint.epoch}-{lease.token.hex[:12]}.npz"
    try:
        return PlacedCheckpoint(*facts, uri=write_file(folder, name, body))
    except OSError as error:
        log.warning("no checkpoint at epoch %d, the one before stays: %s", checkpoint.epoch, error)
        return None


# The fence is the caller's statement before this one, in the same transaction.
PUT = text("""
    WITH new AS (
      INSERT INTO checkpoint(ticket_id, epoch, seconds, bytes, sha256, uri, body)
      VALUES (:ticket, :epoch, :seconds, :size, :sha256, :uri, :body)
      ON CONFLICT (ticket_id, epoch) DO UPDATE SET seconds = excluded.seconds, bytes = excluded.bytes,
             sha256 = excluded.sha256, uri = excluded.uri, body = excluded.body, created_at = clock_timestamp()),
    old AS (
      DELETE FROM checkpoint WHERE ticket_id = :ticket AND epoch <> :epoch
         AND epoch <> (SELECT max(epoch) FROM checkpoint WHERE ticket_id = :ticket AND epoch < :epoch)
      RETURNING uri)
    SELECT uri FROM old WHERE uri IS NOT NULL""")


def put(connection: Connection, lease: Lease, checkpoint: PlacedCheckpoint) -> list[str]:
    """Store a checkpoint's row and drop all but the one before; returns the addresses that may go after the commit."""
    values = fence_values(lease) | vars(checkpoint)
    return list(connection.execute(PUT, values).scalars())


def remove_files(folder: str, ticket_id: int, addresses: Sequence[str]) -> None:
    """Remove files of a ticket whose rows are gone."""
    for address in addresses:
        with contextlib.suppress(OSError):  # a name that was never ours
            remove_quietly(folder, checkpoint_named(address, ticket_id))


STORED = text("""
    SELECT epoch, seconds, bytes, sha256, uri, body FROM checkpoint
     WHERE ticket_id = :ticket AND epoch < :before ORDER BY epoch DESC LIMIT 1""")


def whole_checkpoints(engine: Engine, ticket_id: int, folder: str) -> Iterator[Checkpoint]:
    """The checkpoints of a ticket that can be read and have their hash, newest first; a warning for each other."""
    before = 2**31 - 1
    while True:
        row = again(
            partial(stored_before, engine, ticket_id, before), patience_seconds=outage_seconds(os.environ)
        )
        if row is None:
            return
        before = row.epoch
        try:
            yield Checkpoint(row.epoch, row.seconds, whole_body(row, ticket_id, folder))
        except OSError as error:
            log.warning("the checkpoint of epoch %d cannot be used: %s", row.epoch, error)


NEWEST = text("""
    SELECT epoch, bytes, uri FROM checkpoint WHERE ticket_id = :ticket ORDER BY epoch DESC LIMIT 1""")


@dataclass(frozen=True)
class Kept:
    """The newest checkpoint of a ticket, without its bytes."""

    epoch: int
    bytes: int
    uri: str | None  # None: in the table


def newest_kept(engine: Engine, ticket_id: int) -> Kept | None:
    """From where a trial would go on; None where it would begin anew, or has ended."""
    with engine.begin() as connection:
        row = connection.execute(NEWEST, {"ticket": ticket_id}).mappings().first()
    return None if row is None else Kept(**row)


def stored_before(engine: Engine, ticket_id: int, epoch: int) -> Any:
    """The row of the newest checkpoint below an epoch."""
    with engine.begin() as connection:
        return connection.execute(STORED, {"ticket": ticket_id, "before": epoch}).first()


def whole_body(row: Any, ticket_id: int, folder: str) -> bytes:
    """A checkpoint's bytes; raises OSError where they are not what was stored."""
    body = bytes(row.body) if row.uri is None else read_file(folder, checkpoint_named(row.uri, ticket_id))
    if hashlib.sha256(body).hexdigest() != row.sha256:
        where = "its row" if row.uri is None else row.uri
        raise OSError(f"the {row.bytes} bytes in {where} do not have their hash any more")
    return body
