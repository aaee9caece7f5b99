"""What did tuning gain over an optimizer's defaults, and where did it gain nothing?

On fresh seeds of both where the finals trained both. Others have one run at their defaults and the best trial of their
search: a search that has found nothing better than what one gets without it was too short.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optselect.search.verdict.comparing import Interval, mean_interval
from optselect.search.verdict.evidence import (
    DEFAULTS,
    Scale,
    best_configurations,
    contenders,
    current_finals,
)
from optselect.search.verdict.findings import Findings
from optselect.search.verdict.judging import Contender
from optselect.search.verdict.record import Record
from optselect.storage.records.overview import TrialRow, runs_at_defaults

HARDLY = 0.005
"""Share of the cost below which a difference is shown as 0%."""


@dataclass(frozen=True)
class Tuning:
    """One optimizer at its defaults and tuned, on fresh seeds of both."""

    default: float
    tuned: float
    """Both in the values of what was judged, over the common seeds."""
    share: Interval
    """What tuning gained of what the defaults cost; below 0: it lost."""
    seeds: int
    diverged: int
    """Seeds on which the defaults did."""

    @property
    def gain(self) -> float:
        return self.share.mean

    @property
    def lost(self) -> bool:
        """Whether the defaults are better, be it by chance, by more than rounds to nothing."""
        return self.gain < -HARDLY

    @property
    def surely_lost(self) -> bool:
        """Whether they are better beyond the luck of these seeds."""
        return self.lost and self.share.high < 0


@dataclass(frozen=True)
class SingleRuns:
    """One optimizer's run at its defaults and the best trial of its search, in the objective's values."""

    default: float
    tuned: float | None
    """None: no trial reached its last epoch."""
    lost: bool
    """Whether the run at the defaults is better."""


def tunings(found: Findings) -> dict[str, Tuning]:
    """By optimizer, those that the finals trained both ways."""
    scale = found.record.scale
    runs = contenders(current_finals(found.record.trials), scale)
    pairs = {n: (runs.get(f"{n} {DEFAULTS}"), runs.get(n)) for n in found.record.spec.optimizers}
    return {
        name: tuning_of(default, tuned, scale)
        for name, (default, tuned) in pairs.items()
        if default and tuned and default.judged.keys() & tuned.judged
    }


def tuning_of(default: Contender, tuned: Contender, scale: Scale) -> Tuning:
    seeds = sorted(default.judged.keys() & tuned.judged)
    before, after = [default.judged[seed] for seed in seeds], [tuned.judged[seed] for seed in seeds]
    whole = abs(mean(before)) or 1.0
    return Tuning(
        default=scale.value(mean(before)),
        tuned=scale.value(mean(after)),
        share=mean_interval([(cost - then) / whole for cost, then in zip(before, after, strict=True)]),
        seeds=len(seeds),
        diverged=len(default.diverged.intersection(seeds)),
    )


def mean(costs: Sequence[float]) -> float:
    return sum(costs) / len(costs)


def single_runs(record: Record) -> dict[str, SingleRuns]:
    """By optimizer, those whose run at the defaults came to a value."""
    first = runs_at_defaults(record.trials)
    return {name: single_run(record, first[name]) for name in record.spec.optimizers if name in first}


def single_run(record: Record, run: TrialRow) -> SingleRuns:
    tried = best_configurations(record.trials, run.optimizer, record.scale)
    default, tuned = run.value or 0.0, tried[0].value if tried else None
    return SingleRuns(default, tuned, tuned is None or record.objective.better(default, tuned))
