"""What does a study's experiment in MLflow say? Its name, its tags, the note above its runs, and the links to its views."""

from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from optselect.storage.records.studies import StoredStudy
from optselect.storage.tracking.chart_views import BEST, CURVES, FINALS, Window, view_query, window_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_EXPERIMENT = text("SELECT pg_advisory_xact_lock(hashtext('optselect-experiment'), :study)")
GET_EXPERIMENT = text("SELECT mlflow_experiment_id FROM study WHERE id = :study")
SET_EXPERIMENT = text("UPDATE study SET mlflow_experiment_id = :experiment WHERE id = :study")


def ensure_experiment(
    engine: Engine, client: "MlflowClient", study: StoredStudy, artifacts: str | None
) -> str:
    """The study's experiment, made once however many flushers start at the same moment."""
    name = f"optselect/{study.name}"
    with engine.begin() as connection:
        connection.execute(LOCK_EXPERIMENT, {"study": study.id})
        known = connection.execute(GET_EXPERIMENT, {"study": study.id}).scalar_one()
        found = client.get_experiment_by_name(name)
        if found is not None:
            experiment_id = str(found.experiment_id)
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(experiment_id)
        else:
            location = None if artifacts is None else f"{artifacts}/{study.id}"
            experiment_id = client.create_experiment(name, location, experiment_tags(study))
        if known != experiment_id:
            connection.execute(SET_EXPERIMENT, {"study": study.id, "experiment": experiment_id})
    return experiment_id


def experiment_tags(study: StoredStudy) -> dict[str, str]:
    return {
        "optselect.study": study.name,
        "optselect.objective": study.objective,
        "optselect.direction": study.direction,
        "optselect.problem": str(study.problem.get("path", "")),
        "optselect.optimizers": ", ".join(study.spec.get("optimizers", [])),
    }


def experiment_link(address: str, experiment_id: str, view: str = CURVES) -> str:
    """The page that shows every trial's curves, or another view of the experiment.

    >>> experiment_link("http://127.0.0.1:5000/", "3")
    'http://127.0.0.1:5000/#/experiments/3/runs?compareRunsMode=CHART&viewStateShareKey=optselect'
    """
    return f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs?{view_query(view)}"


def run_link(address: str, experiment_id: str, run_id: str) -> str:
    """The page of one run."""
    return f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run or an experiment, in Markdown."""


BY_OPTIMIZER = text("""
    SELECT t.optimizer, count(*) FILTER (WHERE t.state = 'done') AS done, count(*) AS tickets,
           count(*) FILTER (WHERE t.outcome = 'diverged') AS diverged,
           CASE WHEN s.direction = 'minimize' THEN min(t.trial_value) FILTER (WHERE t.outcome = 'complete')
                ELSE max(t.trial_value) FILTER (WHERE t.outcome = 'complete') END AS best
      FROM ticket t JOIN study s ON s.id = t.study_id WHERE t.study_id = :study
     GROUP BY t.optimizer, s.direction ORDER BY t.optimizer""")


def experiment_note(engine: Engine, study: StoredStudy, experiment_id: str) -> str:
    """The summary that MLflow prints above the runs, in Markdown, with the ways to our views."""
    with engine.begin() as connection:
        rows = connection.execute(BY_OPTIMIZER, {"study": study.id}).mappings().all()
    done, tickets = sum(row["done"] for row in rows), sum(row["tickets"] for row in rows)
    lines = [
        f"**optselect study {study.name}**: {done} of {tickets} runs done. "
        + f"Objective `{study.objective}` ({study.direction}), value at the last epoch.",
        "",
        "| optimizer | done | diverged | best |",
        "|---|---|---|---|",
        *(
            f"| {row['optimizer']} | {row['done']} of {row['tickets']} | {row['diverged']} "
            f"| {'-' if row['best'] is None else format(row['best'], '.4g')} |"
            for row in rows
        ),
        "",
        "A best single run is no verdict: it was picked as the luckiest of many.",
        "",
        " · ".join(f"[{words}]({experiment_link('.', experiment_id, key)})" for key, words in WAYS.items()),
    ]
    return "\n".join(lines)


WAYS = {
    CURVES: "All curves",
    FINALS: "Finals, a mean curve for each optimizer",
    BEST: "Table, best first",
}


# Where each curve begins and ends, and its best: enough to see what is far off.
SPREAD = text("""
    SELECT t.outcome = 'diverged' AS ran_away, t.trial_value AS ended, (t.result ->> :best)::float8 AS best,
           (e.metrics ->> :objective)::float8 AS began
      FROM ticket t LEFT JOIN epoch_log e ON e.ticket_id = t.id AND e.epoch = 1
     WHERE t.study_id = :study AND t.outcome IN ('complete', 'pruned', 'diverged')""")


def shown_window(engine: Engine, study: StoredStudy) -> Window | None:
    """The part of the objective's axis in which the curves can be told apart."""
    wanted = {"study": study.id, "objective": study.objective, "best": f"best_{study.objective}"}
    with engine.begin() as connection:
        rows = connection.execute(SPREAD, wanted).all()
    kept = [value for row in rows if not row.ran_away for value in row[1:] if value is not None]
    return window_of(kept, study.direction, any(row.ran_away for row in rows))
