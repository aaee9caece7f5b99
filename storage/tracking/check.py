"""Does MLflow show exactly what Postgres holds? Every run, every point, every single number is compared."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import text

from optselect.storage.records.curves import read_curve
from optselect.storage.tracking.flusher import Connected
from optselect.storage.tracking.outbox import RunRow, filled
from optselect.storage.tracking.runs import STATUS, SYSTEM, finite_or_nan, metric_names, shown_numbers

Points = Mapping[tuple[int, int], float]  # values by step and time stamp


@dataclass(frozen=True)
class SentTrial(RunRow):
    """A trial as Postgres has it, and what the outbox says of its run."""

    finished: bool  # whether MLflow has it to its end


@dataclass
class Comparison:
    """What was compared, up to the first difference."""

    runs: int = 0
    points: int = 0
    difference: str = ""  # empty: none was found


# Of a running trial that is compared which was sent: the rest may be trained again.
TRIALS = text("""
    SELECT t.id AS ticket_id, t.trial_number, t.state, t.outcome, t.mlflow_run_id, t.trial_value, t.epochs,
           t.result - 'notes' AS result,
           (extract(epoch FROM t.finished_at) * 1000)::bigint AS finished_ms, o.finished, o.mlflow_epoch
      FROM ticket t JOIN outbox o ON o.ticket_id = t.id
     WHERE t.study_id = :study AND t.trial_number IS NOT NULL ORDER BY t.trial_number""")


def compare(connected: Connected) -> Comparison:
    """Compare the study in MLflow with Postgres, up to the first difference."""
    with connected.engine.begin() as connection:
        rows = connection.execute(TRIALS, {"study": connected.study.id}).mappings().all()
    trials = [SentTrial(**filled(row)) for row in rows]
    runs, found = runs_by_ticket(connected), Comparison()
    for trial in trials:
        for difference in differences(connected, trial, runs[str(trial.ticket_id)], found):
            found.difference = f"trial {trial.trial_number}: {difference}"
            return found
    return found


def runs_by_ticket(connected: Connected) -> Mapping[str, list[str]]:
    """The ids of all runs that count, by their ticket: those that a new attempt left do not."""
    runs: dict[str, list[str]] = defaultdict(list)
    page = None
    while True:
        found = connected.client.search_runs([connected.experiment_id], page_token=page)
        for run in found:
            if run.data.tags.get("optselect.state") != "SUPERSEDED":
                runs[run.data.tags.get("optselect.ticket", "")].append(str(run.info.run_id))
        page = found.token
        if not page:
            return runs


def differences(connected: Connected, trial: SentTrial, runs: list[str], found: Comparison) -> Iterator[str]:
    """Yield what differs in one trial; counts what was compared."""
    if trial.is_done and not trial.finished:
        yield f"its curve is sent up to epoch {trial.mlflow_epoch} of {trial.epochs}"
    if trial.mlflow_run_id is None:
        return  # nothing of it was sent
    if runs != [trial.mlflow_run_id]:
        yield f"MLflow has the runs {runs or 'none'}, and should have {trial.mlflow_run_id} alone"
        return
    found.runs += 1
    run = connected.client.get_run(trial.mlflow_run_id)
    if trial.is_done and run.info.status != STATUS[trial.outcome]:
        yield f"its run is {run.info.status}, the trial ended as {trial.outcome}"
    expected = expected_points(connected, trial)
    shown_metrics = {name for name in run.data.metrics if not name.startswith(SYSTEM)}  # no part of the curve
    for metric in sorted({*expected, *shown_metrics}):
        wanted, shown = expected.get(metric, {}), points_of(connected, run.info.run_id, metric)
        found.points += len(wanted)
        if (difference := first_difference(wanted, shown)) is not None:
            yield f"{metric} {difference}"


def expected_points(connected: Connected, trial: SentTrial) -> dict[str, dict[tuple[int, int], float]]:
    """What MLflow should hold of a trial, by metric, under the names that it shows."""
    expected: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    names = metric_names(connected.study)
    for row in read_curve(connected.engine, trial.ticket_id):
        if trial.is_done or row.epoch <= trial.mlflow_epoch:
            for name, value in names.shown_all(row.metrics).items():
                expected[name][row.epoch, row.ts_ms] = finite_or_nan(value)
    for name, value in shown_numbers(connected.study, trial).items() if trial.is_done else ():
        expected[name][0, trial.finished_ms] = finite_or_nan(value)
    return expected


def points_of(connected: Connected, run_id: str, metric: str) -> list[tuple[tuple[int, int], float]]:
    history = connected.client.get_metric_history(run_id, metric)
    return [((point.step, point.timestamp), point.value) for point in history]


def first_difference(wanted: Points, shown: list[tuple[tuple[int, int], float]]) -> str | None:
    """Say where two curves differ first.

    >>> first_difference({(1, 7): 0.5, (2, 8): 0.25}, [((1, 7), 0.5), ((2, 8), 0.25)])
    >>> first_difference({(1, 7): 0.5}, [((1, 7), 0.5), ((1, 9), 0.5)])
    'at epoch 1 is not in Postgres with the time 9, and 0.5 in MLflow'
    >>> first_difference({(1, 7): 0.5, (2, 8): 0.25}, [((1, 7), 0.5)])
    'at epoch 2 is 0.25 in Postgres, and missing in MLflow'
    """
    seen: dict[tuple[int, int], list[float]] = defaultdict(list)
    for place, value in shown:
        seen[place].append(value)
    for step, stamp in sorted({*wanted, *seen}):
        values = seen.get((step, stamp), [])
        where = f"at epoch {step}"
        if (step, stamp) not in wanted:
            return f"{where} is not in Postgres with the time {stamp}, and {values[0]:g} in MLflow"
        value = wanted[step, stamp]
        if not values:
            return f"{where} is {value:.17g} in Postgres, and missing in MLflow"
        if len(values) > 1 or not same(value, values[0]):
            there = " and ".join(format(other, ".17g") for other in values)
            return f"{where} is {value:.17g} in Postgres, and {there} in MLflow"
    return None


def same(one: float, other: float) -> bool:
    """Equal to the last bit; NaN is NaN."""
    return one == other or (math.isnan(one) and math.isnan(other))
