"""What does one who watches see of the leases that others hold, and how are they ended?

A lease is a promise that its row changes: each renewal and each batch of epochs writes `lease_until` anew. Nobody compares
that with a clock, for the server's may be set and those of machines differ. It is a mark and no more: whoever has seen the
same mark for as long as the holder has promised, by the clock that no one can set, ends the lease (search/processes/observing.py).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

SILENT = "its worker fell silent (killed, out of memory, or its machine lost)"


@dataclass(frozen=True)
class HeldLease:
    """A lease as its row shows it now."""

    ticket_id: int
    token: uuid.UUID
    mark: float  # anything but the same as before means life
    promised: float | None = field(compare=False)
    """Seconds from mark to mark at most, as far as its holder has said."""
    signed_off: bool = field(default=False, compare=False)  # its holder left and gave nothing back


# Holder and ticket are written by one statement: what lies between their times is the length of the holder's own lease.
HELD = text("""
    SELECT t.id AS ticket_id, t.token, extract(epoch FROM t.lease_until)::float8 AS mark,
           extract(epoch FROM t.lease_until - w.heartbeat_at)::float8 AS promised,
           coalesce(w.state = 'gone', false) AS signed_off
      FROM ticket t LEFT JOIN worker w ON w.id = t.worker_id
     WHERE t.state = 'leased' AND t.lease_until > '-infinity'
       AND (CAST(:study AS bigint) IS NULL OR t.study_id = :study)""")


def held_leases(engine: Engine, study_id: int | None) -> list[HeldLease]:
    """The leases of a study that somebody holds, or of every study."""
    with engine.begin() as connection:
        rows = connection.execute(HELD, {"study": study_id}).mappings()
        return [HeldLease(**row) for row in rows]


# A row that is locked is being written: by its holder, or by another observer.
SAME = """
    WITH same AS (
      SELECT ticket.id FROM ticket
        JOIN unnest(CAST(:ids AS bigint[]), CAST(:tokens AS uuid[]), CAST(:marks AS float8[])) AS seen(id, token, mark)
          ON ticket.id = seen.id AND ticket.token = seen.token
       WHERE ticket.state = 'leased' AND extract(epoch FROM ticket.lease_until)::float8 = seen.mark
         FOR UPDATE OF ticket SKIP LOCKED)"""
TOUCH = text(
    f"{SAME} UPDATE ticket SET cause = cause FROM same WHERE ticket.id = same.id RETURNING ticket.id"
)
END = text(f"""{SAME}
    UPDATE ticket SET lease_until = '-infinity', cause = :cause FROM same WHERE ticket.id = same.id
    RETURNING ticket.id""")


def touch_leases(engine: Engine, leases: Sequence[HeldLease]) -> set[int]:
    """Write to the rows of leases and change nothing; returns the tickets where that went through.

    While the database takes no writes, a holder's silence says nothing.
    """
    return written(engine, TOUCH, leases)


def end_leases(engine: Engine, leases: Sequence[HeldLease]) -> set[int]:
    """Let anybody claim what is still as it was seen; returns those tickets. Each attempt counts as lost."""
    return written(engine, END, leases, cause=SILENT)


def written(engine: Engine, statement: object, leases: Sequence[HeldLease], **values: str) -> set[int]:
    if not leases:
        return set()
    seen = {
        "ids": [lease.ticket_id for lease in leases],
        "tokens": [str(lease.token) for lease in leases],
        "marks": [lease.mark for lease in leases],
    }
    with engine.begin() as connection:
        return set(connection.execute(statement, seen | values).scalars())  # type: ignore[call-overload]
