"""When does a training process make room for a fresh one? After many trials, grown too large, or out of memory once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from optselect.trials.programs.memory import give_back_memory

TRIALS_PER_PROCESS = 1000
"""What leaks in a training process ends with it."""
MOST_GROWTH_BYTES = 1_000_000_000
"""Beyond what it owned after its first trial. The programs that it may hold take less than half of it."""
LOOK_SECONDS = 10.0
"""Between two looks at the memory, which cost some 10 ms each."""


def owned_bytes() -> int:
    """What would be free again if this process ended (USS), after what it no longer needs was given back.

    Pages shared with a zygote are not counted.
    """
    give_back_memory()
    return int(psutil.Process().memory_full_info().uss)


@dataclass
class Wear:
    """How worn a training process is."""

    measure: Callable[[], int] = owned_bytes
    trials: int = 0
    out_of_memory: bool = False
    _first_bytes: int = field(default=0, repr=False)
    _bytes: int = field(default=0, repr=False)
    _look_at: float = field(default=0.0, repr=False)

    def note_trial(self, out_of_memory: bool = False) -> None:
        """A trial has ended."""
        self.trials += 1
        self.out_of_memory |= out_of_memory
        if time.monotonic() >= self._look_at:
            self._bytes = self.measure()
            self._first_bytes = self._first_bytes or self._bytes
            self._look_at = time.monotonic() + LOOK_SECONDS

    @property
    def reason(self) -> str:
        """Why a fresh process is wanted, or nothing."""
        if self.out_of_memory:
            return "a trial ran out of memory, which TensorFlow gives back only with its process"
        if self.trials >= TRIALS_PER_PROCESS:
            return f"it has trained {self.trials} trials"
        if self._bytes - self._first_bytes > MOST_GROWTH_BYTES:
            return f"its memory grew from {self._first_bytes / 1e6:.0f} to {self._bytes / 1e6:.0f} MB"
        return ""
