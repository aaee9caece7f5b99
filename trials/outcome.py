"""How did one trial end, and with which numbers?"""

import enum
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optselect.trials.step import Step


class Outcome(enum.Enum):
    """How a trial ended."""

    COMPLETE = "complete"  # every epoch was trained, or the user's own callback ended it early
    DIVERGED = "diverged"  # the loss is not finite or rose beyond recovery: a result, not an error
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
    step: Step | None = None  # of the ladder; None where none was reached
    jit: bool = False  # whether XLA compiled what was trained

    @property
    def is_out_of_memory(self) -> bool:
        """Whether it failed for want of memory: its process should not go on."""
        return self.outcome is Outcome.FAILED and self.reason.startswith(OUT_OF_MEMORY)

    @property
    def ends_study(self) -> bool:
        """Whether every further trial with a schedule would fail in the same way."""
        return self.outcome is Outcome.FAILED and self.reason.startswith(RATE_SET_TWICE)


ABOUT_ZERO = 1e-6  # an initial loss below this says nothing about what is large
MOST_RISE = 2.0  # a loss of 2 may grow to 6: three times its value


def diverged(validation_loss: float, initial_loss: float, epoch: int, rise: float = MOST_RISE) -> bool:
    """Tell whether a training has left the range from which it recovers (losses may be negative).

    >>> diverged(1.7, initial_loss=2.3, epoch=2)
    False
    >>> diverged(8.0, initial_loss=2.3, epoch=1)      # the first epoch is allowed to jump
    False
    >>> diverged(9.8, initial_loss=2.3, epoch=2)
    True
    >>> diverged(float("nan"), initial_loss=2.3, epoch=1)
    True
    >>> diverged(-1.0, initial_loss=-4.0, epoch=5), diverged(4.1, initial_loss=-4.0, epoch=5)
    (False, True)
    >>> diverged(0.1, initial_loss=0.0, epoch=5)      # nothing to compare with
    False
    """
    if not math.isfinite(validation_loss):
        return True
    if epoch < 2 or not math.isfinite(initial_loss) or abs(initial_loss) < ABOUT_ZERO:
        return False
    return validation_loss > initial_loss + rise * abs(initial_loss)


MOST_RISE_OF_A_BATCH = 1000.0


def batch_limit(initial_loss: float) -> float:
    """Give the mean loss of an epoch's first batches at which a training ends at once, in float32.

    The emergency brake: far beyond what diverged() allows at an epoch's end, because early batches may jump.

    >>> batch_limit(2.0), batch_limit(float("nan")), batch_limit(0.0)
    (2002.0, inf, inf)
    """
    if not math.isfinite(initial_loss) or abs(initial_loss) < ABOUT_ZERO:
        return math.inf
    limit = initial_loss + MOST_RISE_OF_A_BATCH * abs(initial_loss)
    return struct.unpack("f", struct.pack("f", limit))[0]  # type: ignore[no-any-return]
