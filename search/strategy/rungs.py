"""At which epochs may a search trial be cut, and is it among those that go on?"""

from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.planning import ANY
from optselect.storage.records.tickets import SEARCH_PHASES, Ticket

ETA = 3
"""Of three trials that meet at a rung, one goes on."""
FEWEST_EPOCHS = 9
"""A shorter training is not cut: its first rung would be one epoch, which says little about the last."""

FEWEST_TRIALS_TO_CUT = 25
"""Trials of each optimizer below which none is cut: with twelve, one training in three was saved and a wrong winner named
two or three times as often (docs/verdict-measured.md)."""


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs at which a trial may be cut; never the last one, where it is finished.

    >>> rungs(25), rungs(27), rungs(8)
    ((2, 6, 18), (3, 9), ())
    """
    if epochs < FEWEST_EPOCHS:
        return ()
    found, rung = [], max(1, epochs // 9)
    while rung < epochs:
        found.append(rung)
        rung *= ETA
    return tuple(found)


def rungs_of(spec: StudySpec, ticket: Ticket, budget: int) -> tuple[int, ...]:
    """Where a trial may be cut: an evaluation never is, nor where each optimizer has a few trials only."""
    few = budget // len(spec.optimizers) < FEWEST_TRIALS_TO_CUT or ticket.phase not in SEARCH_PHASES
    return () if few or compares_badly(spec, ticket.optimizer) else rungs(spec.epochs)


def compares_badly(spec: StudySpec, optimizer: str) -> bool:
    """Whether values in the middle of a training say little: before a switch, on different schedules."""
    if optimizer == ANY:
        return any(compares_badly(spec, name) for name in spec.optimizers)
    is_known = optimizer in spec.space
    return is_known and (spec.switch_of(optimizer) is not None or spec.is_scheduled(optimizer))


def promoted(better: int, others: int) -> bool:
    """Tell whether a trial is among the best third at a rung, where so many others were seen, so many of them better.

    Below three it must be the best one, so the first always goes on.

    >>> promoted(0, 0), promoted(1, 1), promoted(1, 5)
    (True, False, True)
    """
    return better < max((others + 1) // ETA, 1)
