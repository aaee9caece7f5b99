"""When is a search trial not worth its remaining epochs? Successive halving among the trials of its own optimizer.

A rung shared by all optimizers would pick the one that starts fastest. The costs at a rung are ranked in
epoch_log by one statement; Optuna's SuccessiveHalvingPruner, which asks six statements each time, is the oracle of the test.
A validation that says nothing of its training yet cuts none.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optselect.search.spec.objective import Objective
from optselect.trials.terms.outcome import Epoch, Stop

LOSS = Objective("val_loss", "minimize")
LEARNED = 0.02
"""A training has learned once it is better than its first epoch by more than so much of it."""
LEAST_SHARE = 0.1
"""The share of what a training has learned that its validation must show; measured in docs/decisions/0065-*.md."""


def says_nothing_yet(first: Epoch, rung: Epoch, objective: Objective) -> bool:
    """Tell whether a validation does not show yet what its training has learned since its first epoch.

    So it is with BatchNormalization and few steps: the moving averages lag behind the weights. In the first epoch itself
    a validation must only be better than the training was on average. A score that training does not have is
    judged by the losses.

    >>> first, young = Epoch(1, {"loss": 2.1, "val_loss": 57.0}, 0), Epoch(3, {"loss": 0.9, "val_loss": 332.0}, 0)
    >>> says_nothing_yet(first, first, LOSS), says_nothing_yet(first, young, Objective("val_recall", "maximize"))
    (True, True)
    >>> says_nothing_yet(first, Epoch(3, {"loss": 0.9, "val_loss": 1.3}, 0), LOSS)
    False
    >>> says_nothing_yet(first, Epoch(3, {"loss": 2.2, "val_loss": 332.0}, 0), LOSS)  # nor has training
    False
    """
    judged = objective if objective.name.removeprefix("val_") in first.metrics else LOSS
    training = judged.name.removeprefix("val_")
    if training not in first.metrics or judged.name not in rung.metrics:
        return False
    began, trained = judged.cost(first.metrics[training]), judged.cost(rung.metrics.get(training, math.nan))
    learned, shown = began - trained, began - judged.cost(rung.metrics[judged.name])
    has_learned = rung.number == first.number or learned > LEARNED * abs(began)
    return has_learned and not shown > LEAST_SHARE * learned  # a NaN shows nothing


@dataclass
class Halving:
    """What the trainer calls in place of the reporter: reports, then ends the trial where a rung says so."""

    report: Callable[[Sequence[Epoch], Callable[[], bytes]], Stop | None]
    at: Sequence[int]  # the rungs
    why_cut: Callable[[Epoch, Epoch], str]  # of the first epoch and the rung's
    first: Epoch | None = None  # where an earlier attempt trained it
    because: str = ""

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        stop = self.report(epochs, snapshot)
        if epochs:
            self.first = self.first or epochs[0]
        if stop is None and self.first and epochs and epochs[-1].number in self.at:
            self.because = self.why_cut(self.first, epochs[-1])
        return stop or (Stop(self.because) if self.because else None)
