"""What does a person see of a study? Tables for the terminal, the same words as Keras and Optuna."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from optselect.search.spec.objective import Objective
from optselect.search.spec.settings import in_order
from optselect.search.spec.stored import stored_description, unchecked_spec
from optselect.search.status.standing import Standing, Tally, better_defaults, ranked, standing
from optselect.storage.records.deaths import set_aside
from optselect.storage.records.overview import StudyRow, TrialRow
from optselect.storage.records.studies import StoredStudy


def headline(study: StoredStudy, now: Standing, seconds_left: float | None = None) -> str:
    """One line: how far, how long still.

    The best is not part of it: the table has it.
    """
    counts = now.search.counts
    if not study.budget:
        return f"{study.name}: first runs, then as many trials as fit in {unchecked_spec(study).minutes} min"
    parts = [f"{study.name}: {now.search.ended} of {study.budget} trials"]
    parts += [study.state] if study.state in ("paused", "stopped") else []
    parts += [
        f"{counts[state]} {state}" for state in ("running", "pruned", "diverged", "failed") if counts[state]
    ]
    parts += [f"about {shown_seconds(seconds_left)} left"] if seconds_left else []
    return ", ".join(parts)


def summary(study: StoredStudy, trials: Sequence[TrialRow]) -> RenderableType:
    """The end of a study: the best run of each optimizer, the user's own beside them."""
    now, objective = standing(study, trials), Objective.of(study)
    table = plain_table(
        "optimizer", "trials", "diverged", f"best {study.objective}", "trial", "settings", wide="settings"
    )
    untuned = better_defaults(now, objective)
    for name, tally in ranked(now.by_optimizer, objective):
        best = tally.best
        table.add_row(
            name,
            str(tally.ended),
            dash(tally.counts["diverged"]),
            shown_value(tally),
            "-" if best is None else str(best.trial),
            "-" if best is None else shown_arguments(best.params),
        )
        if name in untuned:
            run = untuned[name]
            table.add_row(
                AT_DEFAULTS, "1", "-", f"{run.value:.5g}", str(run.trial), f"{name}()", style="yellow"
            )
    if now.baseline is not None:
        table.add_section()
        table.add_row(*baseline_row(study, now.baseline))
    head = Text(headline(study, now), style="bold")
    judged = Text(f"objective {objective.in_words}", style="dim")
    return Group(head, judged, table, *set_aside_lines(study))


def set_aside_lines(study: StoredStudy) -> list[Text]:
    """Who was given up because its trials ended their processes, and why."""
    return [
        Text(f"{name} is {reason}", style="yellow") for name, reason in set_aside(study.decisions).items()
    ]


AT_DEFAULTS = "  at defaults"
"""Below the row of an optimizer, where these do better than what was tuned."""


def baseline_row(study: StoredStudy, baseline: TrialRow) -> tuple[str, ...]:
    own = stored_description(study).baseline
    value = f"{baseline.value:.5g}" if baseline.value is not None else baseline.state
    diverged = "1" if baseline.state == "diverged" else "-"
    return (
        f"yours: {own.optimizer}",
        "1",
        diverged,
        value,
        str(baseline.trial),
        shown_arguments(own.arguments),
    )


def next_commands(study: StoredStudy, finished: bool) -> str:
    """What to type now."""
    lines = [
        *(
            [(f"optselect report {study.name}", "the verdict, with its ranking")]
            if finished and unchecked_spec(study).compares
            else []
        ),
        (f"optselect ui {study.name}", "the curves of every trial, in MLflow"),
        (f"optselect trials {study.name}", "every trial as a row"),
        (f"optselect resume {study.name}" + (" --trials +24" if finished else ""), "search on"),
    ]
    width = max(len(command) for command, _ in lines)
    return "\n".join(f"  {command:<{width}}   {what}" for command, what in lines)


SINGLE_RUNS = (
    "These are best single runs, each the luckiest of its optimizer's trials on one seed: only runs on fresh seeds "
    "tell optimizers apart."
)


def trials_table(study: StoredStudy, trials: Sequence[TrialRow]) -> Table:
    """One row per trial."""
    table = plain_table(
        "trial", "phase", "optimizer", "state", study.objective, "epochs", "settings", wide="settings"
    )
    for trial in trials:
        table.add_row(
            "-" if trial.trial is None else str(trial.trial),
            trial.phase,
            trial.optimizer,
            trial.state,
            "-" if trial.value is None else f"{trial.value:.5g}",
            str(trial.epochs),
            trial.message if trial.message else shown_arguments(trial.params),
        )
    return table


def studies_table(studies: Sequence[StudyRow]) -> Table:
    """One row per study."""
    table = plain_table("study", "state", "trials", "best", "objective", "created")
    for row in studies:
        best = "-" if row.best is None else f"{row.best:.5g}"
        done = f"{row.done} of {row.budget}"
        table.add_row(row.name, row.state, done, best, row.objective, f"{row.created_at:%Y-%m-%d %H:%M}")
    return table


# --- words --------------------------------------------------------------------------------------------

NUMERIC = ("trials", "done", "running", "pruned", "diverged", "trial", "epochs", "tier")


def plain_table(*columns: str, wide: str | None = None) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold"
    )
    for column in columns:
        right = column in NUMERIC or column.startswith("best ")
        table.add_column(
            escape(column),
            justify="right" if right else "left",
            no_wrap=column != wide,
            overflow="fold" if column == wide else "ellipsis",
        )
    return table


def shown_arguments(arguments: Mapping[str, Any]) -> str:
    """Constructor arguments as a person types them.

    >>> shown_arguments({"learning_rate": 0.00123456, "nesterov": True})
    'learning_rate=0.00123, nesterov=True'
    """
    shown = {
        name: f"{value:.3g}" if isinstance(value, float) else str(value)
        for name, value in in_order(arguments).items()
    }
    return ", ".join(f"{name}={value}" for name, value in shown.items()) or "-"


def shown_value(tally: Tally) -> str:
    return "-" if tally.best is None or tally.best.value is None else f"{tally.best.value:.5g}"


def shown_seconds(seconds: float) -> str:
    """A duration in one unit.

    >>> shown_seconds(42.3), shown_seconds(600), shown_seconds(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def dash(number: int) -> str:
    return str(number) if number else "-"
