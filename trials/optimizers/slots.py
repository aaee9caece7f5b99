"""What can one optimizer leave to the next? Slots of the same name, one for each trainable variable."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from optselect.trials.optimizers.building import innermost

Slots = Mapping[str, list[Any]]
"""By the slots' name, "momentums", in the order of the trainable variables."""


@contextmanager
def handing_on(model: Any, wanted: bool) -> Iterator[None]:
    """Keep the slots of the model's optimizer while the block puts another one in place, which then gets them.

    The count of steps goes with them, for bias corrections read it; without a slot in common both start anew.
    """
    if not wanted:
        yield
        return
    before = innermost(model.optimizer)
    # Copies: both phases may be trained by one and the same optimizer object.
    kept = {name: [tf.identity(slot.value) for slot in slots] for name, slots in _slot_lists(before).items()}
    steps = tf.identity(before.iterations.value)
    yield
    optimizer = innermost(model.optimizer)
    if _assign_common(kept, _slot_lists(optimizer)):
        optimizer.iterations.assign(steps)


def _assign_common(kept: Slots, own: Slots) -> bool:
    common = [name for name in own if name in kept and _same_shapes(own[name], kept[name])]
    for name in common:
        for slot, value in zip(own[name], kept[name], strict=True):
            slot.assign(value)
    return bool(common)


def _slot_lists(optimizer: Any) -> Slots:
    """Lists of variables, as long as there are trainable variables; SGD's is momentums, Adam's _momentums."""
    count = len(optimizer._trainable_variables)
    return {
        name.strip("_"): value
        for name, value in vars(optimizer).items()
        if name != "_trainable_variables" and _is_slot_list(value, count)
    }


def _is_slot_list(value: Any, count: int) -> bool:
    is_list = isinstance(value, (list, tuple)) and len(value) == count > 0
    return is_list and all(isinstance(slot, keras.Variable) for slot in value)


def _same_shapes(own: list[Any], others: list[Any]) -> bool:
    return [tuple(slot.shape) for slot in own] == [tuple(slot.shape) for slot in others]
