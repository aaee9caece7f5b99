"""Where do a trial's epochs go? Into epoch_log, the truth for every curve; MLflow is a copy (tracking/outbox.py).

Epochs come in batches and are written by one statement together with the lease, so that training pays one
round trip about once a second.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text

from optselect.storage.records import checkpoints
from optselect.storage.records.checkpoints import PlacedCheckpoint
from optselect.storage.records.tickets import (
    LEASE_SECONDS,
    SEARCH_PHASES,
    Lease,
    Orders,
    demand_row,
    fence_values,
)
from optselect.storage.server.jsonb import numbers, storable


@dataclass(frozen=True)
class EpochRow:
    """One epoch as it is stored."""

    epoch: int  # from 1
    ts_ms: int  # milliseconds since 1970, stamped once at the end of the epoch: MLflow's key contains it
    metrics: Mapping[str, float]
    system: Mapping[str, float] | None = None
    """How busy the machine was, where the study asks for it: no part of the curve."""


# The insert hangs on the fence, so a stale worker overwrites nothing.
WRITE_EPOCHS = text("""
    WITH fence AS (
      UPDATE ticket SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds),
             epochs = greatest(epochs, :last)
       WHERE id = :ticket AND token = :token AND state = 'leased' RETURNING id, study_id, worker_id),
    log AS (
      INSERT INTO epoch_log(ticket_id, epoch, ts_ms, metrics, system)
      SELECT fence.id, r.epoch, r.ts_ms, r.metrics, r.system
        FROM fence, jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(epoch int, ts_ms bigint, metrics jsonb, system jsonb)
      ON CONFLICT (ticket_id, epoch)
      DO UPDATE SET ts_ms = excluded.ts_ms, metrics = excluded.metrics, system = excluded.system),
    beat AS (
      UPDATE worker SET heartbeat_at = clock_timestamp() FROM fence WHERE worker.id = fence.worker_id)
    SELECT study.state, coalesce((SELECT stop_requested FROM worker WHERE id = fence.worker_id), false)
      FROM fence JOIN study ON study.id = fence.study_id""")


def write_epochs(
    engine: Engine,
    lease: Lease,
    epochs: Sequence[EpochRow],
    lease_seconds: float = LEASE_SECONDS,
    checkpoint: PlacedCheckpoint | None = None,
) -> Orders:
    """Store a batch of epochs, and the checkpoint at its end if there is one, and renew the lease.

    Both or neither are stored: a checkpoint always has its curve. The answer says what the study wants.
    Raises LeaseLost.
    """
    rows = [{**vars(e), "metrics": storable(e.metrics)} for e in epochs]
    values = fence_values(lease) | {"rows": json.dumps(rows), "lease_seconds": lease_seconds}
    values["last"] = max((e.epoch for e in epochs), default=0)
    with engine.begin() as connection:
        state, stop = demand_row(connection.execute(WRITE_EPOCHS, values).first(), lease)
        outdated = [] if checkpoint is None else checkpoints.put(connection, lease, checkpoint)
    if checkpoint is not None:
        checkpoints.remove_files(checkpoint.folder, lease.ticket_id, outdated)
    return Orders(state, stop)


READ_CURVE = text("SELECT epoch, ts_ms, metrics FROM epoch_log WHERE ticket_id = :ticket ORDER BY epoch")


def read_curve(engine: Engine, ticket_id: int) -> list[EpochRow]:
    """All stored epochs of a ticket, in order."""
    with engine.begin() as connection:
        rows = connection.execute(READ_CURVE, {"ticket": ticket_id}).all()
    return [EpochRow(epoch, ts_ms, numbers(metrics)) for epoch, ts_ms, metrics in rows]


READ_CURVES = text("""
    SELECT e.ticket_id, e.epoch, e.ts_ms, e.metrics FROM epoch_log e JOIN ticket t ON t.id = e.ticket_id
     WHERE t.study_id = :study ORDER BY e.ticket_id, e.epoch""")


def read_curves(engine: Engine, study_id: int) -> dict[int, list[EpochRow]]:
    """All stored epochs of a study, by ticket."""
    with engine.begin() as connection:
        rows = connection.execute(READ_CURVES, {"study": study_id}).all()
    found: dict[int, list[EpochRow]] = {}
    for ticket, epoch, ts_ms, metrics in rows:
        found.setdefault(ticket, []).append(EpochRow(epoch, ts_ms, numbers(metrics)))
    return found


METRIC = text("""
    SELECT e.ticket_id, e.epoch, e.metrics -> :metric AS value FROM epoch_log e JOIN ticket t ON t.id = e.ticket_id
     WHERE t.study_id = :study AND e.metrics ? :metric ORDER BY e.ticket_id, e.epoch""")


def read_metric(engine: Engine, study_id: int, metric: str) -> dict[int, dict[int, float]]:
    """One metric of a whole study, by ticket and epoch."""
    with engine.begin() as connection:
        rows = connection.execute(METRIC, {"study": study_id, "metric": metric}).all()
    found: dict[int, dict[int, float]] = {}
    for ticket, epoch, value in rows:
        found.setdefault(ticket, {})[epoch] = numbers({"value": value})["value"]
    return found


MOST_COMPARED = 1000
"""Other trials that a trial is compared with, the newest ones: what it costs must not grow with the study."""

# The value is looked up for each ticket: a join may read the epochs of all studies.
RANK = text("""
    WITH newest AS (
      SELECT id FROM ticket
       WHERE study_id = :study AND optimizer = :optimizer AND phase = ANY(:phases) AND epochs >= :epoch
         AND id <> :ticket
       ORDER BY ord DESC LIMIT :most),
    there AS (
      SELECT :sign * (SELECT (metrics ->> :metric)::float8 FROM epoch_log
                       WHERE ticket_id = newest.id AND epoch = :epoch) AS cost FROM newest)
    SELECT count(*) FILTER (WHERE cost < :cost) AS better, count(*) AS others FROM there WHERE cost <> 'NaN'""")


@dataclass(frozen=True)
class Rank:
    """Where a trial stands among those that had a value at an epoch."""

    better: int
    others: int


def rank_at(
    engine: Engine,
    study_id: int,
    ticket_id: int,
    optimizer: str,
    epoch: int,
    metric: str,
    cost: float,
    sign: float,
) -> Rank:
    """Compare a cost, which is a metric times a sign, with what other search trials of an optimizer had at an epoch."""
    values = {
        "study": study_id,
        "ticket": ticket_id,
        "optimizer": optimizer,
        "epoch": epoch,
        "metric": metric,
    }
    values |= {"cost": cost, "sign": sign, "phases": list(SEARCH_PHASES), "most": MOST_COMPARED}
    with engine.begin() as connection:
        return Rank(*connection.execute(RANK, values).one())
