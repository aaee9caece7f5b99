"""How are the numbers of a report drawn? One Plotly figure for each question; a figure without data is left out.

Each optimizer keeps its colour. Text and grid get theirs in the page, from the reader's light or dark scheme.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from optselect.search.report.sentences import short_name
from optselect.search.report.verdict_page import shown_interval
from optselect.search.verdict.comparing import shown_share
from optselect.search.verdict.findings import Findings
from optselect.search.verdict.insight import ENDS, Insight
from optselect.storage.tracking.chart_views import colour_of
from optselect.trials.terms.configuration import BASELINE

INK = "#222222"
END_COLOURS = ("#D55E00", "#E69F00", "#9AA5B1", "#5B5B5B", "#009E73")
MOST_CURVES = 3
CURVE_PIXELS = 360
ROW_PIXELS = 34
TALL_ROW_PIXELS = 50
"""Of a row with a second line below its name."""


@dataclass(frozen=True)
class Chart:
    """One figure with what it says."""

    key: str
    title: str
    remark: str
    figure: go.Figure


@dataclass(frozen=True)
class Palette:
    """Names and colours of a study's optimizers."""

    own: str
    names: Sequence[str]

    @classmethod
    def of(cls, found: Findings) -> "Palette":
        return cls(f"yours: {short_name(found.record.problem.baseline)}", found.record.spec.optimizers)

    def called(self, name: str) -> str:
        return self.own if name == BASELINE else name

    def colour(self, name: str) -> str:
        return colour_of(name, self.names)


def charts(found: Findings, insight: Insight) -> list[Chart]:
    """Every figure for which there is data, the most telling first."""
    palette = Palette.of(found)
    drawn = [
        ranking_chart(found, palette),
        curves_chart(found, insight, palette),
        budget_chart(found, insight, palette),
        tuning_chart(found, insight, palette),
        sensitivity_chart(found, insight, palette),
        ends_chart(insight),
        target_chart(found, insight, palette),
        importance_chart(insight, palette),
    ]
    return [chart for chart in drawn if chart is not None]


# --- the finals ---------------------------------------------------------------------------------------


def ranking_chart(found: Findings, palette: Palette) -> Chart:
    finalists = list(reversed(found.finalists))
    halves = [f.values.half if math.isfinite(f.values.half) else 0.0 for f in finalists]
    points = [
        go.Scatter(
            x=[finalist.values.mean], y=[palette.called(finalist.name)], mode="markers",
            error_x={"type": "data", "array": [half], "thickness": 2},
            marker={"size": 11, "color": palette.colour(finalist.name)},
            hovertext=f"{finalist.values.mean:.4g} ({shown_interval(finalist.values)}), {finalist.seeds} seeds",
            hoverinfo="text",
        )
        for finalist, half in zip(finalists, halves, strict=True)
    ]  # fmt: skip
    figure = rows_figure(points, len(finalists), found.metric)
    remark = f"Mean {found.metric} over fresh seeds, with 95% intervals. Intervals of single means may overlap where "
    return Chart("ranking", "Who is ahead", remark + "the paired comparison is sure.", figure)


def curves_chart(found: Findings, insight: Insight, palette: Palette) -> Chart | None:
    names = [finalist.name for finalist in found.finalists[:MOST_CURVES]]
    if BASELINE in insight.curves and BASELINE not in names:
        names.append(BASELINE)
    figure = go.Figure()
    for name in names:
        band = insight.curves[name]
        if not band.epochs:
            continue
        colour, called = palette.colour(name), palette.called(name)
        edge = {
            "x": [*band.epochs, *reversed(band.epochs)], "y": [*band.high, *reversed(band.low)], "fill": "toself",
            "fillcolor": faint(colour), "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False,
            "legendgroup": called, "mode": "lines",
        }  # fmt: skip
        figure.add_scatter(**edge)
        figure.add_scatter(
            x=band.epochs, y=band.mean, name=called, mode="lines", legendgroup=called, line={"color": colour, "width": 2.2, "dash": "dot" if name == BASELINE else "solid"}
        )  # fmt: skip
    if not figure.data:
        return None
    figure.update_xaxes(title={"text": "epoch", "font": {"size": 13}})
    objective = found.record.spec.objective
    values = [value for name in names for value in (*insight.curves[name].low, *insight.curves[name].high)]
    dress(figure, objective, values)
    remark = f"{objective} of the finalists: the line is the mean of the fresh seeds, the band reaches from the best to the worst."
    return Chart("curves", "How they learn", remark, figure)


def tuning_chart(found: Findings, insight: Insight, palette: Palette) -> Chart | None:
    if not insight.tuning:
        return None
    names = sorted(insight.tuning, key=lambda name: insight.tuning[name].gain)
    lines = [
        go.Scatter(
            x=[insight.tuning[name].default, insight.tuning[name].tuned], y=[name, name], mode="lines",
            line={"color": palette.colour(name), "width": 3}, hoverinfo="skip", showlegend=False,
        )
        for name in names
    ]  # fmt: skip
    defaults = go.Scatter(
        x=[insight.tuning[name].default for name in names], y=names, mode="markers", name="Keras's defaults",
        marker={"size": 11, "symbol": "circle-open", "line": {"width": 2}, "color": [palette.colour(n) for n in names]},
    )  # fmt: skip
    tuned = go.Scatter(
        x=[insight.tuning[name].tuned for name in names], y=names, mode="markers+text", name="tuned",
        marker={"size": 11, "color": [palette.colour(name) for name in names]},
        text=[shown_share(round(insight.tuning[name].gain, 2) + 0.0, "+.0%") for name in names], textposition="top center",
    )  # fmt: skip
    figure = rows_figure([*lines, defaults, tuned], len(names), found.metric, legend=True)
    figure.update_yaxes(range=[-0.6, len(names) - 0.2])  # or the topmost figure is cut
    values = [value for t in insight.tuning.values() for value in (t.default, t.tuned)]
    if is_wide(values):
        figure.update_xaxes(**log_axis(values))
    remark = "Each optimizer at Keras's defaults and tuned, on the same fresh seeds; the figure is what tuning gained."
    return Chart("tuning", "What tuning gains", remark, figure)


def target_chart(found: Findings, insight: Insight, palette: Palette) -> Chart | None:
    if insight.target is None or not insight.times_to_target:
        return None
    names = [
        finalist.name for finalist in reversed(found.finalists) if finalist.name in insight.times_to_target
    ]
    most = found.record.spec.epochs
    missed = [math.isinf(insight.times_to_target[name].epochs) for name in names]
    bars = go.Bar(
        x=[min(insight.times_to_target[name].epochs, most) for name in names],
        y=[palette.called(name) for name in names],
        orientation="h",
        marker={
            "color": [palette.colour(name) for name in names],
            "opacity": [0.25 if none else 0.9 for none in missed],
        },
        text=[said_time(insight, name) for name in names],
        textposition="auto",
        # Plotly chooses white for a dark colour, whatever its opacity.
        insidetextfont={"color": [INK if none else "white" for none in missed]},
        hoverinfo="skip",
    )
    figure = rows_figure([bars], len(names), "epochs to the target")
    figure.update_xaxes(range=[0, most * 1.02])
    remark = (
        f"Epochs until {found.record.spec.objective} first reaches {insight.target:.4g}, which {insight.target_of} came to "
        "before anything was tuned: median over the seeds. Pale: most seeds never did."
    )
    return Chart("pace", "Who gets there first", remark, figure)


def said_time(insight: Insight, name: str) -> str:
    found = insight.times_to_target[name]
    missed = f", {found.missed} of {found.seeds} missed" if found.missed else ""
    if math.isinf(found.epochs):
        return f"not reached{missed}"
    return f"{found.epochs:g} epochs, {found.seconds:.2g} s{missed}"


# --- the search ---------------------------------------------------------------------------------------


def budget_chart(found: Findings, insight: Insight, palette: Palette) -> Chart | None:
    longest = max((len(curve) for curve in insight.budget.values()), default=0)
    if longest < 2:
        return None
    figure = go.Figure()
    for name, curve in insight.budget.items():
        figure.add_scatter(
            x=[n for n, _ in curve], y=[value for _, value in curve], name=name, mode="lines+markers",
            line={"color": palette.colour(name), "width": 2.2}, marker={"size": 5},
        )  # fmt: skip
    figure.update_xaxes(
        title={"text": "trials of each optimizer", "font": {"size": 13}}, dtick=1 if longest <= 16 else None
    )
    values = [value for curve in insight.budget.values() for _, value in curve]
    expected = "" if found.record.spec.sampler == "learned" else "expected "
    dress(figure, f"{expected}best {found.record.spec.objective}", values)
    counted = "Trials that were cut early count with their last value, diverged ones with a stand-in."
    if found.record.spec.sampler == "learned":
        remark = f"The best single run after so many trials of each optimizer. {counted}"
    else:
        remark = f"The best single run that so many trials are expected to find, from the evenly spread trials only. {counted}"
    return Chart("budget", "What a smaller budget would have found", remark, figure)


def sensitivity_chart(found: Findings, insight: Insight, palette: Palette) -> Chart | None:
    known = {name: s for name, s in insight.sensitivity.items() if s.rates is not None}
    if not known:
        return None
    names = sorted(known, key=lambda name: known[name].near)
    lines = []
    for name in names:
        rates = known[name].rates
        assert rates is not None, "only those were kept"
        lines.append(
            go.Scatter(
                x=list(rates), y=[name, name], mode="lines+markers", showlegend=False,
                line={"color": palette.colour(name), "width": 7}, marker={"size": 9}, hoverinfo="x",
            )
        )  # fmt: skip
    figure = rows_figure(lines, len(names), "learning rate")
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    shares = [
        f"{name}<br><sub>{known[name].near:.0%} · {known[name].decades:.1f} decades</sub>" for name in names
    ]
    figure.update_yaxes(tickvals=names, ticktext=shares)
    figure.update_layout(height=len(names) * TALL_ROW_PIXELS + 90)
    if found.record.spec.sampler == "learned":
        which, share = "settings that the model expects within", "its range that is expected to come"
    else:
        which, share = "trials within", "the trials that came"
    remark = (
        f"The learning rates of the {which} 10% of their optimizer's best. Beside the name: the share of {share} so near, "
        "and the width of the band in decades. Wide is easy to tune."
    )
    return Chart("sensitivity", "How easy they are to tune", remark, figure)


def ends_chart(insight: Insight) -> Chart | None:
    if not insight.ends:
        return None
    names = list(insight.ends)[::-1]
    shown = [end for end in ENDS if any(insight.ends[name][end] for name in names)]
    bars = [
        go.Bar(
            x=[insight.ends[name][end] for name in names], y=names, name=end, orientation="h",
            marker={"color": END_COLOURS[ENDS.index(end)]},
        )
        for end in shown
    ]  # fmt: skip
    figure = rows_figure(bars, len(names), "share of the trials", legend=True)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    remark = (
        "Diverged: learning rates too high. Too slow: hardly moved at the beginning or still falling at the end, the rate "
        "was too low. Cut early: not among the best third of its optimizer. Plateau: trained to its end."
    )
    return Chart("ends", "How the trials ended", remark, figure)


def importance_chart(insight: Insight, palette: Palette) -> Chart | None:
    rows = [
        (name, argument, share)
        for name, found in insight.importance.items()
        for argument, share in found.items()
    ]
    if not rows:
        return None
    rows = rows[::-1]
    bars = go.Bar(
        x=[share for _, _, share in rows], y=[f"{name} {argument}" for name, argument, _ in rows], orientation="h",
        marker={"color": [palette.colour(name) for name, _, _ in rows]},
    )  # fmt: skip
    figure = rows_figure([bars], len(rows), "importance within the optimizer")
    figure.update_xaxes(tickformat=".0%")
    remark = "PED-ANOVA over the finished search trials of each optimizer, which early cuts have selected; none below 20 trials."
    return Chart("importance", "Which settings matter", remark, figure)


# --- dress --------------------------------------------------------------------------------------------


def rows_figure(traces: Sequence[object], rows: int, title: str, *, legend: bool = False) -> go.Figure:
    """A figure with a row for each name."""
    figure = go.Figure(list(traces))
    figure.update_layout(
        height=rows * ROW_PIXELS + (130 if legend else 90), showlegend=legend, **plain_layout()
    )
    figure.update_xaxes(title={"text": title, "font": {"size": 13}})
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def dress(figure: go.Figure, title: str, values: Sequence[float]) -> None:
    """A figure with curves; a wide range of values gets a logarithmic axis."""
    figure.update_layout(height=CURVE_PIXELS, showlegend=True, **plain_layout())
    figure.update_yaxes(title={"text": title, "font": {"size": 13}}, automargin=True)
    if is_wide(values):
        figure.update_yaxes(**log_axis(values))


def is_wide(values: Sequence[float]) -> bool:
    """Whether values are better seen on a logarithmic axis.

    >>> is_wide([1.0, 30.0]), is_wide([1.0, 3.0]), is_wide([-1.0, 30.0])
    (True, False, False)
    """
    return bool(values) and min(values) > 0 and max(values) > 8 * min(values)


def log_axis(values: Sequence[float]) -> Mapping[str, object]:
    """A logarithmic axis with whole numbers at 1, 2, 5, 10: Plotly's own leave out the zeros."""
    lowest, highest = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 2, 5) if highest - lowest < 4 else (1,)
    ticks = [step * 10.0**power for power in range(lowest, highest + 1) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:.4g}" for tick in ticks]}


def plain_layout() -> Mapping[str, object]:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 10, "r": 12, "t": 10, "b": 10},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
    }


def faint(colour: str) -> str:
    """A colour as the band around a line.

    >>> faint("#0072B2")
    'rgba(0,114,178,0.15)'
    """
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
