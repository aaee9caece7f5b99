"""What do the callbacks of the user's fit bring into a trial, and what do they remember?"""

import copy
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

log = logging.getLogger(__name__)


def fresh_callbacks(given: Any) -> list[Any]:
    """Copy the user's callbacks, because they keep state: EarlyStopping would start with the last trial's best.

    One that cannot be copied is used itself; Keras's own reset themselves when a training begins.
    """
    return [_copied(callback) for callback in keras.tree.flatten(given) if callback is not None]


def memory_of(callbacks: Iterable[Any]) -> tuple[dict[str, Any], ...]:
    """Read what each callback remembers as plain values and arrays: the best loss, a count, kept weights."""
    return tuple(
        {name: plain for name, value in vars(callback).items() if (plain := _plain(value)) is not UNKNOWN}
        for callback in callbacks
    )


def give_back_memory(callbacks: Sequence[Any], memory: Sequence[dict[str, Any]]) -> None:
    """Let the callbacks of a resumed trial remember; after their on_train_begin, which makes them forget."""
    for callback, values in zip(callbacks, memory, strict=False):
        for name, value in values.items():
            if not (
                name == "min_delta" and hasattr(callback, "monitor_op")
            ):  # Keras turns its sign at first use
                setattr(callback, name, value)


class _Unknown:
    """A value that a snapshot cannot hold."""


UNKNOWN = _Unknown()


def _copied(callback: Any) -> Any:
    try:
        return copy.deepcopy(callback)
    except Exception as error:  # noqa: BLE001 - open files, locks: a user's class may raise anything
        log.warning("%s is shared by all trials, it cannot be copied: %s", type(callback).__name__, error)
        return callback


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        return UNKNOWN if any(item is UNKNOWN for item in items) else items
    return UNKNOWN
