"""What a study's stored trials say of its task is what its sampler heard, and the finals are not among it."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optselect.search.knowledge.constants import MEASURED
from optselect.search.knowledge.known_tasks import known_tasks
from optselect.search.knowledge.prior import interpolated
from optselect.search.report.cautions import unlike_known_tasks
from optselect.search.verdict.findings import Findings, find
from optselect.search.verdict.insight import insight_of
from optselect.search.verdict.record import Record
from optselect.search.verdict.task import task_model
from optselect.storage.records.overview import TrialRow
from tests.search.report.test_sentences import CLEAR, answers, record

Cost = Callable[[str, float], float]


def usual(optimizer: str, place: float) -> float:
    """As one of the known tasks is."""
    known = known_tasks()
    surface = interpolated(known.surfaces[optimizer], MEASURED)
    middle = [0.5] * (len(surface.lengths) - 1)
    levels = surface.at(np.array([[place, *middle]]))[0]
    return math.exp(float(levels[known.names.index("gru")]))


def turned(optimizer: str, place: float) -> float:
    """Best where all known tasks have hardly learned anything, and worse the higher the rate."""
    return 0.01 * math.exp(6 * place)


def searched(cost: Cost) -> Record:
    """A finished study whose search trials cost what their learning rate says; only finals stand beside them."""
    whole = record(answers(CLEAR), sampler="learned")
    draw = random.Random(1)

    def moved(trial: TrialRow) -> TrialRow:
        if not trial.searched:
            return trial
        rate = whole.spec.space[trial.optimizer][0]
        place = draw.random()
        params = {"learning_rate": rate.at(place)}
        return replace(trial, params=params, value=cost(trial.optimizer, place))

    return replace(whole, trials=[moved(one) for one in whole.trials if one.searched or one.phase == "final"])


def found(of: Record) -> Findings:
    findings = find(of)
    assert isinstance(findings, Findings)
    return findings


def test_the_users_own_optimizer_is_heard_by_its_class_and_the_finals_are_not() -> None:
    whole = record(answers(CLEAR), sampler="learned")
    model = task_model(whole)
    heard = [trial for trial in whole.trials if trial.phase != "final"]
    assert len(model.ended) == len(heard) < len(whole.trials)
    assert model.ended[0].optimizer == whole.problem.baseline.optimizer
    assert model.untrained == 5.0


@pytest.mark.parametrize(("cost", "rings"), [(usual, False), (turned, True)])
def test_the_report_says_where_a_task_is_unlike_the_known_ones(cost: Cost, rings: bool) -> None:
    findings = found(searched(cost))
    assert bool(sentences := [*unlike_known_tasks(findings)]) == rings
    assert not rings or sentences[0].startswith("This task is unlike the ")


def test_nothing_is_said_of_likeness_where_nothing_was_learned() -> None:
    of_tpe = searched(turned)
    findings = found(replace(of_tpe, spec=of_tpe.spec.model_copy(update={"sampler": "tpe"})))
    assert not [*unlike_known_tasks(findings)]


def test_a_budget_curve_is_the_best_that_was_found_after_so_many_trials() -> None:
    findings = found(searched(usual))
    curve = insight_of(findings, {}).budget["Adam"]
    trials: list[Any] = findings.record.searched("Adam")
    assert [count for count, _ in curve] == [*range(1, len(trials) + 1)]
    values = [value for _, value in curve]
    assert values == sorted(values, reverse=True)
    assert values[-1] == min(trial.value for trial in trials if trial.value is not None)


def test_how_easy_an_optimizer_is_to_tune_is_predicted_all_over_its_range() -> None:
    findings = found(searched(usual))
    seen = insight_of(findings, {}).sensitivity
    assert seen.keys() == set(findings.record.spec.optimizers)
    for one in seen.values():
        assert 0 < one.near < 0.5
        assert one.rates is not None and one.rates[0] <= one.rates[1]
