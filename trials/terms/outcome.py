"""How did one trial end, and with which numbers?"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optselect.trials.terms.ladder_step import LadderStep


class Outcome(enum.Enum):
    """How a trial ended."""

    COMPLETE = "complete"  # every epoch was trained, or the user's own callback ended it early
    DIVERGED = "diverged"  # the training loss is not finite or exploded: a result, not an error
    FAILED = "failed"  # an exception of the user's code or of Keras, or the memory was too small
    STOPPED = "stopped"  # on_epochs answered Stop


@dataclass(frozen=True)
class Epoch:
    """One trained and validated epoch."""

    number: int  # from 1
    metrics: Mapping[str, float]  # Keras's own names as in History, and "learning_rate" at the epoch's end
    ended_ms: int  # since 1970, stamped once: a later report must not move it


def numbers_in(logs: Mapping[str, Any]) -> dict[str, float]:
    """Give what is one number in the logs of an epoch; a metric of several, as F1Score's for each class, has no curve.

    >>> numbers_in({"loss": 0.5, "f1_score": np.array([0.25]), "f1_of_each": np.array([0.25, 1.0])})
    {'loss': 0.5, 'f1_score': 0.25}
    """
    return {name: float(np.asarray(value).item()) for name, value in logs.items() if np.size(value) == 1}


@dataclass(frozen=True)
class Stop:
    """The answer of on_epochs that ends a trial."""

    reason: str  # one sentence for the user


OUT_OF_MEMORY = "out of memory"
RATE_SET_TWICE = "a callback sets the learning rate, which has a schedule"


@dataclass(frozen=True)
class TrialResult:
    """What one call of run_trial trained; a resumed trial's curve begins after its snapshot."""

    outcome: Outcome
    curve: tuple[Epoch, ...]
    reason: str = ""  # one sentence for the user: "loss is not finite at epoch 3"
    initial: Mapping[str, float] = field(default_factory=dict)  # the untrained model: {"val_loss": 2.3, ...}
    test: Mapping[str, float] | None = None  # {"loss": ...}, only if asked for and the trial is complete
    step: LadderStep | None = None  # of the ladder; None where none was reached
    jit: bool = False  # whether XLA compiled what was trained

    @property
    def is_out_of_memory(self) -> bool:
        """Whether it failed for want of memory: its process should not go on."""
        return self.outcome is Outcome.FAILED and self.reason.startswith(OUT_OF_MEMORY)

    @property
    def ends_study(self) -> bool:
        """Whether every further trial with a schedule would fail in the same way."""
        return self.outcome is Outcome.FAILED and self.reason.startswith(RATE_SET_TWICE)


ABOUT_ZERO = 1e-6  # a first epoch's loss below this says nothing about what is large
MOST_RISE = 1000.0  # a loss of 2 may grow to 2002: measured in docs/decisions/0009-divergence-is-a-result.md


def loss_limit(first_loss: float, rise: float = MOST_RISE) -> float:
    """Give the mean training loss of an epoch above which a training has exploded, from that of its first epoch.

    Training is compared with training: a validation has a scale and a mode of its own. Losses may be negative.

    >>> loss_limit(2.0), loss_limit(-4.0)
    (2002.0, 3996.0)
    >>> loss_limit(0.0), loss_limit(float("nan"))  # nothing to compare with
    (inf, inf)
    """
    if not math.isfinite(first_loss) or abs(first_loss) < ABOUT_ZERO:
        return math.inf
    return first_loss + rise * abs(first_loss)


def batch_limit(first_loss: float, batches: int | None) -> float:
    """Give the mean loss of an epoch's batches so far at which a training ends in mid-epoch, in float32.

    At one batch it may be as many times the limit as there are batches: an outlier's batch may stand first, and
    the epoch's mean be sound all the same. So none ends here that its epoch's end would spare.

    >>> batch_limit(2.0, 10), batch_limit(2.0, None), batch_limit(1e36, 10)
    (20020.0, inf, inf)
    """
    if batches is None:
        return math.inf
    with np.errstate(over="ignore"):
        return float(np.float32(loss_limit(first_loss) * batches))
