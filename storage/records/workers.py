"""Which processes serve a study, and which of them are known to be dead?"""

import json
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

from optselect.storage.records.deaths import DeadWorker, Death, release_dead


@dataclass(frozen=True)
class Place:
    """Where a process lives, exact enough that a pid means something."""

    host: str
    boot_id: str
    """Of this boot and this pid namespace: after a restart or in another container pids are others."""


def this_place() -> Place:
    """The place of the calling process."""
    return Place(socket.gethostname(), f"{boot_of_machine()}/{pid_namespace()}")


def boot_of_machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # no Linux
        return str(int(psutil.boot_time()))


def pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


REGISTER = text("""
    INSERT INTO worker(id, study_id, host, pid, boot_id, device, slot, state, started_at, heartbeat_at,
                       usage)
    VALUES (:id, :study, :host, :pid, :boot_id, :device, :slot, 'working', clock_timestamp(), clock_timestamp(),
            CAST(:usage AS jsonb))
    ON CONFLICT (id) DO NOTHING""")


def register_worker(
    engine: Engine,
    study_id: int,
    worker_id: uuid.UUID,
    *,
    slot: int | None,
    device: str,
    usage: Mapping[str, float] | None = None,
) -> None:
    """Make this process known to the database under the id that its tickets will bear."""
    place = this_place()
    values = {"id": worker_id, "study": study_id, "host": place.host, "pid": os.getpid()}
    values |= {"boot_id": place.boot_id, "device": device, "slot": slot}
    values["usage"] = json.dumps(usage or {})
    with engine.begin() as connection:
        connection.execute(REGISTER, values)


LEAVE = text("UPDATE worker SET state = 'gone', heartbeat_at = clock_timestamp() WHERE id = :id")


def sign_off(engine: Engine, worker_id: uuid.UUID) -> None:
    """Say that the worker left in good order."""
    with engine.begin() as connection:
        connection.execute(LEAVE, {"id": worker_id})


NEIGHBOURS = text("""
    SELECT id, pid FROM worker
     WHERE host = :host AND boot_id = :boot_id AND state <> 'gone' AND (study_id = :study)""")


def release_dead_neighbours(
    engine: Engine, study_id: int, deaths: Mapping[int, Death] | None = None
) -> dict[int, DeadWorker]:
    """Free the tickets of this machine's workers whose process is gone; the rest wait for their leases.

    `deaths` says how processes ended, by pid, where their parent saw it. Returns what each death came to, by pid.

    Only processes of this boot and pid namespace are judged. A process that bears a dead worker's pid but
    is none of ours counts as dead; a mistake would cost one attempt, never a result: the fence holds.
    """
    place, dead = this_place(), dict[int, DeadWorker]()
    with engine.begin() as connection:
        rows = connection.execute(NEIGHBOURS, {**vars(place), "study": study_id}).all()
    for worker_id, pid in rows:
        if not is_worker(pid):
            death = (deaths or {}).get(pid, Death(pid, "its process is gone"))
            dead[pid] = release_dead(engine, study_id, worker_id, death)
            sign_off(engine, worker_id)
    return dead


def is_worker(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "optselect" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another account's process: no proof of death
        return True
