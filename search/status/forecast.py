"""What will a study cost? Trials by phase and optimizer, at the pace of a few real batches; a pure function of both."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from optselect.search.documents import SCHEMA, Plan, PlannedOptimizer
from optselect.search.spec.objective import Objective
from optselect.search.spec.study_spec import StudySpec
from optselect.search.status.tables import dash, plain_table, shown_seconds
from optselect.search.strategy.choosing import strategy_of
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.rehearsal import Rehearsal


@dataclass(frozen=True)
class Row:
    """One optimizer's part of the budget."""

    name: str
    defaults: int
    search: int
    seconds_per_epoch: float | None
    """None where it was not measured."""
    seconds_begin: float


@dataclass(frozen=True)
class Forecast:
    """The whole study, trained by so many workers."""

    spec: StudySpec
    rows: tuple[Row, ...]
    workers: int
    memory_bytes: int
    seconds_start: float
    """Until the first worker can begin."""
    evaluation: tuple[int, int] | None
    """Runs on fresh seeds: of the first look, and where every comparison stays open to the last one.

    None where minutes decide, after the first runs, how much is searched.
    """

    @classmethod
    def of(cls, spec: StudySpec, rehearsal: Rehearsal, workers: int, seconds_start: float) -> "Forecast":
        evaluation = None
        if spec.minutes is None:
            strategy = strategy_of(spec)
            evaluation = strategy.evaluation_runs(spec.trials), strategy.most_evaluation_runs(spec.trials)
        return cls(
            spec,
            rows_of(spec, rehearsal),
            max(workers, 1),
            rehearsal.memory_bytes,
            seconds_start,
            evaluation,
        )

    @property
    def mean_epoch(self) -> float:
        """Seconds of an epoch, over the optimizers that were measured; 0 where none was."""
        measured = [row.seconds_per_epoch for row in self.rows if row.seconds_per_epoch]
        return sum(measured) / len(measured) if measured else 0.0

    def seconds(self, evaluation: int) -> float:
        """From the first trial to the verdict."""
        epochs = self.spec.epochs
        own = sum(
            (row.defaults + row.search) * (row.seconds_per_epoch or self.mean_epoch) for row in self.rows
        )
        begin = sum(row.seconds_begin for row in self.rows)
        training = (own + evaluation * self.mean_epoch) * epochs + begin
        return self.seconds_start + training / self.workers

    @property
    def range_seconds(self) -> tuple[float, float] | None:
        """The shortest and the longest way to a verdict; None where minutes say it, or no epoch could be projected."""
        if self.evaluation is None or not self.mean_epoch:
            return None
        first, longest = self.evaluation
        return self.seconds(first), self.seconds(longest)


def rows_of(spec: StudySpec, rehearsal: Rehearsal) -> tuple[Row, ...]:
    """The user's own first, then the study's in their order, then what is nobody's for certain, at the mean pace."""
    strategy = strategy_of(spec)
    share, runs = min(strategy.share(spec.trials), spec.trials), strategy.baselines()
    given = max(0, spec.trials - share * len(spec.optimizers))
    rows = [row_of(BASELINE, 1, 0, rehearsal)]
    for name in spec.optimizers:
        rows.append(row_of(name, sum(run.optimizer == name for run in runs), share, rehearsal))
    return (*rows, *([Row(strategy.rest, 0, given, None, 0.0)] if given else []))


def row_of(name: str, defaults: int, search: int, rehearsal: Rehearsal) -> Row:
    one = rehearsal.optimizers.get(name)
    pace = None if one is None or not one.seconds_per_epoch else one.seconds_per_epoch
    return Row(name, defaults, search, pace, 0.0 if one is None else one.seconds_begin)


# --- words --------------------------------------------------------------------------------------------


def forecast_page(study: str, forecast: Forecast) -> RenderableType:
    """The table and what it comes to."""
    spec = forecast.spec
    head = (
        f"{study}: {len(spec.optimizers)} optimizers, {spec.trials or 'as many as fit in ' + str(spec.minutes) + ' min'} "
        f"search trials of up to {spec.epochs} epochs"
    )
    judged = Text(f"objective {Objective.of(spec).in_words}", style="dim")
    table = plain_table("optimizer", "defaults", "trials", "one epoch", "one trial")
    for row in forecast.rows:
        pace = row.seconds_per_epoch
        table.add_row(
            "yours" if row.name == BASELINE else row.name,
            dash(row.defaults),
            dash(row.search),
            "-" if pace is None else fine_seconds(pace),
            "-" if pace is None else fine_seconds(pace * spec.epochs),
        )
    return Group(Text(head, style="bold"), judged, table, "", *(Text(line) for line in lines_of(forecast)))


def lines_of(forecast: Forecast) -> list[str]:
    """Sentences below the table."""
    first, longest = forecast.evaluation or (0, 0)
    lines = []
    if first < longest:
        lines.append(
            f"then {first} to {longest} runs on fresh seeds: more of them only where the first leave it open"
        )
    elif first:
        lines.append(f"then {first} runs on fresh seeds")
    workers = f"{forecast.workers} worker{'s' if forecast.workers > 1 else ''}"
    if forecast.spec.minutes is not None:
        lines.append(
            f"trials are planned after the first runs, to end within {forecast.spec.minutes} min on {workers}"
        )
    elif (found := forecast.range_seconds) is not None:
        low, high = found
        end = shown_seconds(low) if first == longest else f"{shown_seconds(low)} to {shown_seconds(high)}"
        lines.append(f"about {end} on {workers}")
    else:
        lines.append("how long it takes is not known: the data does not say how many batches an epoch has")
    if forecast.spec.few_trials:
        lines.append(forecast.spec.few_trials)
    lines.append(f"each worker takes about {forecast.memory_bytes / 1e9:.1f} GB of memory")
    lines.append("timed on the first batches of the data; pruning makes it shorter; nothing was stored")
    return lines


def fine_seconds(seconds: float) -> str:
    """A short time, with a unit that shows it.

    >>> fine_seconds(0.0023), fine_seconds(4.21), fine_seconds(600)
    ('2.3 ms', '4.2 s', '10 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else shown_seconds(seconds)


def forecast_json(study: str, forecast: Forecast) -> Plan:
    """The same as data."""
    found = forecast.range_seconds
    return {
        "schema": SCHEMA,
        "study": study,
        "trials": forecast.spec.trials,
        "epochs": forecast.spec.epochs,
        "objective": forecast.spec.objective,
        "direction": forecast.spec.direction,
        "workers": forecast.workers,
        "optimizers": [row_json(row) for row in forecast.rows],
        "evaluation_runs": None if forecast.evaluation is None else list(forecast.evaluation),
        "seconds": None if found is None else list(found),
        "memory_bytes": forecast.memory_bytes,
    }


def row_json(row: Row) -> PlannedOptimizer:
    return {
        "optimizer": row.name,
        "defaults": row.defaults,
        "search": row.search,
        "seconds_per_epoch": row.seconds_per_epoch,
        "seconds_begin": row.seconds_begin,
    }
