"""How do a study's costs become levels, which is what the model predicts?

By the logarithm where costs stay positive: losses differ by factors. Else by asinh about the middle of what was seen,
which is linear there and a logarithm far outside; so it is with cosine similarities and scores of any sign.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from optselect.search.knowledge.constants import MEASURED, Constants


@dataclass(frozen=True)
class Levels:
    """A scale on which differences compare."""

    kind: Literal["log", "asinh"]
    middle: float
    """Of asinh: the cost at level 0."""
    unit: float
    """Of log: what is added to a cost, a floor. Of asinh: about so much do usual costs differ."""
    untrained: float | None
    """The level of the untrained model, where it is known."""
    most: float
    """No level is higher: an exploded run says no more than one that learned nothing."""

    def level(self, cost: float) -> float:
        """Of one cost; what is not finite is as bad as can be."""
        return min(self.of(cost), self.most) if math.isfinite(cost) else self.most

    def of(self, cost: float) -> float:
        if self.kind == "log":
            return math.log(max(cost, 0.0) + self.unit)
        return math.asinh((cost - self.middle) / self.unit)

    def cost(self, level: float) -> float:
        """The cost of a level."""
        if self.kind == "log":
            return math.exp(level) - self.unit
        return self.middle + self.unit * math.sinh(level)


def levels_of(costs: Sequence[float], untrained: float | None, constants: Constants = MEASURED) -> Levels:
    """The scale of a study.

    Args:
        costs: of the runs that ended, less is better, in any order.
        untrained: the cost of the untrained model; None where nobody knows it.

    >>> levels = levels_of([0.5, 0.1], untrained=1.0)
    >>> levels.kind, round(levels.level(0.1), 3), round(levels.level(math.inf), 3)
    ('log', -2.302, 0.405)
    >>> levels_of([-0.9, -0.2], untrained=0.1).kind
    'asinh'
    """
    seen = sorted(cost for cost in costs if math.isfinite(cost))
    known = untrained if untrained is not None and math.isfinite(untrained) else None
    everything = seen if known is None else [*seen, known]
    if not everything:
        return Levels("asinh", 0.0, 1.0, None, 0.0)
    if min(everything) >= 0 < max(everything):
        scale = Levels("log", 0.0, constants.floor * (known or max(everything)), None, 0.0)
    else:
        middle = seen[len(seen) // 2] if seen else everything[0]
        scale = Levels("asinh", middle, usual_difference(everything), None, 0.0)
    level = None if known is None else scale.of(known)
    most = (max(map(scale.of, everything)) if level is None else level) + constants.cap
    return Levels(scale.kind, scale.middle, scale.unit, level, most)


def usual_difference(costs: Sequence[float]) -> float:
    """Half of what the middle half of the costs spans; 1 where all are equal."""
    ranked = sorted(costs)
    quarter = len(ranked) // 4
    span = ranked[-1 - quarter] - ranked[quarter] or ranked[-1] - ranked[0]
    return span / 2 or 1.0
