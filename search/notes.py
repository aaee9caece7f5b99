"""What is kept of how a trial was trained?"""

from typing import Any

from optselect.trials.terms.ladder_step import LadderStep

OUT_OF_MEMORY = "oom"
RATE_SET_TWICE = "rate_set_twice"
LAST_RATE = "last_learning_rate"
"""The note of the rate at which a training ended."""


def notes_of(step: LadderStep | None, programs_built: int, out_of_memory: bool) -> dict[str, Any]:
    """What is kept of how a trial was trained; `step` is None where it failed before it reached one.

    >>> notes_of(LadderStep(3, "the callback Mine has on_batch_end"), 0, out_of_memory=False)
    {'programs_built': 0, 'step': 3, 'step_reason': 'the callback Mine has on_batch_end'}
    >>> notes_of(None, 0, out_of_memory=True)
    {'programs_built': 0, 'cause': 'oom'}
    """
    notes: dict[str, Any] = {"programs_built": programs_built}
    if step is not None:
        notes |= {"step": step.number} | ({"step_reason": step.reason} if step.reason else {})
    return notes | ({"cause": OUT_OF_MEMORY} if out_of_memory else {})
