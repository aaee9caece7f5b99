"""Which of an optimizer's arguments mattered? Optuna's PED-ANOVA over the finished search trials of that optimizer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optselect.search.spec.dimension import Dimension, one_minus
from optselect.search.spec.objective import Direction
from optselect.search.verdict.record import Record
from optselect.storage.records.overview import TrialRow

if TYPE_CHECKING:
    import optuna

FEWEST_TRIALS = 20
"""Below them nothing is said."""
PLENTY = 50
"""From them on Optuna's own share counts as good, a tenth; below it the best five."""


def importance_of(record: Record, optimizer: str) -> dict[str, float]:
    """By argument, summing to 1; empty where too few trials finished or only one argument is searched."""
    dimensions = [d for d in record.spec.space[optimizer] if d.scale != "fixed"]
    finished = [
        trial
        for trial in record.searched(optimizer)
        if trial.state == "complete" and trial.value is not None and is_whole(trial, dimensions)
    ]
    if len(finished) < FEWEST_TRIALS or len(dimensions) < 2:
        return {}
    return evaluated(record.spec.direction, dimensions, finished)


def is_whole(trial: TrialRow, dimensions: Sequence[Dimension]) -> bool:
    return all(dimension.keyword in trial.params for dimension in dimensions)


def evaluated(
    direction: Direction, dimensions: Sequence[Dimension], finished: Sequence[TrialRow]
) -> dict[str, float]:
    import optuna  # a second, for the page only

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=direction)
    ranges = {dimension.keyword: distribution(dimension) for dimension in dimensions}
    for trial in finished:
        params = {dimension.keyword: sampled(dimension, trial) for dimension in dimensions}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, value=trial.value))
    quantile = 0.1 if len(finished) >= PLENTY else 5 / len(finished)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def sampled(dimension: Dimension, trial: TrialRow) -> object:
    """An argument as it was sampled."""
    value = trial.params[dimension.keyword]
    if dimension.scale != "complement":
        return value
    return min(max(one_minus(value), dimension.low), dimension.high)


def distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    if dimension.scale == "choice":
        return distributions.CategoricalDistribution(dimension.choices)
    if dimension.scale.startswith("integer"):
        low, high = int(dimension.low), int(dimension.high)
        return distributions.IntDistribution(low, high, log=dimension.scale == "integer log")
    return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.scale != "linear")
