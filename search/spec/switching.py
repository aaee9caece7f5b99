"""What is searched of a switch from one optimizer to another in mid-training, and what is copied?

A switch is a class of the study like any other, SGD_to_Adam. Searched are the share of the epochs after which it
happens and the second learning rate; all else is copied from the best trials of the two optimizers alone, which
therefore come first. Otherwise the space would be as large as both together.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from optselect.search.errors import InvalidInput, InvalidSetting
from optselect.search.spec.dimension import Choice, Dimension, linear

SECOND = "second_"
"""Before the arguments of the second optimizer; those of the first one bear their own names."""
FRACTION = "switch_fraction"
EPOCH = "switch_epoch"
"""The epoch that the fraction comes to: for whoever reads the trial."""
EARLIEST, LATEST = 0.1, 0.9


class SwitchSpec(BaseModel):
    """One switch that a study tries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: str
    second: str
    low: float = EARLIEST
    """Share of the epochs before the switch, at least."""
    high: float = LATEST
    full: bool = False
    """Whether everything that is searched of the two optimizers is searched again, instead of being copied."""
    slots: Literal["new", "keep"] = "new"
    """Whether slots of the same name go on; all others always start anew."""
    rate: Literal["search", "swats"] = "search"
    """Whether the second learning rate is searched, or follows from the rule of SWATS."""

    @property
    def name(self) -> str:
        """The class of the study."""
        return f"{self.first}_to_{self.second}"


def switch_space(
    switch: SwitchSpec, first: Sequence[Dimension], second: Sequence[Dimension]
) -> tuple[Dimension, ...]:
    """What is searched, from what is searched of the two optimizers alone."""
    later = tuple(of_second(dimension) for dimension in second if switch.full or is_rate(dimension))
    if switch.rate == "swats":
        later = tuple(dimension for dimension in later if dimension.keyword != f"{SECOND}learning_rate")
    earlier = tuple(first) if switch.full else ()
    return (linear(FRACTION, switch.low, switch.high), *earlier, *later)


def is_rate(dimension: Dimension) -> bool:
    return dimension.keyword == "learning_rate"


def of_second(dimension: Dimension) -> Dimension:
    return dimension.model_copy(update={"keyword": SECOND + dimension.keyword})


def copied(
    switch: SwitchSpec, first: Mapping[str, Choice], second: Mapping[str, Choice]
) -> dict[str, Choice]:
    """What a trial of the switch takes from the best trials of the two optimizers.

    >>> copied(SwitchSpec(first="SGD", second="Adam"), {"momentum": 0.9}, {"learning_rate": 0.1, "beta_1": 0.8})
    {'momentum': 0.9, 'second_learning_rate': 0.1, 'second_beta_1': 0.8}
    """
    return {} if switch.full else {**first, **{SECOND + name: value for name, value in second.items()}}


def halves(arguments: Mapping[str, Choice]) -> tuple[dict[str, Choice], dict[str, Choice]]:
    """Part a trial's arguments into those of its first and of its second optimizer.

    >>> halves({"momentum": 0.9, "switch_fraction": 0.5, "second_beta_1": 0.8})
    ({'momentum': 0.9}, {'beta_1': 0.8})
    """
    own = {name: value for name, value in arguments.items() if name not in (FRACTION, EPOCH)}
    second = {name.removeprefix(SECOND): v for name, v in own.items() if name.startswith(SECOND)}
    return {name: value for name, value in own.items() if not name.startswith(SECOND)}, second


def epoch_of(fraction: float, epochs: int) -> int:
    """The last epoch of the first optimizer; at least one epoch is left to either.

    >>> epoch_of(0.5, 25), epoch_of(0.01, 25), epoch_of(0.99, 25)
    (12, 1, 24)
    """
    return min(max(1, round(fraction * epochs)), epochs - 1)


def read_switches(text: str) -> list[tuple[str, str]]:
    """What stands behind --switch: pairs of names, "sgd:adam,adam:sgd"; raises InvalidInput.

    >>> read_switches("sgd:adam, adam:sgd")
    [('sgd', 'adam'), ('adam', 'sgd')]
    """
    pairs = []
    for part in (part.strip() for part in text.split(",")):
        names = [name.strip() for name in part.split(":")]
        if len(names) != 2 or not all(names):
            must, hint = "be FIRST:SECOND, such as sgd:adam", " Several are parted by commas."
            raise InvalidSetting("switch", must, f'"{part}"', hint)
        pairs.append((names[0], names[1]))
    return pairs


def check_switches(switches: Iterable[SwitchSpec], optimizers: Sequence[str], epochs: int, goal: str) -> None:
    """Refuse a switch whose optimizers are not tuned by themselves in the study, and trainings too short for one."""
    seen: set[str] = set()
    for switch in switches:
        missing = [name for name in (switch.first, switch.second) if name not in optimizers]
        if missing:
            raise InvalidInput(
                f"A switch must be between optimizers that the study tries: {', '.join(optimizers)}. "
                f"Received: {switch.first}:{switch.second}. Add {missing[0].lower()} to --optimizers."
            )
        if switch.name in seen:
            raise InvalidInput(
                f"A switch must be named once. Received: {switch.first}:{switch.second} twice."
            )
        if epochs < 2:
            raise InvalidInput(
                f"A switch needs trainings of at least 2 epochs. Received: {epochs}. Write --epochs 2 or more."
            )
        if goal != "verdict" and not switch.full:
            raise InvalidInput(
                f"A switch copies the best of its two optimizers, which --goal {goal} does not search one after the "
                f"other. Received: {switch.first}:{switch.second}. Write full = true for it, or --goal verdict."
            )
        if switch.rate == "swats" and switch.second != "SGD":
            raise InvalidInput(
                f'learning_rate = "swats" finds a rate of SGD. Received: a switch to {switch.second}.'
            )
        if switch.second == "Ftrl":
            raise InvalidInput(
                "Ftrl cannot be the second optimizer of a switch: it rebuilds the weights from its own sums and "
                f"would nearly erase what was trained. Received: {switch.first}:{switch.second}."
            )
        seen.add(switch.name)
