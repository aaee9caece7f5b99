"""With which charts does MLflow's page open, and which colour has an optimizer there and on the report's page?

A view travels with its experiment as a tag: the state of the page, in MLflow's own encoding (MLflow 3.17). Fields that it
does not name have MLflow's defaults, and every metric without a chart of ours gets one of MLflow's below them.
"""

import base64
import json
import math
import statistics
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

CURVES, FINALS, BEST = "optselect", "optselect-finals", "optselect-best"
ALL_RUNS = {"lifecycleFilter": "Active", "runsHiddenMode": "SHOW_ALL"}
"""By default ten runs are shown. "Active" is case-sensitive: "ACTIVE" shows deleted runs."""
RATE_EXPONENT = "log10 learning_rate"
"""A parameter of each run: parallel coordinates have no logarithmic axes, and rates lie decades apart."""
DULL = ("diverged", "epochs")
"""A hundred bars for a hundred runs, nearly all alike."""
FIRST, OTHERS, SYSTEM = "objective", "metrics", "system"


FEWEST = 8
"""Of so few values none is called far off."""
DECADES = 2.0
"""Where most values span more, the axis is logarithmic."""


@dataclass(frozen=True)
class Window:
    """The part of an axis in which one can tell curves apart."""

    low: float  # of a logarithmic axis the exponent of ten, as MLflow has it
    high: float
    scale: str = "linear"  # or "log"
    cuts: bool = True  # whether anything lies outside


def window_of(values: Iterable[float], direction: str, ran_away: bool = False) -> Window | None:
    """Leave out what is far worse than most, by Tukey's fence; the good side is shown whole. None: MLflow's own range.

    One training that runs away reaches 1e8, and flattens all others to one line.

    Args:
        values: of those that did not run away.
        ran_away: whether others did.

    >>> window_of([0.4, 0.5, 0.5, 0.6, 0.6, 0.7, 0.8, 1e8], "minimize")
    Window(low=0.38, high=0.8200000000000001, scale='linear', cuts=True)
    >>> window_of([0.2, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8, 0.9], "maximize").low
    0.69
    >>> window_of([1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1], "minimize").scale
    'log'
    >>> window_of([0.4, 0.5, 0.5, 0.6, 0.6, 0.7, 0.8, 0.8], "minimize")
    """
    known = sorted(filter(math.isfinite, values))
    if len(known) < FEWEST or known[0] == known[-1]:
        return None
    if known[0] > 0 and math.log10(statistics.quantiles(known)[2] / known[0]) > DECADES:
        return fenced([math.log10(value) for value in known], direction, "log", ran_away)
    window = fenced(known, direction, "linear", ran_away)
    return window if window.cuts else None


def fenced(known: list[float], direction: str, scale: str, ran_away: bool) -> Window:
    """The window of values in order."""
    first, _, third = statistics.quantiles(known)
    reach = 1.5 * (third - first)
    if direction == "minimize":
        near = [value for value in known if value <= third + reach]
    else:
        near = [value for value in known if value >= first - reach]
    margin = 0.05 * (near[-1] - near[0])
    return Window(near[0] - margin, near[-1] + margin, scale, ran_away or len(near) < len(known))


def view_tags(
    objective: str, direction: str, window: Window | None, shown: str | None = None
) -> dict[str, str]:
    """The tags of an experiment that hold its views: all curves, the finals' mean curves, and all runs, best first.

    Args:
        shown: the objective's name in MLflow; default: its own.

    >>> sorted(view_tags("val_loss", "minimize", None))  # doctest: +NORMALIZE_WHITESPACE
    ['mlflow.sharedViewState.optselect', 'mlflow.sharedViewState.optselect-best',
     'mlflow.sharedViewState.optselect-finals']
    """
    views = {
        CURVES: every_run(objective, shown or objective, window),
        FINALS: means_of_finals(objective, shown or objective, window),
        BEST: best_first(direction),
    }
    return {f"mlflow.sharedViewState.{key}": encoded(view) for key, view in views.items()}


def view_query(key: str) -> str:
    """The end of a link that opens a view.

    >>> view_query(CURVES), view_query(BEST)
    ('compareRunsMode=CHART&viewStateShareKey=optselect', 'viewStateShareKey=optselect-best')
    """
    shared = f"viewStateShareKey={key}"
    return shared if key == BEST else f"compareRunsMode=CHART&{shared}"


def every_run(objective: str, shown: str, window: Window | None) -> dict[str, Any]:
    """The objective's curves large and first, beside them what came of which rate of which optimizer."""
    return {**ALL_RUNS, **charts(objective, [line(shown, window), rates("objective")], window)}


def means_of_finals(objective: str, shown: str, window: Window | None) -> dict[str, Any]:
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
        **charts(objective, [line(shown, window)], window),
    }


def best_first(direction: str) -> dict[str, Any]:
    """A table of what ended with a value."""
    return {
        **ALL_RUNS,
        "searchFilter": "tags.`optselect.state` = 'COMPLETE'",
        "orderByKey": "metrics.`objective`",
        "orderByAsc": direction == "minimize",
        "selectedColumns": COLUMNS,
    }


COLUMNS = [
    "metrics.`objective`",
    "params.`optimizer`",
    "params.`learning_rate`",
    "tags.`optselect.phase`",
    "metrics.`epochs`",
    "metrics.`seconds`",
]


def charts(objective: str, first: list[dict[str, Any]], window: Window | None) -> dict[str, Any]:
    cut = " (outliers cut)" if window and window.cuts else ""
    sections = [
        section(FIRST, f"{objective}{cut}", columns=len(first), cardHeight=480),
        section(OTHERS, "Model metrics"),  # MLflow knows these two by their names
        section(SYSTEM, "System metrics", display=False),
    ]
    return {
        "compareRunCharts": [*first, *map(no_bars, DULL)],
        "compareRunSections": sections,
        "isAccordionReordered": True,
    }


def section(uuid: str, name: str, **more: Any) -> dict[str, Any]:
    state = {"display": True, "isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, **state, **more}


def line(metric: str, window: Window | None) -> dict[str, Any]:
    """All points: "ignore outliers" would cut the first and the last of each curve."""
    shown = {} if window is None else {"range": {"yMin": window.low, "yMax": window.high}}
    return card("curves", "LINE") | {
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "scaleType": "linear" if window is None else window.scale,
        "xAxisKey": "step",
        **shown,
    }


def rates(metric: str) -> dict[str, Any]:
    return card("rates", "PARALLEL") | {
        "selectedParams": ["optimizer", RATE_EXPONENT],
        "selectedMetrics": [metric],
        "showAllRuns": True,
    }


def no_bars(metric: str) -> dict[str, Any]:
    """A chart that MLflow would add of itself, and does not."""
    return card(f"no-{metric}", "BAR") | {"metricKey": metric, "metricSectionId": OTHERS, "deleted": True}


def card(uuid: str, kind: str) -> dict[str, Any]:
    place = {"metricSectionId": FIRST, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, "runsCountToCompare": 100, **place}


def encoded(view: dict[str, Any]) -> str:
    """A state as MLflow stores it in a tag."""
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(view).encode())).decode()


# --- colours ------------------------------------------------------------------------------------------

COLOUR = "mlflow.runColor"
"""The tag from which MLflow's page takes the colour of a run's curves."""
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#A6761D", "#66A61E", "#B2182B",
)  # fmt: skip
"""Of Okabe and Ito, which most colour-blind people can tell apart, with four more for studies of many."""
OWN_COLOUR = "#888888"
"""Of the user's own optimizer, which is none of those that are searched."""
VERDICT_COLOUR = "#222222"
"""Of MLflow's run of the verdict, which has no curves."""


def colour_of(optimizer: str, searched: Sequence[str]) -> str:
    """The colour that an optimizer keeps through a study; searched: the study's optimizers, in the spec's order.

    >>> colour_of("Adam", ["SGD", "Adam"]), colour_of("baseline", ["SGD", "Adam"])
    ('#D55E00', '#888888')
    """
    return COLOURS[searched.index(optimizer) % len(COLOURS)] if optimizer in searched else OWN_COLOUR
