"""On which known optimizer does one lean that no task was trained with?

A class that derives from one of Keras's leans on that one, else on the one whose arguments it has; a switch on its
second optimizer, with which its trainings end. A class with a learning rate alone may be anything.
"""

from collections.abc import Collection, Mapping, Sequence

from optselect.search.spec.study_spec import StudySpec
from optselect.search.spec.switching import SECOND

BY_ARGUMENTS: Sequence[tuple[frozenset[str], str]] = (
    (frozenset({"beta_1", "beta_2"}), "Adam"),
    (frozenset({"rho"}), "RMSprop"),
    (frozenset({"momentum"}), "SGD"),
)
"""The first whose arguments are all there."""

Kin = Mapping[str, tuple[str, str]]
"""By name of a study's optimizer: a known one, and what stands before its arguments' names."""


def kin_of(spec: StudySpec) -> Kin:
    """The kin of all optimizers of a study that are not Keras's own."""
    own = {name: (one.kin or by_arguments(keywords(spec, name)), "") for name, one in spec.custom.items()}
    switched = {
        switch.name: (own.get(switch.second, (switch.second, ""))[0], SECOND) for switch in spec.switches
    }
    return {**own, **switched}


def keywords(spec: StudySpec, optimizer: str) -> Collection[str]:
    return {dimension.keyword for dimension in spec.space[optimizer]}


def by_arguments(names: Collection[str]) -> str:
    """The known optimizer with such arguments; empty where there is none.

    >>> by_arguments({"learning_rate", "momentum"}), by_arguments({"learning_rate"})
    ('SGD', '')
    """
    return next((kin for wanted, kin in BY_ARGUMENTS if wanted <= set(names)), "")
