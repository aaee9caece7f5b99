"""How does a report look in a browser? One file with everything in it: opened without a network, on a phone, on paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import plotly.io
from plotly.offline import get_plotlyjs

import optselect
from optselect.search.report.charts import Chart, Palette, charts
from optselect.search.report.chosen_code import chosen_code
from optselect.search.report.sentences import percent, words_of
from optselect.search.report.verdict_page import beside_leader, shown_interval
from optselect.search.status.tables import shown_arguments
from optselect.search.verdict.findings import Finalist, Findings
from optselect.search.verdict.insight import Curves, insight_of
from optselect.search.verdict.tuning import Tuning, tunings

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


@dataclass(frozen=True)
class Page:
    """A study with a verdict, its figures drawn."""

    found: Findings
    charts: Sequence[Chart]

    @classmethod
    def of(cls, found: Findings, curves: Curves) -> "Page":
        return cls(found, charts(found, insight_of(found, curves)))

    def html(self) -> str:
        """The whole file."""
        found, tuned = self.found, tunings(self.found)
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        return environment.get_template("report.html").render(
            study=found.record.name,
            spec=found.record.spec,
            problem=found.record.problem,
            words=words_of(found),
            metric=found.metric,
            margin=percent(found.judgement.margin),
            code=chosen_code(found),
            better=found.record.objective.which_is_better,
            rows=[finalist_row(found, finalist, tuned.get(finalist.name)) for finalist in found.finalists],
            charts=[(chart, figure_html(chart)) for chart in self.charts],
            plotly=get_plotlyjs(),
            version=optselect.__version__,
        )


def finalist_row(found: Findings, finalist: Finalist, tuning: Tuning | None) -> Mapping[str, object]:
    """A line of the table."""
    lost = tuning is not None and tuning.lost
    untuned = "-" if tuning is None else f"{tuning.default:.4g}{', better' if lost else ''}"
    return {
        "name": Palette.of(found).called(finalist.name),
        "mean": f"{finalist.values.mean:.4g}",
        "interval": shown_interval(finalist.values),
        "defaults": untuned,
        "lost": lost,
        "beside": beside_leader(found, finalist),
        "best": f"{finalist.p_best:.0%}",
        "seeds": finalist.seeds,
        "diverged": finalist.diverged,
        "settings": shown_arguments(finalist.arguments),
    }


def figure_html(chart: Chart) -> str:
    """The figure's own script; Plotly itself stands in the page once."""
    return str(
        plotly.io.to_html(
            chart.figure,
            include_plotlyjs=False,
            full_html=False,
            div_id=f"chart-{chart.key}",
            config={"responsive": True, "displayModeBar": False},
        )
    )


def html_page(found: Findings, curves: Curves) -> str:
    """The verdict with all its figures."""
    return Page.of(found, curves).html()
