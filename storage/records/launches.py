"""Who was asked to start workers of a study, under which name does the engine know them, how many are wanted?

The row says what is wanted, never what lives: that is told by leases.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

BEAT_SECONDS = 5.0
"""How often whoever supervises workers says so, and reads how many are wanted."""
SILENT_SECONDS = 60.0
"""A supervisor that said nothing for so long is gone."""


@dataclass(frozen=True)
class Launch:
    """Workers that were asked for together."""

    id: int
    executor: str  # local, slurm, kubernetes or ray
    external_id: str
    host: str
    workers: int
    settings: Mapping[str, Any]


BEGIN = text("""
    INSERT INTO launch(study_id, executor, external_id, host, workers, settings)
    VALUES (:study, :executor, :external_id, :host, :workers, CAST(:settings AS jsonb)) RETURNING id""")


def begin_launch(
    engine: Engine,
    study_id: int,
    *,
    executor: str,
    host: str,
    workers: int,
    settings: Mapping[str, Any],
    external_id: str | None = None,
) -> int:
    """Note a launch before its engine is asked; returns its number. Without an external id it counts for nothing yet."""
    values = {"study": study_id, "executor": executor, "external_id": external_id, "host": host}
    values |= {"workers": workers, "settings": json.dumps(settings)}
    with engine.begin() as connection:
        return int(connection.execute(BEGIN, values).scalar_one())


NAME = text("UPDATE launch SET external_id = :external_id WHERE id = :launch")


def name_launch(engine: Engine, launch: int, external_id: str) -> None:
    """Note under which name the engine has taken it."""
    with engine.begin() as connection:
        connection.execute(NAME, {"launch": launch, "external_id": external_id})


WANT = text("UPDATE launch SET workers = :workers WHERE id = :launch")


def want_workers(engine: Engine, launch: int, workers: int) -> None:
    """Note how many workers there are to be."""
    with engine.begin() as connection:
        connection.execute(WANT, {"launch": launch, "workers": workers})


BEAT = text("UPDATE launch SET seen_at = clock_timestamp() WHERE id = :launch RETURNING workers")


def beat(engine: Engine, launch: int) -> int:
    """Say that the supervisor lives; returns how many workers it is to have, 0 where the launch is gone."""
    with engine.begin() as connection:
        return int(connection.execute(BEAT, {"launch": launch}).scalar() or 0)


END = text("UPDATE launch SET ended_at = clock_timestamp() WHERE id = :launch AND ended_at IS NULL")


def end_launch(engine: Engine, launch: int) -> None:
    """Note that nobody runs for it any more."""
    with engine.begin() as connection:
        connection.execute(END, {"launch": launch})


# SLURM and Kubernetes know themselves what they run; a supervisor of ours is known by its beats. One of the future was
# written before the server's clock was set back, and by a living one there would be another by now.
LIVE = text("""
    SELECT id, executor, external_id, host, workers, settings FROM launch
     WHERE study_id = :study AND external_id IS NOT NULL AND ended_at IS NULL
       AND (executor <> 'local' OR abs(extract(epoch FROM clock_timestamp() - seen_at)) < :silent)
     ORDER BY id""")


def live_launches(engine: Engine, study_id: int) -> list[Launch]:
    """The launches of a study that may still run, oldest first."""
    with engine.begin() as connection:
        rows = connection.execute(LIVE, {"study": study_id, "silent": SILENT_SECONDS}).mappings().all()
    return [Launch(**row) for row in rows]


LAST = text("""
    SELECT id, executor, coalesce(external_id, '') AS external_id, host, workers, settings FROM launch
     WHERE study_id = :study AND (external_id IS NOT NULL OR NOT :taken)
       AND (CAST(:launch AS bigint) IS NULL OR id = :launch)
     ORDER BY id DESC LIMIT 1""")


def find_launch(engine: Engine, study_id: int, launch: int | None, *, taken: bool = True) -> Launch | None:
    """The launch of that number, or the last one, ended or not.

    Args:
        taken: only one that its engine has accepted and named.
    """
    values = {"study": study_id, "launch": launch, "taken": taken}
    with engine.begin() as connection:
        row = connection.execute(LAST, values).mappings().first()
    return None if row is None else Launch(**row)
