"""What does a [[switch]] table of a study.toml say of a change in mid-training?"""

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from optselect.search.spec.switching import EARLIEST, LATEST, SwitchSpec
from optselect.search.spec.toml.source import Source, checked_optimizer, unknown_key


def read_switch(table: Mapping[str, Any], place: int, source: Source) -> SwitchSpec:
    """One [[switch]] table: from, to, and perhaps at, full, slots, learning_rate."""
    key = ("switch", str(place))
    known = ("from", "to", "at", "full", "slots", "learning_rate")
    for name in table:
        if name not in known:
            raise unknown_key((*key, name), known, source)
    names = {side: read_side(table, side, key, source) for side in ("from", "to")}
    low, high = read_share(table.get("at", {}), (*key, "at"), source)
    options = {"full": (False, True), "slots": ("new", "keep"), "learning_rate": ("search", "swats")}
    for name, allowed in options.items():
        if table.get(name, allowed[0]) not in allowed or type(table.get(name, allowed[0])) is not type(
            allowed[0]
        ):
            must = f"be {' or '.join(map(json.dumps, allowed))}"
            raise source.wrong((*key, name), must, f"{name}={reprlib.repr(table[name])}")
    return SwitchSpec(
        first=names["from"],
        second=names["to"],
        low=low,
        high=high,
        full=table.get("full", False),
        slots=table.get("slots", "new"),
        rate=table.get("learning_rate", "search"),
    )


def read_side(table: Mapping[str, Any], side: str, key: Sequence[str], source: Source) -> str:
    name = table.get(side)
    if not isinstance(name, str):
        raise source.wrong((*key, side), "name an optimizer", f"{side}={reprlib.repr(name)}")
    return checked_optimizer(name, (*key, side), source)


def read_share(at: Any, key: tuple[str, ...], source: Source) -> tuple[float, float]:
    """The share of the epochs before the switch, as {low, high} or one number."""
    if isinstance(at, (int, float)) and not isinstance(at, bool):
        at = {"low": at, "high": at}
    if not isinstance(at, dict) or not at.keys() <= {"low", "high"}:
        raise source.wrong(key, "be a number or {low = ..., high = ...}", f"at={reprlib.repr(at)}")
    low, high = at.get("low", EARLIEST), at.get("high", LATEST)
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not 0 < low <= high < 1:
        raise source.wrong(key, "lie between 0 and 1, low first", f"low={low!r}, high={high!r}")
    return float(low), float(high)
