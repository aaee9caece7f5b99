"""What does a person see of a study that runs? Phases, optimizers and workers, drawn anew each second."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from optselect.search.spec.objective import Objective
from optselect.search.spec.stored import stored_spec
from optselect.search.status.pace import NOTHING_KNOWN, Left, time_left
from optselect.search.status.standing import Standing, standing
from optselect.search.status.tables import (
    dash,
    headline,
    plain_table,
    set_aside_lines,
    shown_seconds,
    shown_value,
)
from optselect.search.status.trial_page import sparkline
from optselect.storage.errors import InvalidRow
from optselect.storage.records.overview import ENDED, TrialRow, WorkerRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.records.tickets import SEARCH_PHASES

PHASES = ("baseline", *SEARCH_PHASES, "elimination", "final")
NEWEST = 12
"""Columns of the sparkline of an optimizer; what fits into 80 columns beside the rest."""


@dataclass(frozen=True)
class Sight:
    """A study at one moment."""

    study: StoredStudy
    trials: Sequence[TrialRow]
    workers: Sequence[WorkerRow]
    loading: Sequence[str] = ()
    """What the training processes of this machine said lately of the user's code that they load."""

    @property
    def alive(self) -> list[WorkerRow]:
        return [worker for worker in self.workers if worker.seconds_silent <= SILENT]


def live_view(sight: Sight) -> RenderableType:
    """How far, how long still, who is best and who trains; 80 columns suffice."""
    now, left = standing(sight.study, sight.trials), remaining(sight)
    is_over = sight.study.state == "finished"  # then it is no matter who fell silent
    return Group(
        Text(headline(sight.study, now, left.search), style="bold"),
        Text(phase_line(now, left), style="dim"),
        "",
        by_optimizer(sight.study, now, sight.trials),
        *set_aside_lines(sight.study),
        *(Text(worker_line(worker), style="dim") for worker in (sight.alive if is_over else sight.workers)),
        *(Text(line, style="dim") for line in sight.loading),
    )


def remaining(sight: Sight) -> Left:
    """How long the study takes still, with those who work on it now."""
    if sight.study.state != "running":
        return NOTHING_KNOWN
    running = sum(trial.state == "running" for trial in sight.trials)
    try:
        spec = stored_spec(sight.study)
    except InvalidRow:  # a later version's; how far it is can be seen all the same
        return NOTHING_KNOWN
    return time_left(spec, sight.study.budget, sight.trials, max(len(sight.alive), running))


def phase_line(now: Standing, left: Left) -> str:
    """How much of each phase is done, in the order of the phases; of what comes then, how long it takes."""
    parts = [
        f"{phase} {tally.ended}/{sum(tally.counts.values())}"
        for phase in PHASES
        if (tally := now.by_phase.get(phase)) is not None
    ]
    if left.comparison is not None and left.comparison[1] > 0:
        first, most = map(shown_seconds, left.comparison)
        parts.append(f"then {first if first == most else f'{first} to {most}'} to compare")
    return " · ".join(parts)


def by_optimizer(study: StoredStudy, now: Standing, trials: Sequence[TrialRow]) -> RenderableType:
    """One row for each: what was tried, the best, and how the best came down, trial by trial."""
    columns = ("optimizer", "done", "running", "pruned", "diverged", f"best {study.objective}", "so far")
    table = plain_table(*columns)
    for name, tally in now.by_optimizer.items():
        leads = tally.best is not None and tally.best is now.search.best
        table.add_row(
            name,
            f"{tally.ended} of {sum(tally.counts.values())}",
            *(dash(tally.counts[state]) for state in ("running", "pruned", "diverged")),
            shown_value(tally),
            sparkline(list(best_so_far(trials, name, Objective.of(study)))[-NEWEST:]),
            style="bold green" if leads else "",
        )
    return table


def best_so_far(trials: Sequence[TrialRow], optimizer: str, objective: Objective) -> Iterator[float]:
    """The best value after each of an optimizer's search trials, in the order in which they ended."""
    ended = [t for t in trials if t.searched and t.optimizer == optimizer and t.state in ENDED]
    best: float | None = None
    for trial in sorted(ended, key=lambda trial: trial.finished or 0.0):
        if trial.state == "complete" and trial.value is not None:
            best = trial.value if best is None else objective.best((best, trial.value))
        if best is not None:
            yield best


def worker_line(worker: WorkerRow) -> str:
    """Who it is, how fast and how busy it is, whether it lives."""
    facts = [f"{worker.per_minute:.3g} trials/min"] if worker.per_minute else []
    facts += [usage] if (usage := shown_usage(worker.usage)) else []
    facts += [f"silent for {worker.seconds_silent:.0f} s"] if worker.seconds_silent > SILENT else []
    return f"{worker.host} {worker.device} pid {worker.pid}: {', '.join(facts) or 'begins'}"


SILENT = 5.0
"""Seconds after which one may ask whether a worker lives."""


def shown_usage(usage: Mapping[str, float]) -> str:
    """For a line of `status`.

    >>> shown_usage({"cpu_percent": 97.6, "memory_bytes": 7.4e8})
    '98% of a core, 0.7 GB'
    >>> shown_usage({"cpu_percent": 12.0, "memory_bytes": 2e9, "gpu_used_bytes": 6e9, "gpu_memory_bytes": 24e9})
    'GPU memory 6.0 of 24.0 GB; 12% of a core, 2.0 GB'
    """
    if "cpu_percent" not in usage:
        return ""
    parts = [f"GPU {usage['gpu_percent']:.0f}% busy"] if "gpu_percent" in usage else []
    if "gpu_used_bytes" in usage:
        held = f"{usage['gpu_used_bytes'] / 1e9:.1f} of {usage['gpu_memory_bytes'] / 1e9:.1f} GB"
        parts.append(f"GPU memory {held}")
    own = f"{usage['cpu_percent']:.0f}% of a core, {usage['memory_bytes'] / 1e9:.1f} GB"
    return "; ".join((", ".join(parts), own)) if parts else own
