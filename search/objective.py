"""Which metric decides, and is less of it better or more?"""

import math
import re
from collections.abc import Sequence
from typing import Literal

from optselect.search.errors import InvalidInput
from optselect.search.near_names import did_you_mean

Direction = Literal["minimize", "maximize"]

LESS_IS_BETTER = re.compile(
    r"loss|mse|mae|mape|msle|error|crossentropy|hinge|poisson|divergence|false_|perplexity|logcosh|rmse"
)
MORE_IS_BETTER = re.compile(
    r"acc|auc|precision|recall|f1|fbeta|r2|iou|true_|similarity|kappa|dice|bleu|sensitivity|specificity|psnr"
)


def parse_objective(text: str, metrics: Sequence[str]) -> tuple[str, Direction]:
    """Split "val_auc:max" into the metric and Optuna's direction; without a suffix the name tells.

    Args:
        metrics: what `fit` reports for this model.

    Raises:
        InvalidInput: no validation metric of that name, or a name that does not tell its direction.

    >>> parse_objective("val_accuracy", ["loss", "val_loss", "val_accuracy"])
    ('val_accuracy', 'maximize')
    """
    name, _, suffix = text.strip().partition(":")
    if suffix not in ("", "min", "max"):
        raise InvalidInput(f'--objective must end in ":min" or ":max", or in neither. Received: "{text}".')
    known = [metric for metric in metrics if metric.startswith("val_")]
    if name not in known:
        raise InvalidInput(
            f'--objective must be a validation metric of the model: {", ".join(known)}. Received: "{name}".'
            + did_you_mean(name, known)
        )
    return name, direction_of(name, suffix)


def direction_of(name: str, suffix: str) -> Direction:
    if suffix:
        return "minimize" if suffix == "min" else "maximize"
    bare = name.removeprefix("val_").lower()
    if LESS_IS_BETTER.search(bare):
        return "minimize"
    if MORE_IS_BETTER.search(bare):
        return "maximize"
    raise InvalidInput(
        f"--objective {name} must say its direction, which its name does not tell. "
        f"Received: no suffix. Write {name}:min or {name}:max."
    )


def stand_in(direction: str, untrained: float) -> float:
    """A finite value for a training that exploded: L0 + 10 |L0| of a loss, the untrained model's of a score.

    >>> stand_in("minimize", 2.0), stand_in("maximize", 0.1), stand_in("minimize", float("nan"))
    (22.0, 0.1, 0.0)
    """
    known = untrained if math.isfinite(untrained) else 0.0
    return known + 10 * abs(known) if direction == "minimize" else known
