"""What is one searched dimension of an optimizer, and how do its sampled values become Keras's arguments?

Learning rates, epsilons and weight decays are sampled on a log scale. Momentum, rho and betas are sampled
as the logarithm of 1 - x, because 0.9, 0.99 and 0.999 are equally far apart for an optimizer; the parameter
then bears the name one_minus_x. Persons only ever see x.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from optselect.search.documents import Range

Scale = Literal["log", "linear", "integer", "integer log", "complement", "choice", "fixed"]
Choice = bool | int | float | str | None


class Dimension(BaseModel):
    """One searched constructor argument; bounds are inclusive and those of what is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keyword: str
    """Keras's constructor argument, or warmup_fraction, which becomes warmup_steps."""
    scale: Scale
    low: float = 0.0
    """Of 1 - x where the scale is complement."""
    high: float = 0.0
    choices: tuple[Choice, ...] = ()
    """Of a choice; a fixed dimension has one and is never asked for."""

    @property
    def parameter(self) -> str:
        """The name behind the optimizer's prefix: Adam.one_minus_beta_1."""
        return f"one_minus_{self.keyword}" if self.scale == "complement" else self.keyword

    def suggest(self, trial: Any, optimizer: str) -> Choice:
        """Ask an Optuna trial for a value, as Keras gets it."""
        name = f"{optimizer}.{self.parameter}"
        if self.scale == "fixed":
            return self.choices[0]
        if self.scale == "choice":
            chosen: Choice = trial.suggest_categorical(name, self.choices)
            return chosen
        if self.scale in ("integer", "integer log"):
            return int(
                trial.suggest_int(name, int(self.low), int(self.high), log=self.scale == "integer log")
            )
        return self.argument(
            float(trial.suggest_float(name, self.low, self.high, log=self.scale != "linear"))
        )

    def at(self, coordinate: float) -> Choice:
        """The sampled value at a place from 0 to 1 of the range, as the parameter of that name bears it.

        >>> round(Dimension(keyword="beta_1", scale="complement", low=0.01, high=1.0).at(0.5), 12)
        0.1
        """
        if self.scale in ("choice", "fixed"):
            return self.choices[min(int(coordinate * len(self.choices)), len(self.choices) - 1)]
        low, high = self.low, self.high + (1 if self.scale.startswith("integer") else 0)
        if self.scale in ("linear", "integer"):
            value = low + coordinate * (high - low)
        else:
            value = math.exp(math.log(low) + coordinate * (math.log(high) - math.log(low)))
        value = min(max(value, self.low), self.high)  # the logarithm may step over the bound by one bit
        return int(value) if self.scale.startswith("integer") else value

    def argument(self, sampled: Choice) -> Choice:
        """Keras's argument of what was sampled.

        >>> Dimension(keyword="beta_1", scale="complement", low=0.01, high=1.0).argument(0.25)
        0.75
        """
        return 1.0 - float(sampled or 0.0) if self.scale == "complement" else sampled

    def place(self, argument: float) -> float:
        """Where Keras's argument stands in the range, from 0 to 1 on the scale of the search.

        >>> round(Dimension(keyword="beta_1", scale="complement", low=0.01, high=1.0).place(0.9), 3)
        0.5
        """
        value = one_minus(argument) if self.scale == "complement" else argument
        if self.scale in ("linear", "integer"):
            return (value - self.low) / (self.high - self.low)
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def shown_range(self, exact: bool = False) -> str:
        """The range in Keras's own values; six significant digits unless exact.

        >>> Dimension(keyword="beta_1", scale="complement", low=0.01, high=0.5).shown_range()
        '0.5 .. 0.99 (log 1-x)'
        """
        if self.choices:
            return " | ".join(str(choice) for choice in self.choices)
        low, high = self.keras_bounds()
        ends = f"{low!r} .. {high!r}" if exact else f"{low:.6g} .. {high:.6g}"
        return f"{ends} ({'log 1-x' if self.scale == 'complement' else self.scale})"

    def keras_bounds(self) -> tuple[float, float]:
        """The range in Keras's own values."""
        if self.scale == "complement":
            return one_minus(self.high), one_minus(self.low)
        whole = self.scale in ("integer", "integer log")
        return (int(self.low), int(self.high)) if whole else (self.low, self.high)


def one_minus(value: float) -> float:
    """1 - x of the decimal that is written: binary floats make 0.0050000000000000044 of 0.995.

    What came from a decimal goes back to it, so that a printed range is the stored one to the last bit.

    >>> one_minus(0.995), one_minus(0.005), one_minus(0.9999999999999)
    (0.005, 0.995, 1e-13)
    """
    return float(1 - Decimal(repr(value)))


def log(keyword: str, low: float, high: float) -> Dimension:
    """Uniform on a logarithmic scale."""
    return Dimension(keyword=keyword, scale="log", low=low, high=high)


def linear(keyword: str, low: float, high: float) -> Dimension:
    """Uniform."""
    return Dimension(keyword=keyword, scale="linear", low=low, high=high)


def complement(keyword: str, low: float, high: float) -> Dimension:
    """1 - x uniform on a logarithmic scale."""
    return Dimension(keyword=keyword, scale="complement", low=low, high=high)


def choice(keyword: str, *choices: Choice) -> Dimension:
    """One of a few values."""
    return Dimension(keyword=keyword, scale="choice", choices=choices)


def keras_arguments(sampled: Mapping[str, Choice], total_steps: int | None) -> dict[str, Choice]:
    """Turn sampled values into constructor arguments: only warmup_fraction has another name there.

    Args:
        total_steps: batches of the whole training; where it is unknown there is no warm-up.

    >>> keras_arguments({"learning_rate": 0.1, "warmup_fraction": 0.05}, total_steps=200)
    {'learning_rate': 0.1, 'warmup_steps': 10}
    """
    arguments = dict(sampled)
    if "warmup_fraction" in arguments:
        fraction = float(arguments.pop("warmup_fraction") or 0)
        arguments["warmup_steps"] = round(fraction * (total_steps or 0))
    return arguments


def ranges_json(dimensions: Sequence[Dimension]) -> list[Range]:
    """Dimensions as data, in what is sampled."""
    return [
        {
            "keyword": one.keyword,
            "scale": one.scale,
            "low": one.low,
            "high": one.high,
            "choices": list(one.choices),
        }
        for one in dimensions
    ]
