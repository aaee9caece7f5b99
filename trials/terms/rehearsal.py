"""What did a few real steps with each optimizer show? The JSON that describing/rehearse.py writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optselect.trials.terms.errors import ProblemError

SCHEMA = 1


@dataclass(frozen=True)
class Rehearsed:
    """One optimizer at its defaults, on the first batches of the data."""

    outcome: str  # complete, diverged or failed
    message: str  # why it failed or diverged; empty where it did not
    step: int | None  # of the ladder
    step_reason: str  # why no faster one
    is_restored: bool | None  # whether a checkpoint gave the same state; None where none could be made
    seconds_begin: float  # until its first epoch has ended: building, tracing, compiling
    seconds_per_epoch: float
    """Of a whole epoch, projected from the batches that were trained; 0 where unknown."""

    @property
    def is_sound(self) -> bool:
        """Whether a study can train with it."""
        return self.outcome != "failed" and self.is_restored is not False


@dataclass(frozen=True)
class Rehearsal:
    """All optimizers of a problem."""

    optimizers: Mapping[str, Rehearsed]
    memory_bytes: int  # of the process at its end

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Rehearsal":
        """Read what describing/rehearse.py wrote; raises ProblemError with its message if that was an error."""
        if "error" in given:
            raise ProblemError(given["error"])
        found = {name: Rehearsed(**values) for name, values in given["optimizers"].items()}
        return cls(found, given["memory_bytes"])
