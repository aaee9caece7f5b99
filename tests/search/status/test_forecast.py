"""What a plan says: who gets which trials, and how long that takes at a known pace."""

import pytest

from optselect.search.status.forecast import Forecast, forecast_json, lines_of
from optselect.trials.terms.rehearsal import Rehearsal, Rehearsed
from tests.support.simulated import spec_of

PACE = {"baseline": 1.0, "SGD": 1.0, "Adam": 2.0, "Nadam": 3.0}


def forecast(workers: int = 1, pace: float = 1.0, **asked: object) -> Forecast:
    """A study of three optimizers and 25 epochs, each epoch as many seconds as PACE says."""
    spec = spec_of(**{"optimizers": "sgd,adam,nadam", "trials": 36, **asked})
    found = {name: Rehearsed("complete", "", 1, "", True, 4.0, pace * one) for name, one in PACE.items()}
    return Forecast.of(spec, Rehearsal(found, 500_000_000), workers, 10.0)


def test_each_optimizer_has_its_share_and_the_rest_goes_to_survivors() -> None:
    parts = {row.name: (row.defaults, row.search) for row in forecast(trials=60).rows}
    assert parts == {
        "baseline": (1, 0),
        "SGD": (1, 16),
        "Adam": (1, 16),
        "Nadam": (1, 16),
        "survivors": (0, 12),
    }
    assert sum(search for _, search in parts.values()) == 60


def test_a_search_for_a_configuration_has_one_baseline_and_no_finals() -> None:
    found = forecast(goal="best-config")
    assert [(row.name, row.defaults, row.search) for row in found.rows if row.defaults or row.search] == [
        ("baseline", 1, 0),
        ("any", 0, 36),
    ]
    assert found.evaluation == (0, 0)


def test_seconds_are_epochs_at_their_pace_and_what_each_program_costs_once() -> None:
    found = forecast(goal="best-config")
    assert found.range_seconds is not None
    assert found.range_seconds[0] == pytest.approx(10.0 + (1 * 1.0 + 36 * found.mean_epoch) * 25 + 4 * 4.0)


def test_workers_share_the_training_but_not_the_start() -> None:
    one, two = forecast(workers=1).seconds(30), forecast(workers=2).seconds(30)
    assert one - 10.0 == pytest.approx(2 * (two - 10.0))


def test_the_range_reaches_from_the_first_look_to_the_last() -> None:
    found = forecast()
    # the three best of each on 3 seeds; 5 for yours, the tuned and the defaults; 15 more for all but the defaults
    first = 3 * 3 * 3 + 5 * 7
    assert found.evaluation == (first, first + 15 * 4)
    assert any("then 62 to 122 runs on fresh seeds" in line for line in lines_of(found))


def test_a_first_look_has_neither_losers_to_find_nor_further_looks() -> None:
    found = forecast(trials=11)
    assert found.evaluation == (5 * 4, 5 * 4)
    assert "then 20 runs on fresh seeds" in lines_of(found)
    assert any(line.startswith("11 trials are fewer than 4 for each of 3") for line in lines_of(found))
    assert not any("fewer than" in line for line in lines_of(forecast(trials=12)))


def test_where_minutes_decide_no_number_of_runs_is_claimed() -> None:
    found = forecast(trials=None, minutes=5)
    data = forecast_json("net", found)
    assert (data["evaluation_runs"], data["seconds"]) == (None, None)
    assert [line for line in lines_of(found) if "runs" in line] == [
        "trials are planned after the first runs, to end within 5 min on 1 worker"
    ]


def test_where_no_epoch_can_be_projected_nothing_is_claimed() -> None:
    found = forecast(pace=0.0)
    assert forecast_json("net", found)["seconds"] is None
    assert any(line.startswith("how long it takes is not known") for line in lines_of(found))
