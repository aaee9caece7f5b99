"""When is a search trial not worth its remaining epochs? Successive halving among the trials of its own optimizer.

A rung shared by all optimizers would pick the one that starts fastest. The costs at a rung are ranked in
epoch_log by one statement; Optuna's SuccessiveHalvingPruner, which asks six statements each time, is the oracle of the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optselect.search.reporting import Reporter
from optselect.trials.outcome import Epoch, Stop

ETA = 3
"""Of three trials that meet at a rung, one goes on."""
FEWEST_EPOCHS = 9
"""A shorter training is not cut: its first rung would be one epoch, which says little about the last."""

FEWEST_TRIALS_TO_CUT = 25
"""Trials of each optimizer below which none is cut: with twelve, one training in three was saved and a wrong winner named
two or three times as often (docs/verdict-measured.md)."""


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs at which a trial may be cut; never the last one, where it is finished.

    >>> rungs(25), rungs(27), rungs(8)
    ((2, 6, 18), (3, 9), ())
    """
    if epochs < FEWEST_EPOCHS:
        return ()
    found, rung = [], max(1, epochs // 9)
    while rung < epochs:
        found.append(rung)
        rung *= ETA
    return tuple(found)


def promoted(better: int, others: int) -> bool:
    """Tell whether a trial is among the best third at a rung, where so many others were seen, so many of them better.

    Below three it must be the best one, so the first always goes on.

    >>> promoted(0, 0), promoted(1, 1), promoted(1, 5)
    (True, False, True)
    """
    return better < max((others + 1) // ETA, 1)


@dataclass
class Halving:
    """What the trainer calls in place of the reporter: reports, then ends the trial where a rung says so."""

    report: Reporter
    at: Sequence[int]  # the rungs
    why_cut: Callable[[Epoch], str]
    because: str = ""

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        stop = self.report(epochs, snapshot)
        if stop is None and epochs and epochs[-1].number in self.at:
            self.because = self.why_cut(epochs[-1])
        return stop or (Stop(self.because) if self.because else None)
