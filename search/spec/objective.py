"""Which metric decides, and is less of it better or more?

What the metric's class says counts first, for Keras knows a head's name apart from a metric's; then the whole words of
the metric's own name. Where that leaves it open, a person says it: `val_score:max`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from optselect.search.errors import InvalidSetting
from optselect.search.near_names import did_you_mean
from optselect.search.spec.metric_words import said_by
from optselect.trials.terms.description import MetricDescription

Direction = Literal["minimize", "maximize"]
KnownMetrics = Mapping[str, MetricDescription]
"""Those that stand behind the names of logs, without `val_`; what a callback adds is not among them."""

SUFFIXES: Mapping[str, Direction] = MappingProxyType({"min": "minimize", "max": "maximize"})
BETTER: Mapping[str, str] = MappingProxyType({"minimize": "less is better", "maximize": "more is better"})


class Judged(Protocol):
    """What stores by which metric it is judged: a spec, or a stored study."""

    @property
    def objective(self) -> str:
        """The metric's name."""

    @property
    def direction(self) -> str:
        """Optuna's word: minimize or maximize."""


@dataclass(frozen=True)
class Objective:
    """A metric, and which of its values are better.

    >>> loss, score = Objective("val_loss", "minimize"), Objective("val_auc", "maximize")
    >>> loss.better(0.1, 0.2), score.better(0.1, 0.2), score.best([0.7, 0.9])
    (True, False, 0.9)
    """

    name: str
    direction: Direction

    @classmethod
    def of(cls, judged: Judged) -> "Objective":
        """The one by which it is judged."""
        return cls(judged.objective, "minimize" if judged.direction == "minimize" else "maximize")

    @property
    def sign(self) -> float:
        """What makes a cost of a value."""
        return 1.0 if self.direction == "minimize" else -1.0

    def cost(self, value: float) -> float:
        """The value turned so that less is better."""
        return value if self.direction == "minimize" else -value

    def better(self, value: float, other: float) -> bool:
        """Whether a value is better than another one, not as good."""
        return self.cost(value) < self.cost(other)

    def best(self, values: Iterable[float]) -> float:
        """The best of several values, of which there is one at least."""
        return min(values, key=self.cost)

    def rank(self, value: float | None) -> float:
        """A key to sort by: the best first, and last what has no value."""
        return math.inf if value is None else self.cost(value)

    def stand_in(self, untrained: float) -> float:
        """A finite value for a training that exploded: L0 + 10 |L0| of a loss, the untrained model's of a score.

        >>> loss, score = Objective("val_loss", "minimize"), Objective("val_auc", "maximize")
        >>> loss.stand_in(2.0), score.stand_in(0.1), loss.stand_in(float("nan"))
        (22.0, 0.1, 0.0)
        """
        known = untrained if math.isfinite(untrained) else 0.0
        return known + 10 * abs(known) if self.direction == "minimize" else known

    @property
    def which_is_better(self) -> str:
        """For a person who reads its values: less is better, or more is better."""
        return BETTER[self.direction]

    @property
    def in_words(self) -> str:
        """For a person.

        >>> Objective("val_loss", "minimize").in_words
        'val_loss, less is better'
        """
        return f"{self.name}, {self.which_is_better}"

    @property
    def as_typed(self) -> str:
        """As --objective and a spec file take it, with nothing left open.

        >>> Objective("val_loss", "minimize").as_typed
        'val_loss:min'
        """
        return f"{self.name}:{self.direction.removesuffix('imize')}"


def parse_objective(
    text: str, metrics: Sequence[str], known: KnownMetrics = MappingProxyType({})
) -> Objective:
    """Read "val_auc:max"; without a suffix the metric tells which of its values are better.

    Args:
        metrics: what `fit` reports for this model, with what its callbacks add.

    Raises:
        InvalidSetting: no validation metric of that name, or one that does not tell its direction.

    >>> parse_objective("val_accuracy", ["loss", "val_loss", "val_accuracy"])
    Objective(name='val_accuracy', direction='maximize')
    """
    name, suffix = split_objective(text, metrics)
    if suffix not in ("", *SUFFIXES):
        raise InvalidSetting("objective", 'end in ":min" or ":max", or in neither', f'"{text}"')
    found = [metric for metric in metrics if metric.startswith("val_")]
    if name not in found:
        must = f"be a validation metric of the model: {', '.join(found)}"
        raise InvalidSetting("objective", must, f'"{name}"', did_you_mean(name, found))
    return Objective(name, SUFFIXES[suffix] if suffix else direction_of(name, known))


def split_objective(text: str, metrics: Sequence[str] = ()) -> tuple[str, str]:
    """The metric's name and what stands behind its last colon; a metric may have a colon in its name.

    >>> split_objective("val_auc:max"), split_objective("val_recall:top5", ["val_recall:top5"])
    (('val_auc', 'max'), ('val_recall:top5', ''))
    """
    text = text.strip()
    name, colon, suffix = text.rpartition(":")
    return (name, suffix) if colon and text not in metrics else (text, "")


def direction_of(name: str, known: KnownMetrics = MappingProxyType({})) -> Direction:
    """What the metric tells; raises InvalidSetting where it leaves it open."""
    answer = told_direction(name, known)
    if isinstance(answer, Open):
        must = f"say whether less of it is better or more: {answer.why}"
        hint = f" Write {name}:min or {name}:max."
        raise InvalidSetting("objective", must, "no suffix", hint, value=name)
    return answer


@dataclass(frozen=True)
class Open:
    """Why a metric does not tell its direction."""

    why: str


def told_direction(name: str, known: KnownMetrics = MappingProxyType({})) -> Direction | Open:
    """What is known of a metric's direction.

    >>> told_direction("val_head_nll"), told_direction("val_error_accuracy").why
    ('minimize', 'its name error_accuracy has words of both kinds')
    """
    bare = name.removeprefix("val_")
    metric = known.get(bare, MetricDescription(bare))
    by_name = told_by_name(metric.name)
    if not metric.direction:
        return ONLY_A_NAME if by_name == NOTHING and bare not in known else by_name
    if metric.is_own and by_name not in (metric.direction, NOTHING):
        said = f"its class derives from one of which {BETTER[metric.direction]}, its name says something else"
        return Open(said)
    return metric.direction


NOTHING = Open("neither its class nor its name tells")
ONLY_A_NAME = Open("nothing but its name is known, which does not tell")


def told_by_name(name: str) -> Direction | Open:
    """What the words of a metric's own name come to."""
    said = said_by(name)
    if said == {"less"}:
        return "minimize"
    if said == {"more"}:
        return "maximize"
    if "unclear" in said:
        return Open(f"its name {name} has a word that may turn its meaning")
    return Open(f"its name {name} has words of both kinds") if said else NOTHING


def settled(text: str, stored: Objective) -> str:
    """What was typed, with a stored study's direction where it is the same metric and says none itself.

    >>> stored = Objective("val_score", "maximize")
    >>> settled("val_score", stored), settled("val_score:min", stored)
    ('val_score:max', 'val_score:min')
    """
    return stored.as_typed if text.strip() == stored.name else text


def difference_today(stored: Objective, known: KnownMetrics) -> str:
    """Where a launch of today would take another direction than the stored one; empty where it would not.

    >>> difference_today(Objective("val_accident_nll", "maximize"), {})
    'val_accident_nll, more is better, as it was launched; a launch of today would take: less is better'
    """
    name, today = stored.name, told_direction(stored.name, known)
    if today == stored.direction:
        return ""
    asks = (
        f"would ask for {name}:min or {name}:max"
        if isinstance(today, Open)
        else f"would take: {BETTER[today]}"
    )
    return f"{stored.in_words}, as it was launched; a launch of today {asks}"
