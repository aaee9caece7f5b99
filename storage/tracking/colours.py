"""Which colour has an optimizer, on the report's page and in MLflow?

The colours are of Okabe and Ito, which most colour-blind people can tell apart, with four more for studies of many.
"""

from collections.abc import Sequence

COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#A6761D", "#66A61E", "#B2182B",
)  # fmt: skip
OWN_COLOUR = "#888888"
"""Of the user's own optimizer, which is none of those that are searched."""
VERDICT_COLOUR = "#222222"
"""Of MLflow's run of the verdict, which has no curves."""


def colour_of(optimizer: str, searched: Sequence[str]) -> str:
    """The colour that an optimizer keeps through a study; searched: the study's optimizers, in the spec's order.

    >>> colour_of("Adam", ["SGD", "Adam"]), colour_of("baseline", ["SGD", "Adam"])
    ('#D55E00', '#888888')
    """
    return COLOURS[searched.index(optimizer) % len(COLOURS)] if optimizer in searched else OWN_COLOUR
