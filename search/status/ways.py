"""By which way was a trial trained, and why by no faster one? In words; trials/training/ladder.py has the ways themselves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optselect.storage.records.overview import TrialRow

WAYS = {
    1: "by a compiled program, whole epochs in one call",
    2: "by a compiled program of which a number is part",
    3: "by Keras's fit on a model that is kept",
    4: "by Keras's fit on a fresh model",
}


def way_line(notes: Mapping[str, Any]) -> str:
    """One line on a trial's page, or nothing where it never began.

    >>> way_line({"step": 1, "programs_built": 1})
    'It was trained by a compiled program, whole epochs in one call (step 1 of 4), made for it.'
    >>> way_line({"step": 4, "step_reason": "the model was compiled with run_eagerly=True", "programs_built": 0})
    "It was trained by Keras's fit on a fresh model (step 4 of 4): the model was compiled with run_eagerly=True."
    """
    if "step" not in notes:
        return ""
    made = ", made for it" if notes.get("programs_built") else ""
    return f"It was trained {shown_step(notes)}{made}{shown_reason(notes)}."


def ways_lines(trials: Sequence[TrialRow], debug: bool = False) -> list[str]:
    """A line for each reason why trials were not trained by the fastest way; for debugging, all there is to count."""
    ended = [trial.notes for trial in trials if "step" in trial.notes]
    ways = Counter(
        f"{shown_step(notes)}{shown_reason(notes)}" for notes in ended if debug or notes["step"] > 1
    )
    lines = [f"{count} of {len(ended)} runs were trained {way}" for way, count in ways.most_common()]
    return [*lines, f"{programs_built(trials)} programs were compiled"] if debug else lines


def shown_step(notes: Mapping[str, Any]) -> str:
    return f"{WAYS[notes['step']]} (step {notes['step']} of 4)"


def shown_reason(notes: Mapping[str, Any]) -> str:
    return f": {reason}" if (reason := notes.get("step_reason", "")) else ""


def programs_built(trials: Sequence[TrialRow]) -> int:
    """How many programs the trials that ended had compiled."""
    return sum(trial.notes.get("programs_built", 0) for trial in trials)
