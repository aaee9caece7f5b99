"""Which trials of a study does a person want to see, in which order?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from optselect.search.errors import InvalidInput
from optselect.search.near_names import did_you_mean
from optselect.search.spec.objective import Objective
from optselect.storage.records.overview import STATES, TrialRow

SORTS = ("trial", "value", "optimizer", "epochs", "seconds")


@dataclass(frozen=True)
class Selection:
    """What was said of them; None: all."""

    optimizer: str | None = None
    state: str | None = None
    phase: str | None = None
    sort: str = "trial"
    limit: int | None = None


def select(trials: Sequence[TrialRow], wanted: Selection, objective: Objective) -> list[TrialRow]:
    """The trials that are wanted, in that order; raises InvalidInput where a name is none of the study's."""
    optimizers = names_in("--optimizer", wanted.optimizer, {trial.optimizer for trial in trials})
    states = names_in("--state", wanted.state, STATES)
    phases = names_in("--phase", wanted.phase, {trial.phase for trial in trials})
    (sort,) = names_in("--sort", wanted.sort, SORTS)
    found = [t for t in trials if t.optimizer in optimizers and t.state in states and t.phase in phases]
    return in_order(found, sort, objective)[: wanted.limit]


def names_in(flag: str, text: str | None, known: Collection[str]) -> list[str]:
    """The known spelling of names with commas between them; all that are known where nothing was said.

    >>> names_in("--state", "Complete,pruned", ["complete", "pruned", "failed"])
    ['complete', 'pruned']
    """
    by_lower_case = {name.lower(): name for name in known}
    if text is None:
        return list(by_lower_case.values())
    return [spelling(flag, name.strip(), by_lower_case) for name in text.split(",")]


def spelling(flag: str, name: str, by_lower_case: dict[str, str]) -> str:
    if name.lower() in by_lower_case:
        return by_lower_case[name.lower()]
    known = sorted(by_lower_case.values())
    raise InvalidInput(f"{flag} must be of {', '.join(known)}. Received: {name}.{did_you_mean(name, known)}")


def in_order(trials: Sequence[TrialRow], sort: str, objective: Objective) -> list[TrialRow]:
    """By value the best comes first, by epochs and seconds the most; what has none comes last."""
    if sort == "trial":
        return list(trials)
    if sort == "optimizer":
        return sorted(trials, key=lambda trial: trial.optimizer.lower())
    if sort == "value":
        return sorted(trials, key=lambda trial: objective.rank(trial.value))
    return sorted(trials, key=lambda trial: -(getattr(trial, sort) or 0.0))
