"""When is a search trial not worth its remaining epochs? Successive halving among the trials of its own optimizer.

A rung shared by all optimizers would pick the one that starts fastest. The costs at a rung are read from
epoch_log; Optuna's SuccessiveHalvingPruner, which asks six statements each time, is the oracle of the test.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optselect.search.reporting import Reporter
from optselect.trials.outcome import Epoch, Stop

ETA = 3
"""Of three trials that meet at a rung, one goes on."""
FEWEST_EPOCHS = 9
"""A shorter training is not cut: its first rung would be one epoch, which says little about the last."""

FEWEST_TRIALS_TO_CUT = 9
"""Trials of each optimizer below which none is cut: of six, one or two would be left to choose from."""


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


def promoted(cost: float, others: Sequence[float]) -> bool:
    """Tell whether a cost at a rung is among the best third of those seen there so far.

    Below three it must be the best one, so the first always goes on. NaN never does.

    >>> promoted(1.0, []), promoted(2.0, [1.0]), promoted(2.0, [1.0, 3.0, 4.0, 5.0, 6.0])
    (True, False, True)
    """
    ranked = sorted([*(other for other in others if not math.isnan(other)), cost])
    return not math.isnan(cost) and cost <= ranked[max(len(ranked) // ETA, 1) - 1]


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
