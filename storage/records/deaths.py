"""What follows from the death of a training process? An attempt of its trial, and at last the end of an optimizer.

A process whose own training has ended it (a signal of its own, `os._exit`, too much memory) counts against the
optimizer that it trained. One whose deaths are too many is set aside: its free tickets are withdrawn, its budget goes to
the others, and no phase plans it any more. Everything is in the study's decisions, so that all machines count together.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.records.tickets import LOCK_STUDY

MOST_DEATHS = 3
"""An optimizer whose trials have ended their processes so often is set aside."""
DEATH, SET_ASIDE = "death", "set aside"
"""The phases of decisions that are made here."""


@dataclass(frozen=True)
class Death:
    """How a process ended that was not told to, as far as its parent knows."""

    pid: int
    cause: str
    is_own: bool = False
    """Whether what it trained did it: no kill by another hand, no want of memory that others have made."""


@dataclass(frozen=True)
class DeadWorker:
    """What the life of a dead worker came to."""

    finished: int = 0
    """Trials that it had ended."""
    charged: int = 0
    """Trials that it held: each is tried again, but not for ever."""
    set_aside: Mapping[str, str] | None = None
    """Optimizers that this death has ended, each with the reason."""


# --- what is decided, as pure functions ---------------------------------------------------------------


def reason_to_set_aside(deaths: Sequence[Mapping[str, Any]], has_results: bool) -> str:
    """Why an optimizer is given up after these deaths of its own; empty where it goes on.

    One that has trained to an end elsewhere dies of some settings only: then three trials must have died, not one of
    them three times, which fails by itself.

    >>> deaths = [{"ticket": 7, "cause": "SIGSEGV"}] * 3
    >>> reason_to_set_aside(deaths, has_results=False)
    'set aside, for its trials ended their process 3 times; the last time: SIGSEGV'
    >>> reason_to_set_aside(deaths, has_results=True), reason_to_set_aside(deaths[:2], has_results=False)
    ('', '')
    """
    trials = {death["ticket"] for death in deaths}
    if len(deaths) < MOST_DEATHS or (has_results and len(trials) < MOST_DEATHS):
        return ""
    return f"set aside, for its trials ended their process {len(deaths)} times; the last time: {deaths[-1]['cause']}"


def deaths_of(decisions: Sequence[Mapping[str, Any]], optimizer: str) -> list[Mapping[str, Any]]:
    """The deaths that an optimizer has caused."""
    return [made for made in decisions if made.get("phase") == DEATH and made.get("optimizer") == optimizer]


def set_aside(decisions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The optimizers that were set aside, each with the reason."""
    return {
        name: reason
        for made in decisions
        if made.get("phase") == SET_ASIDE
        for name, reason in made.get("dropped", {}).items()
    }


# --- what is written ----------------------------------------------------------------------------------

ENDED_BY = text("SELECT count(*) FROM ticket WHERE worker_id = :worker AND state = 'done'")

EXPIRE = text("""
    UPDATE ticket SET lease_until = '-infinity', cause = :cause
     WHERE worker_id = :worker AND state = 'leased' RETURNING id, optimizer""")

DECISIONS = text("SELECT decisions FROM study WHERE id = :study")

NOTE = text("UPDATE study SET decisions = decisions || CAST(:made AS jsonb) WHERE id = :study")

HAS_RESULTS = text("""
    SELECT EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND optimizer = :optimizer AND state = 'done'
                      AND outcome <> 'failed')""")

# The free ones only: the dead worker's own ticket is claimed once more, and whoever gives it up plans what comes then.
WITHDRAW = text("DELETE FROM ticket WHERE study_id = :study AND optimizer = :optimizer AND state = 'free'")

TRY_NO_MORE = text("UPDATE ticket SET max_attempts = least(max_attempts, attempt) WHERE id = :ticket")


def release_dead(engine: Engine, study_id: int, worker_id: uuid.UUID, death: Death) -> DeadWorker:
    """Free what a dead worker held and count its death, once: whoever comes later finds nothing held."""
    with engine.begin() as connection:
        finished = int(connection.execute(ENDED_BY, {"worker": worker_id}).scalar_one())
        held = connection.execute(EXPIRE, {"worker": worker_id, "cause": death.cause}).all()
        found: dict[str, str] = {}
        if held and death.is_own:
            connection.execute(LOCK_STUDY, {"study": study_id})
            for ticket, optimizer in held:
                found |= blame(connection, study_id, ticket, optimizer, death.cause)
    return DeadWorker(finished, len(held), found)


def blame(
    connection: Connection, study_id: int, ticket: int, optimizer: str, cause: str
) -> Mapping[str, str]:
    """Count a death against an optimizer; returns it with the reason where it is set aside by that.

    The caller holds the study's row: of two deaths at once the second must see the first.
    """
    place = {"study": study_id, "optimizer": optimizer}
    decisions = connection.execute(DECISIONS, place).scalar_one()
    was_set_aside, reason = optimizer in set_aside(decisions), ""
    if not was_set_aside:
        own = {"phase": DEATH, "optimizer": optimizer, "ticket": ticket, "cause": cause}
        has_results = bool(connection.execute(HAS_RESULTS, place).scalar_one())
        reason = reason_to_set_aside([*deaths_of(decisions, optimizer), own], has_results)
        made = [own, *([{"phase": SET_ASIDE, "dropped": {optimizer: reason}}] if reason else [])]
        connection.execute(NOTE, {"study": study_id, "made": json.dumps(made)})
    if was_set_aside or reason:
        connection.execute(WITHDRAW, place)
        connection.execute(TRY_NO_MORE, {"ticket": ticket})
    return {optimizer: reason} if reason else {}
