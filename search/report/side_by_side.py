"""What differs between two studies, and what may be said of both together?

Values are compared only where they measure the same: the same data, source, objective, epochs and kind of evidence.
Whatever else is missing is said instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from optselect.search.documents import SCHEMA, ComparedPair, ComparedStudy
from optselect.search.report.sentences import words_of
from optselect.search.report.verdict_page import bounds
from optselect.search.spec.stored import stored_description
from optselect.search.spec.study_spec import differences
from optselect.search.status.standing import Tally, standing
from optselect.search.status.tables import plain_table, shown_arguments, shown_value
from optselect.search.verdict.comparing import Interval, mean_interval, p_value, shown_share
from optselect.search.verdict.evidence import Scale, contenders, current_finals, scale_of
from optselect.search.verdict.findings import Findings, NoVerdict, find
from optselect.search.verdict.judging import Outcome
from optselect.search.verdict.record import Record
from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.configuration import BASELINE

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Side:
    """One of the two."""

    study: StoredStudy
    record: Record
    found: Findings | NoVerdict

    @classmethod
    def of(cls, study: StoredStudy, record: Record) -> "Side":
        return cls(study, record, find(record))

    @property
    def search(self) -> Tally:
        return standing(self.study, self.record.trials).search


@dataclass(frozen=True)
class Distance:
    """How far apart the two choices are, in cost: above 0 where the second one is worse."""

    difference: Interval
    share: float
    """Of the first one's mean cost."""
    p: float
    seeds: int
    """Common to both; 0 where they have none, and the runs are compared as they are."""

    @property
    def shown(self) -> bool:
        return self.p < SIGNIFICANT


@dataclass(frozen=True)
class Pair:
    """Two studies side by side."""

    first: Side
    second: Side
    differs: Sequence[str]
    obstacles: Sequence[str]
    """Why their values cannot be compared; empty where they can."""
    distance: Distance | None
    """None where there is an obstacle, or both say the same."""

    @classmethod
    def of(cls, first: Side, second: Side) -> "Pair":
        obstacles = list(obstacles_between(first, second))
        same = not obstacles and choice(first) == choice(second)
        distance = None if obstacles or same else distance_between(first, second)
        return cls(first, second, list(what_differs(first, second)), obstacles, distance)


def what_differs(first: Side, second: Side) -> Iterator[str]:
    """A few words each, from the first to the second."""
    yield from differences(first.record.spec, second.record.spec)
    yield from changed("source", first.study.bundle_sha256[:12], second.study.bundle_sha256[:12])
    yield from changed("data", first.study.data_hash[:12], second.study.data_hash[:12])
    for name in sorted({*first.study.versions, *second.study.versions}):
        yield from changed(
            name, first.study.versions.get(name, "none"), second.study.versions.get(name, "none")
        )


def changed(name: str, old: str, new: str) -> Iterator[str]:
    if old != new:
        yield f"{name} {old} -> {new}"


def obstacles_between(first: Side, second: Side) -> Iterator[str]:
    """Why no value of one may be held against one of the other."""
    if first.study.data_hash != second.study.data_hash:
        yield "their data differs"
    if first.study.bundle_sha256 != second.study.bundle_sha256:
        yield "their problem's source differs, and with it perhaps the model"
    one, other = first.record.spec, second.record.spec
    objectives = (first.record.objective, second.record.objective)
    if objectives[0] != objectives[1]:
        same = objectives[0].name == objectives[1].name
        judged = [objective.in_words if same else objective.name for objective in objectives]
        yield f"one is judged by {judged[0]}, the other by {judged[1]}"
    if one.epochs != other.epochs:
        yield f"one trains {one.epochs} epochs, the other {other.epochs}"
    for side in (first, second):
        if isinstance(side.found, NoVerdict):
            yield f"{side.study.name} has no verdict"
    tested = {side.found.tested for side in (first, second) if isinstance(side.found, Findings)}
    if len(tested) > 1:
        yield "only one was judged on data that no choice has seen"


def choice(side: Side) -> tuple[str, str]:
    """What a study says to use, and its settings."""
    found = verdict_of(side)
    return found.keep, shown_arguments(found.finalist(found.keep).arguments)


def verdict_of(side: Side) -> Findings:
    assert isinstance(side.found, Findings), "no obstacle: both have a verdict"
    return side.found


def distance_between(first: Side, second: Side) -> Distance:
    """Seed by seed where both had the same seeds; else by Welch's interval of two means."""
    scale = scale_of(first.record.objective, [*first.record.trials, *second.record.trials])
    one, other = costs_of(first, scale), costs_of(second, scale)
    whole = abs(sum(one.values()) / len(one)) or 1.0
    seeds = sorted(one.keys() & other)
    if len(seeds) > 1:
        gaps = [other[seed] - one[seed] for seed in seeds]
        interval, p = mean_interval(gaps), p_value(gaps)
    else:
        seeds = []
        interval, p = welch(list(one.values()), list(other.values()))
    return Distance(interval, interval.mean / whole, p, len(seeds))


def costs_of(side: Side, scale: Scale) -> dict[int, float]:
    name, _ = choice(side)
    return dict(contenders(current_finals(side.record.trials), scale)[name].judged)


def welch(one: Sequence[float], other: Sequence[float]) -> tuple[Interval, float]:
    """The difference of two means of different runs, and its p-value.

    >>> found, p = welch([1.0, 2.0, 3.0], [11.0, 12.0, 13.0])
    >>> round(found.mean, 6), found.low > 7, p < 0.001
    (10.0, True, True)
    """
    from scipy import stats  # more than half a second

    test = stats.ttest_ind(other, one, equal_var=False)
    bounds = test.confidence_interval(0.95)
    mean = sum(other) / len(other) - sum(one) / len(one)
    return Interval(mean, float(bounds.low), float(bounds.high)), float(test.pvalue)


# --- words --------------------------------------------------------------------------------------------


def together(pair: Pair) -> str:
    """What may be said of both; never a comparison of what differs."""
    one, other = pair.first.study.name, pair.second.study.name
    if pair.obstacles:
        return f"Their values cannot be compared: {'; '.join(pair.obstacles)}."
    (first, settings), (second, _) = choice(pair.first), choice(pair.second)
    if pair.distance is None:
        return f"The same data and source, and both say: {called(pair.first, first)} ({settings})."
    where = f"on {pair.distance.seeds} common seeds" if pair.distance.seeds else "on seeds of their own"
    metric = verdict_of(pair.first).metric
    better, worse = (one, other) if pair.distance.difference.mean > 0 else (other, one)
    ahead, behind = (
        (called(pair.first, first), called(pair.second, second))
        if better == one
        else (called(pair.second, second), called(pair.first, first))
    )
    if not pair.distance.shown:
        return (
            f"The same data and source: {where} no difference is shown between {called(pair.first, first)} of {one} and "
            f"{called(pair.second, second)} of {other} in {metric} (p {pair.distance.p:.2g})."
        )
    return (
        f"The same data and source: use {ahead} of {better}. {where[:1].upper()}{where[1:]} its {metric} is "
        f"{shown_share(abs(pair.distance.share), '.1%')} better than that of {behind} of {worse} (p {pair.distance.p:.2g})."
    )


def called(side: Side, name: str) -> str:
    return f"your own {side.record.problem.baseline.optimizer}" if name == BASELINE else name


def pair_page(pair: Pair) -> RenderableType:
    """Both as columns, then what differs and what may be said together."""
    table = plain_table("", pair.first.study.name, pair.second.study.name, wide=pair.second.study.name)
    for column in table.columns[1:]:
        column.no_wrap, column.overflow = False, "fold"
    for name, one in facts(pair.first).items():
        table.add_row(name, one, facts(pair.second)[name])
    differs = [Text(f"  {line}") for line in pair.differs] or [Text("  nothing")]
    return Group(
        table, "", Text("what differs", style="bold"), *differs, "", Text(together(pair), style="bold")
    )


def facts(side: Side) -> dict[str, str]:
    best = side.search.best
    value = shown_value(side.search)
    return {
        "state": side.study.state,
        "trials": f"{side.search.ended} of {side.study.budget}",
        "objective": side.study.objective,
        "best": value if best is None else f"{value} ({best.optimizer}, trial {best.trial}; a single run)",
        "verdict": side.found.reason if isinstance(side.found, NoVerdict) else words_of(side.found).headline,
    }


def pair_json(pair: Pair) -> ComparedPair:
    """The same as data; a difference above 0 means that the second study's choice costs more."""
    distance = pair.distance
    return {
        "schema": SCHEMA,
        "studies": [side_json(side) for side in (pair.first, pair.second)],
        "differences": list(pair.differs),
        "comparable": not pair.obstacles,
        "obstacles": list(pair.obstacles),
        "together": together(pair),
        "distance": None
        if distance is None
        else {
            "mean": distance.difference.mean,
            "ci": bounds(distance.difference),
            "share": distance.share,
            "p": distance.p,
            "seeds": distance.seeds,
        },
    }


def side_json(side: Side) -> ComparedStudy:
    best = side.search.best
    outcome, keep, answer = said_by(side.found)
    return {
        "study": side.study.name,
        "state": side.study.state,
        "budget": side.study.budget,
        "trials": side.search.ended,
        "objective": side.study.objective,
        "problem": stored_description(side.study).name,
        "data_sha256": side.study.data_hash,
        "best": None
        if best is None
        else {"trial": best.trial, "optimizer": best.optimizer, "value": best.value},
        "outcome": outcome,
        "keep": keep,
        "answer": answer,
    }


def said_by(found: Findings | NoVerdict) -> tuple[Outcome | None, str | None, str]:
    """Outcome, who is to be kept, and both in words."""
    if isinstance(found, NoVerdict):
        return None, None, found.reason
    return found.outcome, found.keep, words_of(found).answer
