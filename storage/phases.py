"""When does a study get the tickets of its next phase? In the transaction that finishes the last one of a phase.

Otherwise every worker would find nothing left and leave. What comes next is decided by a function that the
caller brings: a pure function of what is stored, so that whoever finishes last decides the same.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.overview import TrialRow, list_trials
from optselect.storage.tickets import NewTicket, insert_tickets


@dataclass(frozen=True)
class Progress:
    """All that the next phase depends on."""

    budget: int  # search trials in all; 0 where it is still to be planned
    decisions: Sequence[Mapping[str, Any]]
    trials: Sequence[TrialRow]  # every ticket, in the order in which they were made


@dataclass(frozen=True)
class Step:
    """What to do now; without a ticket and a decision the study has come to its end."""

    tickets: Sequence[NewTicket] = ()
    decision: Mapping[str, Any] | None = None  # to be remembered, with its reasons
    budget: int | None = None  # where it was still to be planned
    and_then: bool = field(
        default=False
    )  # ask again at once: a decision without a ticket opens the next phase


PROGRESS = text("""
    SELECT budget, decisions FROM study WHERE id = :study
       AND NOT EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND state <> 'done')""")

DECISION_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('optselect-decision'), :study)")
DECISIONS = text("SELECT decisions FROM study WHERE id = :study")

REMEMBER = text("""
    UPDATE study SET decisions = decisions || CAST(:decisions AS jsonb), budget = coalesce(:budget, budget)
     WHERE id = :study""")


def plan_next(connection: Connection, study_id: int, decide: Callable[[Progress], Step]) -> None:
    """Make the tickets of the next phase where none is left; the caller holds the study's row.

    The row lock makes it race-free: of two workers that finish the last two tickets the second one plans,
    and whoever comes later finds tickets that are not done.
    """
    step = Step(and_then=True)
    while step.and_then:
        found = connection.execute(PROGRESS, {"study": study_id}).first()
        if found is None:
            return
        trials = sorted(list_trials(connection, study_id), key=lambda trial: trial.ord)
        step = decide(Progress(found.budget, found.decisions, trials))
        decisions = [] if step.decision is None else [step.decision]
        values = {"study": study_id, "decisions": json.dumps(decisions), "budget": step.budget}
        connection.execute(REMEMBER, values)
        insert_tickets(connection, study_id, step.tickets)


def read_decisions(engine: Engine, study_id: int) -> Sequence[Mapping[str, Any]]:
    """What was decided so far, in order."""
    with engine.begin() as connection:
        return list(connection.execute(DECISIONS, {"study": study_id}).scalar_one())


def decide_once(
    engine: Engine, study_id: int, phase: str, decide: Callable[[], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Give the study's decision of that name; the first process to ask makes it, and others wait for its answer.

    `decide` may take its time: only those who ask for a decision wait for the lock, which ends with its holder.
    """
    with engine.begin() as connection:
        connection.execute(DECISION_LOCK, {"study": study_id})
        known = connection.execute(DECISIONS, {"study": study_id}).scalar_one()
        for decision in known:
            if decision.get("phase") == phase:
                return dict(decision)
        made = {"phase": phase, **decide()}
        connection.execute(REMEMBER, {"study": study_id, "decisions": json.dumps([made]), "budget": None})
        return made
