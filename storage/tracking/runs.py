"""What is in the MLflow run of a trial, and how does it get there? One flat run for each trial, batch by batch."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from sqlalchemy import Connection, Engine

from optselect.storage.records.curves import EpochRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.jsonb import numbers
from optselect.storage.tracking import outbox
from optselect.storage.tracking.batches import refuses_a_run, send, words_of
from optselect.storage.tracking.chart_views import COLOUR, RATE_EXPONENT, colour_of
from optselect.storage.tracking.experiment import NOTE
from optselect.storage.tracking.outbox import PendingRun, RunRow
from optselect.storage.tracking.shown_names import ShownNames

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag

log = logging.getLogger(__name__)

METRICS_PER_REQUEST = 900
"""MLflow takes a thousand entities; tags with true names go with the metrics."""

SYSTEM = "system/"
STATUS = {"complete": "FINISHED", "diverged": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
STATE = {"complete": "COMPLETE", "diverged": "DIVERGED", "pruned": "PRUNED", "failed": "FAIL"}


@dataclass(frozen=True)
class Sent:
    """What one batch carried."""

    points: int = 0
    runs: int = 0  # that ended with it
    refused: bool = False  # whether MLflow did not take all of it
    put_off: bool = False  # or nothing


def flush_one(
    engine: Engine, client: "MlflowClient", study: StoredStudy, experiment_id: str, ticket_id: int
) -> Sent:
    """Send one batch of one run, unless somebody else does. A run that MLflow refuses is put off and holds up no other."""
    with engine.begin() as connection:
        run = outbox.take_pending(connection, study.id, ticket_id)
        if run is None:
            return Sent()
        try:
            return carry(connection, client, study, experiment_id, run)
        except Exception as error:
            if not refuses_a_run(error):
                raise
            log.debug("a batch was refused", exc_info=error)
            outbox.put_off(connection, run, words_of(error))
            return Sent(refused=True, put_off=True)


def carry(
    connection: Connection, client: "MlflowClient", study: StoredStudy, experiment_id: str, run: PendingRun
) -> Sent:
    """Send the next batch of what a run lacks; a short run that has ended goes as one, which costs a third as much."""
    if run.superseded:
        for run_id in run.superseded:
            close_superseded(client, run_id)
        outbox.note_closed(connection, run)
        return Sent()
    run_id = run.mlflow_run_id or find_or_create_run(client, study, experiment_id, run)
    batch = next_batch(study, run, outbox.unsent_epochs(connection, run))
    refused = send(client, run_id, batch.entities) if batch.entities else []
    if batch.ends:
        ended = max(run.started_ms, run.finished_ms)  # the server's clock may have been set back
        client.set_terminated(run_id, STATUS[run.outcome], end_time=ended)
    outbox.note_sent(connection, run, batch.upto, refused, ended=batch.ends)
    if run.mlflow_run_id is None:
        outbox.set_run(connection, run, run_id)
    taken = len(batch.points) - refused_of(batch.points, refused)
    return Sent(points=taken, runs=int(batch.ends), refused=bool(refused))


@dataclass(frozen=True)
class Batch:
    """What one request holds of a run, as entities of MLflow's."""

    points: list["Metric"]
    others: list[Any]  # what the run was trained with, true names of metrics, its end
    upto: int | None  # the last epoch of the points; None: there are none
    ends: bool  # whether the run ends with it

    @property
    def entities(self) -> list[Any]:
        """All of it."""
        return [*self.points, *self.others]


def next_batch(study: StoredStudy, run: PendingRun, unsent: Sequence[EpochRow]) -> Batch:
    """What comes next of a run, whose next epochs are `unsent`."""
    rows = whole_batch(unsent)
    ends = run.is_done and len(rows) == len(unsent) < outbox.MOST_ROWS
    settings = settings_of(run) if run.mlflow_run_id is None else []
    last = end_of(study, run) if ends else []
    others = [*settings, *name_tags(study, rows), *last]
    return Batch(points(study, rows), others, rows[-1].epoch if rows else None, ends)


def whole_batch(rows: Sequence[EpochRow]) -> Sequence[EpochRow]:
    """As many of the first rows as one request takes."""
    widest = max((len(row.metrics) + len(row.system or {}) for row in rows), default=1)
    return rows[: max(1, METRICS_PER_REQUEST // max(1, widest))]


def refused_of(metrics: Sequence["Metric"], refused: Sequence[str]) -> int:
    """How many of these were refused."""
    known = {f"metric {metric.key}" for metric in metrics}
    return sum(any(line.startswith(f"{name}: ") for name in known) for line in refused)


# --- the run itself ----------------------------------------------------------------------------------


def find_or_create_run(
    client: "MlflowClient", study: StoredStudy, experiment_id: str, run: PendingRun
) -> str:
    """The run of this ticket and restart. Creating is not repeatable, so look for an earlier try first."""
    wanted = f"tags.`optselect.ticket` = '{run.ticket_id}' AND tags.`optselect.restart` = '{run.restarts}'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    if found:
        return str(found[0].info.run_id)
    name, tags = run_name(run), run_tags(study, run)
    return str(client.create_run(experiment_id, run.started_ms, tags, name).info.run_id)


def run_name(run: PendingRun) -> str:
    """Number first, so that names sort; short, for they are the legend of the charts: a number is the learning_rate."""
    name = f"{run.trial_number:03d} {run.optimizer}"
    rate = run.params.get("learning_rate")
    return f"{name} {rate:.1e}" if is_positive(rate) else name


def run_tags(study: StoredStudy, run: PendingRun) -> dict[str, str]:
    facts = {
        "study": study.name,
        "trial": run.trial_number,
        "ticket": run.ticket_id,
        "restart": run.restarts,
        "attempt": run.attempt,
        "worker": run.worker_id,
        "optimizer": run.optimizer,
        "phase": run.phase,
        "role": run.role,
        "jit": run.jit,
    }
    if "switch_epoch" in run.params:
        facts["switch_epoch"] = run.params["switch_epoch"]
    colour = colour_of(run.optimizer, study.spec.get("optimizers", []))
    return {**{f"optselect.{name}": str(value) for name, value in facts.items()}, COLOUR: colour}


def close_superseded(client: "MlflowClient", run_id: str) -> None:
    """Mark a run that an earlier attempt left; one that was deleted needs no mark."""
    try:
        client.set_tag(run_id, "optselect.state", "SUPERSEDED")
        # So that counting runs by phase counts trials.
        client.set_tag(run_id, "optselect.phase", "superseded")
        client.set_terminated(run_id, "KILLED")
    except Exception as error:
        if not refuses_a_run(error):
            raise


# --- what a batch is made of --------------------------------------------------------------------------


def points(study: StoredStudy, rows: Sequence[EpochRow]) -> list["Metric"]:
    """The numbers of epochs, under the names that MLflow shows."""
    from mlflow.entities import Metric

    names = metric_names(study)
    return [
        Metric(name, finite_or_nan(value), row.ts_ms, row.epoch)
        for row in rows
        for name, value in [*names.shown_all(row.metrics).items(), *system_metrics(row.system or {})]
    ]


def name_tags(study: StoredStudy, rows: Sequence[EpochRow]) -> list["RunTag"]:
    """The true names of what the rows hold, where MLflow has others."""
    return tags_of(metric_names(study).originals(dict.fromkeys(name for row in rows for name in row.metrics)))


def tags_of(facts: Mapping[str, str]) -> list["RunTag"]:
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in facts.items()]


def settings_of(run: PendingRun) -> list[Any]:
    """What a run was trained with."""
    from mlflow.entities import Param

    settings = [Param(key, value[:LONGEST_VALUE]) for key, value in run_params(run).items()]
    return [*settings, *tags_of(param_names().originals(run.params))]


LONGEST_VALUE = 6000
"""Characters of a parameter that MLflow takes; some servers cut it themselves, others refuse."""


def run_params(run: PendingRun) -> dict[str, str]:
    """The same keys for every optimizer, without prefix: MLflow groups curves by them."""
    arguments = {name: value for name, value in run.params.items() if value is not None}
    shown = {
        name: format(value, ".4g") if isinstance(value, float) else str(value)
        for name, value in param_names().shown_all(arguments).items()
    }
    rate = arguments.get("learning_rate")
    exponent = {RATE_EXPONENT: f"{math.log10(rate):.3f}"} if is_positive(rate) else {}
    return {"optimizer": run.optimizer, **shown, **exponent, "seed": str(run.seed)}


def is_positive(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and value > 0


def end_of(study: StoredStudy, run: PendingRun) -> list[Any]:
    """A run's single numbers and its end, all with the fixed time at which the ticket was finished."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name, finite_or_nan(value), run.finished_ms, 0)
        for name, value in shown_numbers(study, run).items()
    ]
    facts = {
        "optselect.state": STATE[run.outcome],
        "optselect.attempt": str(run.attempt),
        **{f"optselect.{name}": str(note) for name, note in run.notes.items()},
        **metric_names(study).originals(name for name in final_numbers(run) if name not in OF_THE_RUN),
    }
    if run.error:
        facts[NOTE] = run.error
    return [*metrics, *tags_of(facts)]


def final_numbers(trial: RunRow) -> dict[str, float]:
    """The single numbers of a run; those of the untrained model would only make more charts."""
    stored = numbers(trial.result)
    result = {name: value for name, value in stored.items() if not name.startswith("initial_")}
    if trial.trial_value is not None:
        result["objective"] = trial.trial_value
    return result | {"epochs": float(trial.epochs), "diverged": float(trial.outcome == "diverged")}


def shown_numbers(study: StoredStudy, trial: RunRow) -> dict[str, float]:
    """The same under the names that MLflow shows."""
    names = metric_names(study)
    return {
        name if name in OF_THE_RUN else names.shown(name): value
        for name, value in final_numbers(trial).items()
    }


# --- under which names --------------------------------------------------------------------------------

OF_THE_RUN = ("objective", "epochs", "diverged", "seconds")
"""Numbers that each run ends with, whatever the user's metrics are called."""
OF_THE_TRIAL = ("optimizer", RATE_EXPONENT, "seed")
"""Parameters that each run has, whatever the arguments of its optimizer are called."""


def metric_names(study: StoredStudy) -> ShownNames:
    """Under which names MLflow shows the numbers of a study's trials."""
    described = {study.objective, *study.problem.get("metrics", ())}
    tests = (f"test_{name.removeprefix('val_')}" for name in described)
    return ShownNames.among([*described, *tests, f"best_{study.objective}"], OF_THE_RUN)


def param_names() -> ShownNames:
    """Under which names MLflow shows settings: arguments of Python, which it takes nearly all."""
    return ShownNames.among([], OF_THE_TRIAL)


def system_metrics(system: Mapping[str, float]) -> list[tuple[str, float]]:
    """Under the names that MLflow shows on a page of their own."""
    return [(f"{SYSTEM}{name}", value) for name, value in system.items()]


def finite_or_nan(value: float) -> float:
    """MLflow stores inf as 1.8e308, which ruins the chart's axis; NaN is kept as NaN."""
    return value if math.isfinite(value) else math.nan
