"""How long will a study take still? From what its trials took so far; a pure function of what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.choosing import strategy_of
from optselect.storage.records.overview import ENDED, TrialRow
from optselect.trials.terms.configuration import BASELINE

COMPARISON = ("elimination", "final")


@dataclass(frozen=True)
class Left:
    """Seconds from now on; None where nothing is known."""

    search: float | None
    """Until the last search trial has ended."""
    comparison: tuple[float, float] | None
    """Of the runs on fresh seeds: if the first look decides, and if every comparison stays open to the last one."""


NOTHING_KNOWN = Left(None, None)


def time_left(spec: StudySpec, budget: int, trials: Sequence[TrialRow], hands: int) -> Left:
    """What remains, shared by so many workers.

    A trial for which a program was compiled takes longer than those that find it, so the two are told apart.
    """
    pace = Pace.of(trials)
    if pace is None or not hands:
        return NOTHING_KNOWN
    to_come = [trial for trial in trials if trial.state == "waiting" and trial.phase not in COMPARISON]
    unplanned = max(0, budget - sum(trial.searched for trial in trials))
    ahead = sum(pace.of_trial(trial.optimizer) for trial in to_come) + unplanned * pace.mean
    missing = {trial.optimizer for trial in to_come} - pace.built
    ahead += (len(missing) + compiled_again(to_come, unplanned, hands)) * pace.compiling
    under_way = [trial for trial in trials if trial.state == "running" and trial.phase not in COMPARISON]
    ahead += sum(max(0.0, pace.of_trial(trial.optimizer) - (trial.seconds or 0.0)) for trial in under_way)
    compared = sum(trial.phase in COMPARISON and trial.state in ENDED for trial in trials)
    strategy = strategy_of(spec)
    first, most = (
        max(0, runs(budget) - compared) * pace.mean / hands
        for runs in (strategy.evaluation_runs, strategy.most_evaluation_runs)
    )
    return Left(ahead / hands, (first, most) if most else None)


def compiled_again(to_come: Sequence[TrialRow], unplanned: int, hands: int) -> int:
    """How many programs are compiled that another worker holds.

    Workers share the optimizers out among them. Towards the end of a phase whoever has none left helps with another's.
    """
    if len({trial.optimizer for trial in to_come}) < 2:
        return 0
    phases = {trial.phase for trial in to_come if trial.searched}
    return (hands - 1) * (len(phases) + (unplanned > 0))


@dataclass(frozen=True)
class Pace:
    """Seconds of a trial that finds its program, by optimizer, and what compiling one adds."""

    by_optimizer: dict[str, float]
    mean: float
    compiling: float
    built: frozenset[str]
    """Optimizers for which a worker holds a program."""

    @classmethod
    def of(cls, trials: Sequence[TrialRow]) -> "Pace | None":
        """From the trials that ended; None while there is none."""
        timed = [(t, t.seconds) for t in trials if t.state in ENDED and t.seconds is not None]
        if not timed:
            return None
        builders = [seconds for trial, seconds in timed if trial.notes.get("programs_built")]
        others: dict[str, list[float]] = {}
        for trial, seconds in timed:
            if not trial.notes.get("programs_built"):
                others.setdefault(trial.optimizer, []).append(seconds)
        found = [seconds for each in others.values() for seconds in each]
        mean = fmean(found or builders)
        return cls(
            {name: fmean(each) for name, each in others.items()},
            mean,
            max(0.0, fmean(builders) - mean) if builders else 0.0,
            frozenset(trial.optimizer for trial, _ in timed) - {BASELINE},
        )

    def of_trial(self, optimizer: str) -> float:
        """Seconds of one that finds its program."""
        return self.by_optimizer.get(optimizer, self.mean)
