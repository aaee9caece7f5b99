"""What did one method cost on one workload? Plain data: a measuring process prints it, the command reads it."""

import dataclasses
import json
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

import psutil


@dataclass(frozen=True)
class Cost:
    """CPU time of all threads and of children that have ended, and time on the clock, both in seconds."""

    cpu: float
    wall: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu - other.cpu, self.wall - other.wall)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu + other.cpu, self.wall + other.wall)

    def times(self, factor: float) -> "Cost":
        """Give the cost of so many of it."""
        return Cost(self.cpu * factor, self.wall * factor)


NOTHING = Cost(0.0, 0.0)


@dataclass(frozen=True)
class Trial:
    """One training."""

    label: str  # of its optimizer
    first: bool  # the first of its optimizer in this process
    cost: Cost  # without the self-check
    check: Cost = NOTHING  # what the self-check's own fit took


@dataclass(frozen=True)
class Measured:
    """One process: its start until data and imports are there, its trials, and all it took."""

    start: Cost
    trials: Sequence[Trial]
    whole: Cost = NOTHING
    notes: Sequence[str] = field(default=())

    def warm(self) -> Cost:
        """The median trial whose optimizer had been trained before in this process."""
        return middle(trial.cost for trial in self.trials if not trial.first)

    def first(self) -> Cost:
        """The median first trial of an optimizer; the very first of the process, which warms up all, counts too."""
        return middle(trial.cost for trial in self.trials if trial.first)

    def check(self) -> Cost:
        """The median self-check."""
        return middle(trial.check for trial in self.trials if trial.first)

    def median(self) -> Cost:
        """The median of all trials."""
        return middle(trial.cost for trial in self.trials)

    def search(self, trials: int) -> tuple[Cost, bool]:
        """What a search of so many trials took, from the start of the process; True where it is projected."""
        taken = [trial.cost + trial.check for trial in self.trials[:trials]]
        total = sum(taken, self.start)
        if len(taken) == trials:
            return total, False
        mean = (total - self.start).times(1 / len(taken))
        return self.start + mean.times(trials), True

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps(dataclasses.asdict(self))


def from_json(line: str) -> Measured:
    """Read what to_json wrote."""
    plain = json.loads(line)
    trials = [
        Trial(one["label"], one["first"], Cost(**one["cost"]), Cost(**one["check"]))
        for one in plain["trials"]
    ]
    return Measured(Cost(**plain["start"]), trials, Cost(**plain["whole"]), plain["notes"])


def middle(costs: Iterable[Cost]) -> Cost:
    """The median by CPU and by wall, each for itself; NaN where there is none."""
    listed = list(costs)
    if not listed:
        return Cost(float("nan"), float("nan"))
    return Cost(median(cost.cpu for cost in listed), median(cost.wall for cost in listed))


def so_far() -> Cost:
    """What this process and its ended children took since it was started."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(
        sum(one.ru_utime + one.ru_stime for one in times), time.time() - psutil.Process().create_time()
    )
