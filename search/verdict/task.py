"""What did a study's trials teach of its task?"""

import math
from statistics import median

from optselect.search.knowledge.branches import branches_of
from optselect.search.knowledge.kin import kin_of
from optselect.search.knowledge.known_tasks import known_tasks
from optselect.search.knowledge.task_model import Result, TaskModel
from optselect.search.verdict.record import Record
from optselect.storage.records.overview import TrialRow
from optselect.trials.terms.configuration import BASELINE


def task_model(record: Record) -> TaskModel:
    """What the study's trials say to the model, but for the finals: what its sampler knew at the end."""
    known, spec, own = known_tasks(), record.spec, record.problem.baseline.optimizer
    results = [
        Result(own if trial.optimizer == BASELINE else trial.optimizer, trial.params, cost)
        for trial in record.trials
        if trial.phase != "final" and (cost := told_cost(record, trial)) is not None
    ]
    untrained = [trial.result.get(f"initial_{spec.objective}", math.nan) for trial in record.trials]
    finite = [value for value in untrained if math.isfinite(value)]
    branches = branches_of(spec.space, known, kin_of(spec))
    return TaskModel(branches, known, results, record.scale.cost(median(finite)) if finite else None)


def told_cost(record: Record, trial: TrialRow) -> float | None:
    """Infinite of a trial that exploded; None of one that says nothing."""
    if trial.state == "diverged":
        return math.inf
    return None if trial.value is None else record.scale.cost(trial.value)
