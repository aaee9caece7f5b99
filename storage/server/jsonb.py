"""How do numbers that JSON lacks reach a jsonb column and come back?

Postgres refuses NaN and Infinity in jsonb, Python's json.dumps writes them bare. They travel as the strings
that Postgres's own cast to float8 reads: (metrics->>'val_loss')::float8.
"""

import math
from collections.abc import Mapping
from typing import Any

NOT_IN_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def storable(value: Any) -> Any:
    """Replace what JSON lacks, at any depth.

    >>> storable({"loss": float("nan"), "rates": [1.0, float("-inf")]})
    {'loss': 'NaN', 'rates': [1.0, '-Infinity']}
    """
    if isinstance(value, Mapping):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Read stored metrics back as floats.

    >>> numbers({"loss": "Infinity", "mae": 2})
    {'loss': inf, 'mae': 2.0}
    """
    return {
        name: NOT_IN_JSON[value] if isinstance(value, str) else float(value)
        for name, value in metrics.items()
    }
