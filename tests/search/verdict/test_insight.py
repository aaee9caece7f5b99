"""The numbers behind the page's figures, by studies whose answers are known."""

import math
import random
from dataclasses import replace

import pytest

from optselect.search.report.charts import charts
from optselect.search.report.html_page import Page
from optselect.search.strategy.planning import QUOTA
from optselect.search.verdict.findings import Findings, find
from optselect.search.verdict.importance import importance_of
from optselect.search.verdict.insight import Insight, band_of, end_of, insight_of
from tests.search.report.test_sentences import CLEAR, answers, found, record


def curves_of(findings: Findings) -> dict[int, dict[int, float]]:
    """Every run falls from 5 to its value, in ten steps that become smaller."""
    values = {trial.ticket: trial.value or 5.0 for trial in findings.record.trials}
    return {ticket: {e: v + (5 - v) * 0.3**e for e in range(1, 26)} for ticket, v in values.items()}


@pytest.fixture(scope="module")
def seen() -> tuple[Findings, Insight]:
    findings = found(answers(CLEAR))
    return findings, insight_of(findings, curves_of(findings))


def test_budget_curves_fall_from_the_mean_of_the_quota_to_its_best(seen: tuple[Findings, Insight]) -> None:
    findings, insight = seen
    values = [t.value or 0.0 for t in findings.record.trials if t.phase == "quota" and t.optimizer == "Adam"]
    curve = insight.budget["Adam"]
    assert [n for n, _ in curve] == list(range(1, QUOTA + 1))
    assert curve[0][1] == pytest.approx(sum(values) / QUOTA)
    assert curve[-1][1] == pytest.approx(min(values))


def test_trials_that_a_sampler_chose_are_in_no_budget_curve() -> None:
    findings = found(answers(CLEAR), trials=60)
    assert any(trial.phase == "survivors" for trial in findings.record.trials)
    insight = insight_of(findings, curves_of(findings))
    assert {len(curve) for curve in insight.budget.values()} == {QUOTA}


def test_tuning_is_judged_against_keras_defaults_on_the_same_seeds(seen: tuple[Findings, Insight]) -> None:
    tuning = seen[1].tuning["Adam"]
    assert tuning.default == pytest.approx(1.6, abs=0.02)
    assert tuning.tuned == pytest.approx(1.1, abs=0.02)
    assert tuning.gain == pytest.approx(0.31, abs=0.02)
    assert "SGD" not in seen[1].tuning  # it was dropped and has no final


def test_sensitivity_is_the_share_near_the_best_and_the_band_of_their_rates() -> None:
    findings = found(answers(CLEAR))
    rates = iter([0.001, 0.1, *[0.01] * 10])
    good = iter([True, True, *[False] * 10])
    moved = [
        replace(t, params={"learning_rate": next(rates)}, value=1.0 if next(good) else 3.0)
        if t.phase == "quota" and t.optimizer == "Adam"
        else t
        for t in findings.record.trials
    ]
    turned = find(replace(findings.record, trials=moved))
    assert isinstance(turned, Findings)
    sensitivity = insight_of(turned, {}).sensitivity["Adam"]
    assert sensitivity.near == pytest.approx(2 / QUOTA)
    assert sensitivity.decades == pytest.approx(2.0)


def test_each_trial_has_one_end(seen: tuple[Findings, Insight]) -> None:
    findings, insight = seen
    for shares in insight.ends.values():
        assert sum(shares.values()) == pytest.approx(1.0)
    trial = findings.record.trials[-1]
    falling = {epoch: 5.0 * 0.9**epoch for epoch in range(1, 26)}
    flat = dict.fromkeys(range(1, 26), 1.0)
    assert end_of(findings, replace(trial, state="diverged"), {}) == "diverged"
    assert end_of(findings, replace(trial, state="pruned"), {1: 2.0, 2: 1.5}) == "cut early"
    assert end_of(findings, trial, falling) == "too slow"
    assert end_of(findings, trial, dict.fromkeys(range(1, 26), 4.99)) == "too slow"
    assert end_of(findings, trial, flat) == "plateau"


def test_the_target_was_there_before_any_tuning_and_misses_are_counted(
    seen: tuple[Findings, Insight],
) -> None:
    _, insight = seen
    assert insight.target_of == "Adam at Keras's defaults"
    assert insight.target == pytest.approx(1.5, abs=0.02)
    assert insight.times_to_target["Adam"].epochs == 2  # 1 + 4 * 0.3**2 is the first below 1.5
    own = insight.times_to_target["baseline"]
    assert (own.epochs, own.missed, own.seeds) == (float("inf"), 5, 5)


def test_the_setting_that_decides_is_the_important_one() -> None:
    whole = record(answers(CLEAR), optimizers="adam", trials=12)
    assert importance_of(whole, "Adam") == {}  # too few trials to say anything
    trial = next(trial for trial in whole.trials if trial.phase == "quota")
    noise = random.Random(0)
    points = [(10 ** noise.uniform(-5, -1), noise.uniform(0.1, 0.98)) for _ in range(60)]
    tried = [
        replace(trial, params={"learning_rate": rate, "beta_1": beta}, value=abs(math.log10(rate) + 2))
        for rate, beta in points
    ]
    shares = importance_of(replace(whole, trials=tried), "Adam")
    assert set(shares) == {"learning_rate", "beta_1"}
    assert shares["learning_rate"] > shares["beta_1"]


def test_every_figure_has_its_data_and_the_page_opens_with_the_answer(seen: tuple[Findings, Insight]) -> None:
    findings, insight = seen
    drawn = {chart.key: chart.figure for chart in charts(findings, insight)}
    assert set(drawn) == {"ranking", "curves", "budget", "tuning", "sensitivity", "ends", "pace"}
    assert [trace.name for trace in drawn["budget"].data] == ["SGD", "Adam", "Nadam"]
    page = Page.of(findings, curves_of(findings)).html()
    assert page.index("Use tuned Adam: it is") < page.index("<h1") < page.index("plotly-graph-div")
    assert "cdn.plot.ly" not in page.split("</script>")[-1]


def test_what_a_person_typed_cannot_become_markup() -> None:
    findings = found(answers(CLEAR))
    turned = replace(findings, record=replace(findings.record, name="<img src=x>"))
    assert "<img src=x>" not in Page.of(turned, curves_of(findings)).html().split("</script>")[-2]


def test_a_curve_counts_where_its_validation_overflowed_for_an_epoch() -> None:
    """Moving averages that lag behind may give infinity at first; who has no number at its end is left out."""
    young, old = {1: math.inf, 2: 9.0, 3: 1.0}, {1: 3.0, 2: 2.0, 3: 0.5}
    band = band_of([young, old, {1: 3.0, 2: math.nan}, {}])
    assert (band.epochs, band.mean, band.high) == ([2, 3], [5.5, 0.75], [9.0, 1.0])
