"""By which of four ways is a trial trained? The fastest that gives what Keras's own fit gives.

1  a compiled program: whole epochs as one call
2  the same, with a number of the optimizer made part of the program, because Python decides by it
3  Keras's fit on a model and an optimizer that are kept, so that nothing is compiled anew
4  Keras's fit on a fresh model, compiled for this trial

Results are equal on each; the reason for a step beyond the first is shown to the user.
"""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from optselect.trials.data.splits import Data
from optselect.trials.terms.ladder_step import LadderStep

BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


PROGRAM = LadderStep(1)


def first_step(model: Any, data: Data, callbacks: Iterable[Any]) -> LadderStep:
    """Give the first step that may be tried, by what is known before anything is compiled."""
    if model.run_eagerly:
        return LadderStep(4, "the model was compiled with run_eagerly=True")
    if not isinstance(model.distribute_strategy, type(tf.distribute.get_strategy())):
        return LadderStep(4, f"the model uses {type(model.distribute_strategy).__name__}")
    for name, split in data.splits():
        if name != "test" and isinstance(split, keras.utils.PyDataset):
            return LadderStep(3, f"the {name} data is a PyDataset, whose batches Python makes")
    for callback in callbacks:
        if hook := _batch_hook(callback):
            return LadderStep(3, f"the callback {type(callback).__name__} has {hook}")
    return PROGRAM


def _batch_hook(callback: Any) -> str:
    """Name a hook that is called in mid-epoch, or nothing."""
    if isinstance(callback, keras.callbacks.ModelCheckpoint) and callback.save_freq == "epoch":
        return ""
    if isinstance(callback, keras.callbacks.TerminateOnNaN):  # every program ends at NaN within the batch
        return ""
    for name in BATCH_HOOKS:
        own = vars(callback).get(name) or getattr(type(callback), name)
        if own is not getattr(keras.callbacks.Callback, name):
            return name
    return ""
