"""Which cases of a test are left to `make test-slow`?"""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def cases(names: Iterable[str], slow: Collection[str]) -> list[Any]:
    """All cases of a test, for parametrize; the slow ones bear the mark."""
    known = list(names)
    assert set(slow) <= set(known), f"no case: {sorted(set(slow) - set(known))}"
    return [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in known]
