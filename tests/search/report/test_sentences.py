"""What a verdict says, case by case: whole studies whose costs are known, told in the words that a person reads."""

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from optselect.search.report.cautions import edge_of
from optselect.search.report.sentences import rounded_up, words_of
from optselect.search.report.verdict_page import beside_leader, verdict_json, verdict_page
from optselect.search.spec.dimension import complement
from optselect.search.spec.switching import SwitchSpec
from optselect.search.verdict.findings import Findings, find
from optselect.search.verdict.record import Record
from optselect.storage.records.tickets import NewTicket
from tests.support.problems import description
from tests.support.simulated import Answer, Simulated, spec_of

SPREAD = {0: 0.00, 1: 0.03, 2: -0.03, 3: 0.015, 4: -0.015}


def answers(costs: Mapping[str, float | None], noise: float = 0.002, untuned: float = 0.5) -> Answer:
    """Each optimizer's cost, with an effect of the seed that all share; None: it diverges."""

    def answer(ticket: NewTicket, random: random.Random) -> float | None:
        cost = costs[ticket.optimizer]
        if cost is None:
            return None
        worse = untuned if ticket.role == "defaults" else 0.0
        return cost + worse + SPREAD[ticket.seed % 5] + random.gauss(0.0, noise)

    return answer


def record(answer: Answer, tested: bool = True, **asked: Any) -> Record:
    """A finished study."""
    done = Simulated(spec_of(**{"optimizers": "sgd,adam,nadam", "trials": 36, **asked}), answer).run()
    rows = done.rows if tested else [replace(row, result={"initial_val_loss": 5.0}) for row in done.rows]
    return Record("net", done.spec, description(), done.budget, True, done.decisions, rows)


def found(*given: Any, **asked: Any) -> Findings:
    findings = find(record(*given, **asked))
    assert isinstance(findings, Findings), findings
    return findings


def said(findings: Findings) -> str:
    words = words_of(findings)
    return " ".join((words.answer, *words.evidence, *words.cautions, *words.to_settle))


def shown_page(findings: Findings) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  ends with the process
    console.print(verdict_page(findings))
    return console.export_text()


CLEAR = {"SGD": 1.3, "Adam": 1.0, "Nadam": 1.2, "baseline": 2.0}


def test_a_winner_is_named_beside_what_the_user_has() -> None:
    findings = found(answers(CLEAR))
    answer = words_of(findings).answer
    assert answer.startswith("Use tuned Adam: it is 47.7% ± ")
    assert answer.endswith("% better than your present SGD(0.01), which diverged on 0 of 5 seeds.")
    assert (findings.outcome, findings.keep) == ("winner", "Adam")
    assert "The next best is tuned Nadam: 18.2% ± " in said(findings)
    assert "lost on 5 of 5 seeds" in said(findings)


def test_figures_come_from_the_test_split_where_there_is_one_and_say_so() -> None:
    assert "Test loss of tuned Adam: 1.09" in said(found(answers(CLEAR)))
    assert "on test data that no choice has seen" in said(found(answers(CLEAR)))
    untested = said(found(answers(CLEAR), tested=False))
    assert "Mean val_loss of tuned Adam: " in untested
    assert "also used for the search: optimistic" in untested


def test_the_users_own_optimizer_can_win() -> None:
    findings = found(answers({**CLEAR, "baseline": 0.5}))
    answer = words_of(findings).answer
    assert answer.startswith(
        "Keep yours: your present SGD(0.01) beats every optimizer that was tuned. Tuned Adam is "
    )
    assert "worse than your present SGD(0.01)" in answer
    assert verdict_json(findings)["winner"] == "baseline"
    assert (
        verdict_json(findings)["code"]
        == "import keras\n# keep yours\nkeras.optimizers.SGD(learning_rate=0.01)"
    )


def test_of_a_tie_that_holds_the_users_own_it_is_kept() -> None:
    findings = found(answers({"SGD": 1.5, "Adam": 1.0, "Nadam": 1.5, "baseline": 1.0}))
    answer = words_of(findings).answer
    assert findings.outcome == "tie"
    assert set(findings.judgement.tie) == {"Adam", "baseline"}
    assert answer.startswith(
        "A tie: keep your present SGD(0.01). It and tuned Adam are equal within 1%. Tuned Adam is "
    )


def test_of_a_tie_without_the_users_own_the_one_with_the_fewest_settings_is_taken() -> None:
    costs = {"Adagrad": 1.0, "Adam": 1.0, "Lion": 2.0, "baseline": 3.0}
    findings = found(answers(costs), optimizers="adagrad,adam,lion")
    assert words_of(findings).answer.startswith(
        "A tie: take tuned Adagrad, for none of them has fewer settings. Tuned "
    )
    assert verdict_json(findings)["code"].startswith(
        "import keras\n# a tie: none of them has fewer settings\nkeras.optimizers.Adag"
    )


def test_what_further_seeds_would_hardly_tell_apart_is_not_called_equal_and_the_bound_is_said() -> None:
    costs = {"SGD": 1.5, "Adam": 1.0, "Nadam": 1.012, "baseline": 1.5}
    findings = found(answers(costs, noise=0.05))
    answer = words_of(findings).answer
    assert findings.outcome == "not_enough_evidence"
    assert answer.startswith(
        "Not enough evidence for a winner: use tuned Adam for now. It leads, but tuned Nadam is "
    )
    bound = findings.judgement.bound
    assert f"None of the others is more than {rounded_up(bound)} better than tuned Adam." in answer
    (settle,) = words_of(findings).to_settle
    assert "more seeds would decide: optselect resume net --seeds +" in settle
    shown = verdict_json(findings)
    assert (shown["bound"], shown["margin"], shown["tie"]) == (bound, 0.01, [])
    ranked = [row["vs_leader"] for row in shown["ranking"] if row["vs_leader"] is not None]
    assert bound == pytest.approx(
        max(-(row["ci"][0] or 0) for row in ranked) / findings.finalists[0].values.mean
    )


def test_the_users_own_is_kept_until_another_one_beats_it() -> None:
    costs = {"SGD": 1.5, "Adam": 1.0, "Nadam": 1.5, "baseline": 1.07}
    findings = found(answers(costs, noise=0.08))
    answer = words_of(findings).answer
    assert (findings.outcome, findings.judgement.leader) == ("not_enough_evidence", "Adam")
    assert answer.startswith(
        "Not enough evidence for a winner: keep your present SGD(0.01) for now. Tuned Adam leads, but yours is not "
        "excluded. None of the others is more than "
    )
    shown = verdict_json(findings)
    assert shown["keep"] == "baseline"
    _, comment, code = shown["code"].splitlines()
    assert comment == "# not enough evidence for a winner: this one leads, but keep yours until more is known"
    assert code.startswith("keras.optimizers.Adam(")


def test_the_users_own_that_is_equal_to_the_leader_is_kept_where_others_are_not_excluded() -> None:
    whole = record(answers({"SGD": 1.5, "Adam": 1.0, "Nadam": 1.04, "baseline": 1.003}, noise=0.003))
    noisy = random.Random(1)
    turned = [
        replace(row, result={**row.result, "test_loss": row.result["test_loss"] + noisy.gauss(0.0, 0.3)})
        if row.phase == "final" and row.optimizer == "Nadam"
        else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=turned))
    assert isinstance(findings, Findings)
    assert (findings.outcome, findings.judgement.leader) == ("not_enough_evidence", "Adam")
    assert findings.keep == "baseline"
    said_of = "but tuned Nadam is not excluded, and yours is equal to tuned Adam within 1%. "
    assert said_of in words_of(findings).answer


def test_the_users_own_that_leads_without_enough_evidence_is_kept() -> None:
    costs = {"SGD": 1.5, "Adam": 1.07, "Nadam": 1.5, "baseline": 1.0}
    findings = found(answers(costs, noise=0.08))
    assert words_of(findings).answer.startswith(
        "Not enough evidence for a winner: keep your present SGD(0.01) for now. It leads, but tuned Adam is not "
    )
    assert verdict_json(findings)["code"].startswith(
        "import keras\n# not enough evidence for a winner: this one leads\n"
    )


def test_one_optimizer_beside_the_users_own_is_bounded_by_name() -> None:
    findings = found(answers({"Adam": 1.0, "baseline": 1.02}, noise=0.08), optimizers="adam", trials=12)
    assert findings.outcome == "not_enough_evidence"
    leader, rival = (finalist.name for finalist in findings.finalists)
    names = {"Adam": "tuned Adam", "baseline": "your present SGD(0.01)"}
    who = f"{names[rival][:1].upper()}{names[rival][1:]}"
    bound = rounded_up(findings.judgement.bound)
    assert f"{who} is at most {bound} better than {names[leader]}. " in words_of(findings).answer


def test_a_tie_of_three_is_equal_to_its_leader() -> None:
    findings = found(answers({"SGD": 1.0, "Adam": 1.0, "Nadam": 1.0, "baseline": 1.0}, noise=0.004))
    leader = findings.judgement.leader
    assert findings.outcome == "tie"
    called = "your present SGD(0.01)" if leader == "baseline" else f"tuned {leader}"
    assert f"are equal: the others are within 1% of {called}." in words_of(findings).answer
    assert "%, equal" in shown_page(findings).replace("worse", "%").replace("better", "%")


def test_the_very_same_costs_are_said_to_be_so_and_never_as_a_plus_minus_of_nothing() -> None:
    findings = found(answers({"SGD": 1.5, "Adam": 1.0, "Nadam": 1.04, "baseline": 1.0}, noise=0.0))
    assert findings.outcome == "tie"
    assert words_of(findings).answer.startswith(
        "A tie: keep your present SGD(0.01). It and tuned Adam have the same test loss on each of 10 seeds. Tuned Adam "
        "is the same on 10 seeds as your present SGD(0.01)"
    )
    assert "the same on 10 seeds, equal" in shown_page(findings)
    assert "± 0.0%" not in shown_page(findings)
    assert "4% worse on 10 seeds, beaten" in shown_page(findings)


def test_a_rival_that_explodes_is_not_equal_and_no_tie() -> None:
    whole = record(answers({"SGD": 1.5, "Adam": 1.0, "Nadam": 1.5, "baseline": 1.0}))
    seed = max(row.seed for row in whole.trials if row.phase == "final" and row.optimizer == "Adam")
    turned = [
        replace(row, state="diverged", value=None, result={"initial_val_loss": 1.0})
        if row.phase == "final" and row.seed == seed and row.role == "own"
        else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=turned))
    assert isinstance(findings, Findings)
    assert (findings.outcome, findings.judgement.tie) == ("not_enough_evidence", ())
    assert "which diverged on 1 of " in words_of(findings).answer


@pytest.mark.parametrize("cost", [0.0, 0.004, 0.01, 0.03, 0.1])
def test_beaten_is_seen_in_the_interval_that_is_shown(cost: float) -> None:
    """Rounded as a person reads it: a winner never stands beside "9% ± 16% worse"."""
    findings = found(answers({**CLEAR, "Nadam": 1.0 + cost, "baseline": 1.0 + 2 * cost}, noise=0.02))
    for finalist in findings.finalists[1:]:
        mean, half = re.findall(r"[\d.]+(?=%)", beside_leader(findings, finalist))
        beside = finalist.versus_leader
        assert beside is not None
        if beside.relation == "beaten":
            assert float(mean) > float(half)
        elif abs(beside.difference.mean) >= 0.01 * findings.finalists[0].values.mean:
            assert float(mean) < float(half)


def test_too_few_trials_are_no_evidence_and_the_command_that_helps_is_named() -> None:
    findings = found(answers(CLEAR), trials=6)
    answer, settle = words_of(findings).answer, words_of(findings).to_settle
    assert answer.startswith(
        "Not enough evidence for a winner: use tuned Adam for now. It leads, but 2 trials of each optimizer are too few "
        "to tell them apart. So far tuned Adam is "
    )
    assert "your present SGD(0.01)" in answer
    assert "at least 6 more trials" in settle[0]
    assert "optselect resume net --trials +42" in settle[0]
    assert verdict_json(findings)["code"].startswith(
        "import keras\n# not enough evidence for a winner: this one leads\n"
    )


def test_an_open_question_says_how_many_seeds_would_decide_it() -> None:
    whole = record(answers({**CLEAR, "Nadam": 1.03}, noise=0.02))
    few = {row.seed for row in whole.trials if row.phase == "final"}
    kept = [row for row in whole.trials if row.phase != "final" or row.seed in sorted(few)[:5]]
    findings = find(replace(whole, trials=kept))
    assert isinstance(findings, Findings)
    assert words_of(findings).answer.startswith(
        "Not enough evidence for a winner: use tuned Adam for now. It leads, but tuned Nadam is not excluded. None of "
    )
    (settle,) = words_of(findings).to_settle
    assert f"optselect resume net --seeds +{findings.judgement.more_seeds}" in settle


def test_test_data_that_prefer_another_one_forbid_a_winner() -> None:
    whole = record(answers(CLEAR))
    turned = [
        replace(row, result={**row.result, "test_loss": 4.0 + (row.value or 0.0)})
        if row.optimizer == "Adam"
        else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=turned))
    assert isinstance(findings, Findings)
    assert words_of(findings).answer.startswith(
        "Not enough evidence for a winner: keep your present SGD(0.01) for now. Tuned Adam leads on the validation data, "
        "but the test data prefer yours and tuned Nadam. "
    )
    assert "Tuned Adam leads on the validation data, but the test data clearly prefer " in said(findings)


# --- warnings -----------------------------------------------------------------------------------------


def test_a_winner_at_the_edge_of_its_range_says_which_way_to_widen_it() -> None:
    whole = record(answers(CLEAR))
    moved = [
        replace(row, params={**row.params, "learning_rate": 0.0985, "beta_1": 0.9})
        if row.optimizer == "Adam"
        else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=moved))
    assert isinstance(findings, Findings)
    assert (
        "learning_rate 0.0985 of Adam is at the upper edge of its range, 1e-05 to 0.1: the best may lie beyond. Widen it "
        "in a spec file, [space.Adam] learning_rate = {low = 1e-05, high = 1, log = true}"
    ) in said(findings)


def test_a_switch_at_the_edge_of_a_range_names_the_optimizer_whose_range_it_is_and_never_the_epoch() -> None:
    switch = SwitchSpec(first="sgd", second="adam")
    costs = {"SGD": 1.3, "Adam": 1.2, "SGD_to_Adam": 1.0, "baseline": 2.0}
    whole = record(answers(costs), optimizers="sgd,adam", switches=(switch,), trials=48)
    ends = {"learning_rate": 0.05, "second_learning_rate": 1.1e-5, "switch_fraction": 0.999}
    moved = [
        replace(row, params={**row.params, **ends}) if row.optimizer == "SGD_to_Adam" else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=moved))
    assert isinstance(findings, Findings) and findings.keep == "SGD_to_Adam"
    advice = [words for words in words_of(findings).cautions if "Widen" in words]
    assert len(advice) == 1 and advice[0].startswith(
        "second_learning_rate 1.1e-05 of SGD_to_Adam is at the lower edge"
    )
    assert "[space.Adam] learning_rate = {low = 1e-06, high = 0.1, log = true}" in advice[0]


def test_next_to_no_momentum_is_no_edge_for_there_is_nothing_beyond() -> None:
    momentum = complement("momentum", 5e-3, 0.999)
    assert edge_of(momentum, {"momentum": 0.002}) == ""
    assert edge_of(momentum, {"momentum": 0.9945}) == "upper"
    assert edge_of(complement("beta_1", 4e-3, 0.5), {"beta_1": 0.51}) == "lower"


def test_a_general_optimizer_that_loses_to_one_that_it_contains_is_suspected_of_a_bad_search() -> None:
    findings = found(answers({"SGD": 1.0, "Adam": 1.3, "Nadam": 1.5, "baseline": 2.0}))
    assert "Adam and Nadam lost to SGD, which they can imitate: suspect ranges or too few trials" in said(
        findings
    )


def test_a_winner_that_diverges_on_a_seed_is_called_so() -> None:
    whole = record(answers(CLEAR))
    seed = max(row.seed for row in whole.trials if row.phase == "final")
    turned = [
        replace(row, state="diverged", value=None)
        if row.phase == "final" and row.seed == seed and row.role == "own"
        else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=turned))
    assert isinstance(findings, Findings)
    assert "which diverged on 1 of 5 seeds" in words_of(findings).answer
    assert verdict_json(findings)["baseline"]["diverged_share"] == 0.2


def test_failed_trials_are_a_shortfall_with_its_reason() -> None:
    whole = record(answers(CLEAR))
    turned = [
        replace(row, state="failed", value=None, message="out of memory: x")
        if row.phase == "quota" and row.optimizer == "Nadam" and row.ord % 2
        else row
        for row in whole.trials
    ]
    findings = find(replace(whole, trials=turned))
    assert isinstance(findings, Findings)
    assert "trials failed and searched nothing (" in said(findings)
    assert "of Nadam); the first reason: out of memory: x" in said(findings)


def test_who_was_dropped_is_named_with_the_reason_and_the_budget_is_said() -> None:
    findings = found(answers({**CLEAR, "SGD": 4.0}))
    assert "Given up on the way: SGD (" in said(findings)
    assert "This holds for 12 trials of each optimizer and 25 epochs" in said(findings)


def test_a_score_is_judged_as_what_is_missing_to_one_and_shown_as_itself() -> None:
    costs = answers({"SGD": 0.7, "Adam": 0.9, "Nadam": 0.8, "baseline": 0.6}, noise=0.001, untuned=-0.3)
    whole = record(costs, tested=False)
    spec = whole.spec.model_copy(update={"objective": "val_accuracy", "direction": "maximize"})
    findings = find(replace(whole, spec=spec))
    assert isinstance(findings, Findings)
    assert findings.finalists[0].values.mean > findings.finalists[1].values.mean
    assert "Percentages are of 1 - val_accuracy" in said(findings)


# --- no verdict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"goal": "best-config"}, "--goal best-config only looks for a good configuration"),
        ({"seeds": 0}, "with --seeds 0 nothing is trained again on fresh seeds"),
    ],
)
def test_a_study_that_compares_nothing_says_why_it_has_no_verdict(asked: dict[str, Any], words: str) -> None:
    spec = spec_of(optimizers="sgd,adam", trials=8, **asked)
    assert words in str(find(Record("net", spec, description(), 8, True, [], [])))


def test_an_unfinished_study_has_no_verdict_yet_and_one_that_only_exploded_never() -> None:
    whole = record(answers(CLEAR))
    assert "optselect resume net" in str(find(replace(whole, finished=False)))
    exploded = record(answers(dict.fromkeys(CLEAR)))
    assert "no trial reached its last epoch" in str(find(exploded))


# --- the page -----------------------------------------------------------------------------------------


def test_the_page_of_the_largest_study_fits_into_40_lines() -> None:
    names = "sgd,rmsprop,adam,adamw,nadam,adagrad,adadelta,lion,adamax,adafactor,lamb,ftrl"
    classes = [*spec_of(optimizers=names, trials=60).optimizers, "baseline"]
    costs = {name: 1.0 + 0.003 * place for place, name in enumerate(classes)}
    findings = found(answers(costs, noise=0.05), optimizers=names, trials=60)
    page = shown_page(findings)
    assert len(page.splitlines()) <= 40
    assert words_of(findings).answer.split()[0] in page.split()[:2]


def test_json_holds_what_the_words_say() -> None:
    answer: Any = verdict_json(found(answers(CLEAR)))
    assert (answer["schema"], answer["study"], answer["outcome"], answer["winner"]) == (
        1,
        "net",
        "winner",
        "Adam",
    )
    assert [row["optimizer"] for row in answer["ranking"]] == ["Adam", "Nadam", "baseline"]  # SGD was dropped
    assert list(answer["dropped"]) == ["SGD"]
    first, second = answer["ranking"][:2]
    assert first["vs_leader"] is None and first["p_best"] == 1.0
    assert first["ci"][0] < first["mean"] < first["ci"][1]
    assert second["vs_leader"]["ci"][0] > 0 and second["vs_leader"]["p"] < 0.01
    assert answer["baseline"]["gain"]["share"] == pytest.approx(0.48, abs=0.02)
    assert answer["code"].startswith("import keras\nkeras.optimizers.Adam(learning_rate=")
