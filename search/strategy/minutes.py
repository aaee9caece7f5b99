"""How much is searched within so many minutes? Decided at the pace of the baseline runs."""

from collections.abc import Sequence
from dataclasses import replace

from optselect.search.strategy.protocol import Strategy
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.phases import Step


def planned_search(strategy: Strategy, baselines: Sequence[TrialRow]) -> Step:
    """The search that fits into the minutes, at the pace of the baseline runs that have just ended."""
    seconds = seconds_of(baselines)
    runs = int((60 * (strategy.spec.minutes or 0) - seconds) * len(baselines) / max(seconds, 1e-3))
    budget = fitting_budget(strategy, runs)
    return replace(strategy.search(budget), budget=budget)


def seconds_of(trials: Sequence[TrialRow]) -> float:
    """How long trials took together, from the first one's beginning to the last one's end.

    The server's clock tells it, which may be set meanwhile; so it is held between the longest of them and their sum, as
    the workers measured them by clocks that cannot, with a second for what lies between two trials.
    """
    begun = [trial.started for trial in trials if trial.started is not None]
    ended = [trial.finished for trial in trials if trial.finished is not None]
    own = [trial.result.get("seconds", trial.seconds or 0.0) for trial in trials]
    return float(min(max(max(ended) - min(begun), *own), sum(own) + len(own)))


def fitting_budget(strategy: Strategy, runs: int) -> int:
    """The most search trials that leave room for the evaluation that follows them; at least one per optimizer."""
    least = len(strategy.spec.optimizers)
    fitting = (n for n in range(runs, least, -1) if n + strategy.evaluation_runs(n) <= runs)
    return max(least, next(fitting, least))
