"""When does a study get the tickets of its next phase? In the transaction that finishes the last one of a phase.

Otherwise every worker would find nothing left and leave. What comes next is decided by a function that the
caller brings: a pure function of what is stored, so that whoever finishes last decides the same.

A search of more than a slice gets the next slice while the last tickets of the one before are trained: a transaction
stays short whatever the budget is, and nobody waits. What is to come is counted, not remembered, so that it is no matter
who goes on planning after a crash.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from optselect.storage.records.overview import TrialRow, list_trials
from optselect.storage.records.tickets import SEARCH_PHASES, NewTicket, insert_tickets

SLICE = 1000
"""Tickets of a search that one transaction makes at most."""
FEW_FREE = 250
"""As soon as fewer wait for a worker, the next slice is made: so many workers never wait for one."""
SLICED: Mapping[str, Any] = {"phase": "slices"}
"""The decision that a study's search is made in slices: only such a study is asked for more of it while it has tickets."""


@dataclass(frozen=True)
class Progress:
    """All that the next phase depends on."""

    budget: int  # search trials in all; 0 where it is still to be planned
    decisions: Sequence[Mapping[str, Any]]
    trials: Sequence[TrialRow]  # every ticket, in the order in which they were made


@dataclass(frozen=True)
class Begun:
    """All that the next slice of a search depends on: no trial of it, for there may be a million."""

    budget: int
    decisions: Sequence[Mapping[str, Any]]
    searched: Mapping[str, int]  # tickets of the search that are made, by optimizer

    @property
    def missing(self) -> int:
        """Search tickets that are still to be made."""
        return max(0, self.budget - sum(self.searched.values()))


@dataclass(frozen=True)
class Step:
    """What to do now; without a ticket and a decision the study has come to its end."""

    tickets: Sequence[NewTicket] = ()
    decision: Mapping[str, Any] | None = None  # to be remembered, with its reasons
    budget: int | None = None  # where it was still to be planned
    and_then: bool = False  # ask again at once: a decision without a ticket opens the next phase


# In the order of CASE: what costs least comes first, and a study of one slice is asked nothing further.
PROGRESS = text("""
    SELECT budget, decisions, is_over
      FROM study, LATERAL (SELECT NOT EXISTS (SELECT 1 FROM ticket WHERE study_id = :study AND state <> 'done')) AS now(is_over)
     WHERE id = :study AND CASE
       WHEN is_over THEN true
       WHEN NOT decisions @> CAST(:sliced AS jsonb) THEN false
       WHEN (SELECT phase FROM ticket WHERE study_id = :study ORDER BY ord DESC LIMIT 1) <> ALL(:phases) THEN false
       ELSE :few > (SELECT count(*) FROM (SELECT 1 FROM ticket WHERE study_id = :study AND state = 'free' LIMIT :few) AS free)
       END""")

SEARCHED = text("""
    SELECT optimizer, count(*) FROM ticket WHERE study_id = :study AND phase = ANY(:phases) GROUP BY optimizer""")

DECISION_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('optselect-decision'), :study)")
DECISIONS = text("SELECT decisions FROM study WHERE id = :study")

REMEMBER = text("""
    UPDATE study SET decisions = decisions || CAST(:decisions AS jsonb), budget = coalesce(:budget, budget)
     WHERE id = :study""")


def make_no_more(_begun: Begun) -> Sequence[NewTicket]:
    """For a study whose steps are made at once."""
    return ()


def plan_next(
    connection: Connection,
    study_id: int,
    decide: Callable[[Progress], Step],
    go_on: Callable[[Begun], Sequence[NewTicket]] = make_no_more,
) -> None:
    """Make the tickets of the next phase where none is left; the caller holds the study's row.

    The row lock makes it race-free: of two workers that finish the last two tickets the second one plans,
    and whoever comes later finds tickets that are not done.

    Args:
        decide: what the next phase is.
        go_on: the next slice of the search that is under way, where few of the last one are left.
    """
    step = Step(and_then=True)
    asked = {
        "study": study_id,
        "sliced": json.dumps([SLICED]),
        "phases": list(SEARCH_PHASES),
        "few": FEW_FREE,
    }
    while step.and_then:
        found = connection.execute(PROGRESS, asked).first()
        if found is None:
            return
        if not found.is_over:
            searched = connection.execute(SEARCHED, asked).all()
            begun = Begun(found.budget, found.decisions, {optimizer: count for optimizer, count in searched})
            insert_tickets(connection, study_id, go_on(begun))
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
