"""Which strategy has a study, and what does it try next? Pure functions of what is stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from optselect.search.spec.declarations import Goal
from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.joint import Joint
from optselect.search.strategy.minutes import planned_search
from optselect.search.strategy.phases import ByPhases
from optselect.search.strategy.protocol import Strategy
from optselect.storage.records.deaths import set_aside
from optselect.storage.records.phases import SLICE, Begun, Progress, Step
from optselect.storage.records.tickets import NewTicket

STRATEGIES: Mapping[Goal, Callable[[StudySpec], Strategy]] = MappingProxyType(
    {"verdict": ByPhases, "best-config": Joint}
)


def strategy_of(spec: StudySpec) -> Strategy:
    """The one of the study's goal."""
    return STRATEGIES[spec.goal](spec)


def first_step(spec: StudySpec) -> Step:
    """The baselines and, unless minutes decide later how much that is, what the budget is first spent on."""
    strategy = strategy_of(spec)
    search = strategy.search(spec.trials)
    return Step([*strategy.baselines(), *search.tickets], search.decision)


def next_step(spec: StudySpec, progress: Progress) -> Step:
    """Decide what a study does next; an empty step ends it. Whoever was set aside gets nothing any more."""
    aside = set_aside(progress.decisions)
    left = spec.without(aside)
    if not left.optimizers:
        return Step()
    strategy = strategy_of(left)
    step = strategy.next_step(progress) if progress.budget else planned_search(strategy, progress.trials)
    return replace(step, tickets=[ticket for ticket in step.tickets if ticket.optimizer not in aside])


def next_slice(spec: StudySpec, begun: Begun) -> Sequence[NewTicket]:
    """The next tickets of a search whose first slices are made."""
    left = spec.without(set_aside(begun.decisions))
    return strategy_of(left).next_slice(begun, min(begun.missing, SLICE)) if left.optimizers else ()
