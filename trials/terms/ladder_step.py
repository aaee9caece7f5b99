"""What is known of the way a trial was trained? Imports no Keras: the search passes it on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LadderStep:
    """A step of the ladder and why no faster one was taken; the reason is empty for step 1."""

    number: int
    reason: str = ""
