"""With which charts does MLflow's page open?

A view travels with its experiment as a tag: the state of the page, in MLflow's own encoding (MLflow 3.17). Fields that it
does not name have MLflow's defaults, and every metric without a chart of ours gets one of MLflow's below them.
"""

import base64
import json
import zlib
from typing import Any

CURVES, FINALS = "optselect", "optselect-finals"
ALL_RUNS = {"lifecycleFilter": "Active", "runsHiddenMode": "SHOW_ALL"}
"""By default ten runs are shown. "Active" is case-sensitive: "ACTIVE" shows deleted runs."""
FIRST, OTHERS, SYSTEM = "objective", "metrics", "system"


def view_tags(objective: str) -> dict[str, str]:
    """The tags of an experiment that hold its views: all curves, and the finals as one mean curve for each optimizer.

    >>> sorted(view_tags("val_loss"))
    ['mlflow.sharedViewState.optselect', 'mlflow.sharedViewState.optselect-finals']
    """
    views = {CURVES: every_run(objective), FINALS: means_of_finals(objective)}
    return {f"mlflow.sharedViewState.{key}": encoded(view) for key, view in views.items()}


def view_query(key: str) -> str:
    """The end of a link that opens a view.

    >>> view_query(CURVES)
    'compareRunsMode=CHART&viewStateShareKey=optselect'
    """
    return f"compareRunsMode=CHART&viewStateShareKey={key}"


def every_run(objective: str) -> dict[str, Any]:
    """The objective's curves large and first, beside them what came of which rate of which optimizer."""
    return {**ALL_RUNS, **charts(objective, [line(objective), rates("objective")])}


def means_of_finals(objective: str) -> dict[str, Any]:
    """What was compared on fresh seeds, by optimizer; without Keras's defaults, which are no part of the comparison."""
    by_optimizer = {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "param", "groupByData": "optimizer"}],
    }
    wanted = "tags.`optselect.phase` = 'final' AND tags.`optselect.role` != 'defaults'"
    return {
        **ALL_RUNS,
        "searchFilter": wanted,
        "groupBy": by_optimizer,
        **charts(objective, [line(objective)]),
    }


def charts(objective: str, first: list[dict[str, Any]]) -> dict[str, Any]:
    sections = [
        section(FIRST, objective, columns=len(first), cardHeight=480),
        section(OTHERS, "Model metrics"),  # MLflow knows these two by their names
        section(SYSTEM, "System metrics", display=False),
    ]
    return {"compareRunCharts": first, "compareRunSections": sections, "isAccordionReordered": True}


def section(uuid: str, name: str, **more: Any) -> dict[str, Any]:
    state = {"display": True, "isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, **state, **more}


def line(metric: str) -> dict[str, Any]:
    """All points: "ignore outliers" would cut the first and the last of each curve."""
    return card("curves", "LINE") | {
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisKey": "step",
    }


def rates(metric: str) -> dict[str, Any]:
    return card("rates", "PARALLEL") | {
        "selectedParams": ["optimizer", "learning_rate"],
        "selectedMetrics": [metric],
        "showAllRuns": True,
    }


def card(uuid: str, kind: str) -> dict[str, Any]:
    place = {"metricSectionId": FIRST, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, "runsCountToCompare": 100, **place}


def encoded(view: dict[str, Any]) -> str:
    """A state as MLflow stores it in a tag."""
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(view).encode())).decode()
