"""Which study does a free slot serve, and when does a worker give way to another study?

Every running study gets as many trials at a time as any other. A worker that serves one whose share is larger leaves
between two trials, and its slot takes the study that is worst off.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from optselect.storage.records.studies import Share
from optselect.storage.server.environment import number_in

SLICE_SECONDS = 120.0
IDLE_SLICE_SECONDS = 5.0


def next_study(
    shares: Sequence[Share],
    slots: Mapping[str, int],
    last_served: Mapping[str, float],
    refused: Collection[str] = (),
) -> str | None:
    """The study that a free slot serves next; None where no study wants it.

    Args:
        slots: of this machine, by the study that they serve; a process that starts holds no ticket yet.
        last_served: when a slot here was last given to a study.

    >>> a, b = Share("a", claimable=5, running=2), Share("b", claimable=5, running=1)
    >>> next_study([a, b], {}, {})
    'b'
    >>> next_study([a, b], {"b": 3}, {})  # two of its three slots are starting
    'a'
    """

    def load(share: Share) -> int:
        return max(share.running, slots.get(share.name, 0))

    wanting = [
        share
        for share in shares
        if share.name not in refused and share.claimable > load(share) - share.running
    ]
    ordered = sorted(wanting, key=lambda share: (load(share), last_served.get(share.name, 0.0)))
    return ordered[0].name if ordered else None


def gives_way(own: str, shares: Sequence[Share], idle: bool) -> bool:
    """Whether a worker between two trials leaves its study to serve one that is worse off.

    >>> alone = [Share("a", claimable=4, running=0), Share("b", claimable=4, running=0)]
    >>> gives_way("a", alone, idle=False)
    True
    >>> even = [Share("a", claimable=4, running=0), Share("b", claimable=4, running=1)]
    >>> gives_way("a", even, idle=False), gives_way("a", even, idle=True)
    (False, True)
    """
    with_me = 1 + sum(share.running for share in shares if share.name == own)
    others = [share for share in shares if share.name != own and share.claimable]
    return any(idle or share.running < with_me for share in others)


@dataclass
class TimeSlice:
    """How long a worker serves a study before it looks whether others are worse off: a change costs a new process."""

    seconds: float
    began: float

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "TimeSlice":
        return cls(number_in(environment, "OPTSELECT_SLICE_SECONDS", SLICE_SECONDS), time.monotonic())

    def is_over(self, idle: bool) -> bool:
        now = time.monotonic()
        if now - self.began < (min(self.seconds, IDLE_SLICE_SECONDS) if idle else self.seconds):
            return False
        self.began = now
        return True
