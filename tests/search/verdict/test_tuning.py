"""Where an optimizer does better at its defaults than tuned, one sees it: in the launch's table and all over the report."""

import dataclasses
from typing import Any

import pytest
from rich.console import Console

from optselect.search.report.cautions import cautions
from optselect.search.report.html_page import Page
from optselect.search.report.verdict_page import verdict_json, verdict_page
from optselect.search.status.standing import standing, status_json
from optselect.search.status.tables import summary
from optselect.search.verdict.findings import Findings
from optselect.search.verdict.tuning import single_runs, tunings
from tests.search.report.test_pages import shown, trial, whole_study
from tests.search.report.test_sentences import CLEAR, answers, found

GRID = ["SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adagrad", "Adadelta", "Lion"]


@pytest.fixture(scope="module")
def worse_tuned() -> Findings:
    """Every optimizer's defaults cost 0.1 less than what was tuned of it."""
    return found(answers(CLEAR, untuned=-0.1))


def test_defaults_that_win_on_fresh_seeds_stand_below_what_was_tuned_and_in_one_sentence(
    worse_tuned: Findings,
) -> None:
    page = shown(verdict_page(worse_tuned), width=100).splitlines()
    places = [place for place, line in enumerate(page) if line.startswith("  at defaults")]
    assert [page[place - 1].split()[0] for place in places] == ["Adam", "Nadam"]
    assert "9.9% ± 0.5% better than tuned" in page[places[0]]
    (sentence,) = [line for line in cautions(worse_tuned) if "on the same fresh seeds" in line]
    assert sentence.startswith(
        "Keras's defaults of Adam (0.9998, tuned 1.099) and Nadam (1.2, tuned 1.299) did"
    )
    assert "did better than what was tuned, on the same fresh seeds: the search was too short, or" in sentence
    assert sentence.endswith("optselect resume net --trials +24")


def test_who_was_dropped_is_judged_by_single_runs(worse_tuned: Findings) -> None:
    assert "SGD" not in tunings(worse_tuned) and single_runs(worse_tuned.record)["SGD"].lost
    (sentence,) = [line for line in cautions(worse_tuned) if "in one run" in line]
    assert (
        sentence.startswith("Keras's defaults of SGD (1.197, tuned 1.27)")
        and "than the best trial of the search" in sentence
    )


def test_a_first_look_has_no_defaults_on_fresh_seeds_and_tells_of_single_runs() -> None:
    thin = found(answers(CLEAR, untuned=-0.3), trials=6)
    assert tunings(thin) == {}
    (sentence,) = [line for line in cautions(thin) if "defaults" in line]
    assert (
        "SGD" in sentence
        and "Adam" in sentence
        and sentence.endswith("by val_loss: the search was too short, or its ranges too narrow.")
    )
    assert {row["seeds"] for row in verdict_json(thin)["defaults"]} == {0}


def test_what_is_better_by_the_luck_of_the_seeds_only_is_called_no_worse() -> None:
    close = found(answers(CLEAR, noise=0.1, untuned=-0.05))
    unsure = [name for name, tuning in tunings(close).items() if tuning.lost and not tuning.surely_lost]
    assert unsure
    (sentence,) = [line for line in cautions(close) if "a little better" in line]
    assert all(name in sentence for name in unsure) and "too short" not in sentence


def test_where_tuning_has_gained_nothing_is_said_of_defaults() -> None:
    gained = found(answers(CLEAR))
    assert not any("defaults" in line for line in cautions(gained))
    assert "at defaults" not in shown(verdict_page(gained), width=100)
    assert {row["better"] for row in verdict_json(gained)["defaults"]} == {"tuned"}


def test_json_and_page_have_both_means(worse_tuned: Findings) -> None:
    rows = {row["optimizer"]: row for row in verdict_json(worse_tuned)["defaults"]}
    adam = rows["Adam"]
    assert adam["better"] == "defaults" and adam["seeds"] == 5
    assert adam["default"] == pytest.approx(1.0, abs=0.01) and adam["tuned"] == pytest.approx(1.1, abs=0.01)
    assert adam["share"] == pytest.approx(-0.1, abs=0.01) and adam["ci"] is not None
    page = Page.of(worse_tuned, {}).html()
    assert f'data-label="at its defaults">{adam["default"]:.4g}, better<' in page
    assert "test loss: less is better." in page and "objective val_loss (less is better)" in page


def test_the_page_stays_short_where_all_defaults_win() -> None:
    names = ",".join(name.lower() for name in GRID)
    costs = {name: 1.0 + 0.003 * place for place, name in enumerate([*GRID, "baseline"])}
    findings = found(answers(costs, noise=0.05, untuned=-0.2), optimizers=names, trials=40)
    assert len(shown(verdict_page(findings), width=100).splitlines()) <= 41


def finished(*more: Any) -> tuple[Any, list[Any]]:
    study = dataclasses.replace(whole_study(), state="finished")
    own = trial(0, "baseline", "complete", 0.9, phase="baseline", role="own")
    return study, [own, *more]


def at_defaults(number: int, optimizer: str, state: str, value: float | None = None) -> Any:
    return trial(number, optimizer, state, value, phase="baseline", role="defaults", params={})


def test_a_launchs_table_shows_a_run_at_defaults_below_the_class_whose_trials_are_worse() -> None:
    study, trials = finished(
        at_defaults(1, "SGD", "complete", 0.4985),
        at_defaults(2, "Adam", "complete", 0.7),
        trial(3, "SGD", "complete", 0.534),
        trial(4, "Adam", "complete", 0.5),
    )
    lines = [line.split() for line in shown(summary(study, trials)).splitlines()]
    names = [line[0] for line in lines[3:] if line]
    place = names.index("SGD")
    assert names[place + 1] == "at" and names.count("at") == 1
    (row,) = [line for line in lines if line[:2] == ["at", "defaults"]]
    assert row[4:] == ["0.4985", "1", "SGD()"]
    assert ["objective", "val_loss,", "less", "is", "better"] in lines


def test_a_class_none_of_whose_trials_came_to_a_value_shows_its_defaults() -> None:
    study, trials = finished(at_defaults(1, "SGD", "complete", 0.6), trial(2, "SGD", "diverged"))
    assert "at defaults" in shown(summary(study, trials))
    scored = dataclasses.replace(study, direction="maximize")
    better = [at_defaults(1, "SGD", "complete", 0.6), trial(2, "SGD", "complete", 0.7)]
    assert "at defaults" not in shown(summary(scored, better))


def test_status_has_the_value_at_defaults_beside_the_best() -> None:
    study, trials = finished(at_defaults(1, "SGD", "complete", 0.6), at_defaults(2, "Adam", "diverged"))
    assert list(standing(study, trials).defaults) == ["SGD"]
    rows = status_json(study, trials, [], "", None)["by_optimizer"]
    assert (rows["SGD"]["defaults"], rows["Adam"]["defaults"]) == (0.6, None)


def test_the_table_of_finalists_keeps_its_figures_whole_in_eighty_columns(worse_tuned: Findings) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  ends with the process
    console.print(verdict_page(worse_tuned))
    text = console.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
