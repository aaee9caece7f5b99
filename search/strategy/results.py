"""What do a study's Optuna trials tell the model?"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from optuna.trial import FrozenTrial, TrialState

from optselect.search.knowledge.task_model import Result
from optselect.search.spec.dimension import Choice, Dimension
from optselect.search.spec.objective import Objective
from optselect.search.verdict.evidence import Scale, whole_of
from optselect.trials.terms.configuration import BASELINE

UNTRAINED, CLASS, ARGUMENTS = "untrained", "optimizer_class", "optimizer_arguments"
"""User attributes of a trial: the untrained model's value, the baseline's class, and what the constructor was given."""
FINALS = "final"


@dataclass(frozen=True)
class Told:
    """The results, and the cost of the untrained model where a trial tells it."""

    results: Sequence[Result]
    untrained: float | None


def told_by(
    trials: Iterable[FrozenTrial], objective: Objective, space: Mapping[str, Sequence[Dimension]]
) -> Told:
    """Of everything but the finals, which must not choose whom they judge."""
    heard = [trial for trial in trials if trial.user_attrs.get("phase") != FINALS]
    values = [trial.value for trial in heard if trial.state == TrialState.COMPLETE]
    scale = Scale(objective, whole_of(objective, [value for value in values if value is not None]))
    untrained = [float(trial.user_attrs[UNTRAINED]) for trial in heard if UNTRAINED in trial.user_attrs]
    finite = [value for value in untrained if math.isfinite(value)]
    results = [result for trial in heard for result in result_of(trial, scale, space)]
    return Told(results, scale.cost(median(finite)) if finite else None)


def result_of(trial: FrozenTrial, scale: Scale, space: Mapping[str, Sequence[Dimension]]) -> Iterator[Result]:
    """One result, or none of a trial that failed or was not asked yet; without a name it is of no optimizer at all."""
    optimizer = "" if "" in space else optimizer_of(trial)
    arguments = arguments_of(trial, optimizer, space.get(optimizer, ()))
    if trial.state == TrialState.COMPLETE:
        yield Result(optimizer, arguments, scale.cost(trial.value or 0.0))
    elif trial.state == TrialState.PRUNED:
        yield Result(optimizer, arguments, cost_of_pruned(trial, scale))
    elif trial.state == TrialState.RUNNING and len(arguments) > 0:
        yield Result(optimizer, arguments, None)


def optimizer_of(trial: FrozenTrial) -> str:
    """The class; the baseline's is the user's own."""
    fixed = trial.system_attrs.get("fixed_params", {})
    name = str(trial.params.get("optimizer", fixed.get("optimizer", "")))
    return str(trial.user_attrs.get(CLASS, "")) if name == BASELINE else name


def arguments_of(trial: FrozenTrial, optimizer: str, dimensions: Sequence[Dimension]) -> dict[str, Choice]:
    """What was given, and above it what was sampled: a warm-up is sampled as a fraction and given in steps."""
    names = {
        one.keyword: f"{optimizer}.{one.parameter}" if optimizer else one.parameter for one in dimensions
    }
    sampled = {
        one.keyword: one.argument(trial.params[names[one.keyword]])
        for one in dimensions
        if names[one.keyword] in trial.params
    }
    given: Mapping[str, Choice] = trial.user_attrs.get(ARGUMENTS, {})
    return {**given, **sampled}


def cost_of_pruned(trial: FrozenTrial, scale: Scale) -> float:
    """Infinite where it exploded or says nothing; else what it had reached when it was cut."""
    last = (
        trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else math.nan
    )
    exploded = any(violation > 0 for violation in trial.constraints.values())
    return math.inf if exploded or not math.isfinite(last) else scale.cost(last)
