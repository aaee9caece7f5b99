"""Between which configurations does a proposal choose? Spread ones, and some close to the best that are known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optselect.search.knowledge.branches import Branch, place_of
from optselect.search.knowledge.known_tasks import Numbers
from optselect.search.spec.dimension import Choice, Dimension

SPREAD = 192
NEAR = 32
"""Candidates about each of the best, at each distance."""
DISTANCES = (0.02, 0.08)
"""Standard deviations, in shares of a range."""


@dataclass(frozen=True)
class Candidate:
    """One configuration."""

    sampled: Mapping[str, Choice]
    """What Optuna's parameters get, by keyword."""
    arguments: Mapping[str, Choice]
    """What Keras gets."""


def candidates(branch: Branch, near: Sequence[Mapping[str, Choice]], seed: int) -> list[Candidate]:
    """The candidates of a branch.

    Args:
        near: arguments of its best configurations.
    """
    draw = np.random.default_rng(seed)
    dimensions = branch.dimensions
    if not dimensions:
        return [Candidate({}, {})]
    coordinates = [spread_points(len(dimensions), SPREAD, draw), *about(dimensions, near, draw)]
    return [candidate(dimensions, point) for point in np.vstack(coordinates).tolist()]


def spread_points(dimensions: int, count: int, draw: np.random.Generator) -> Numbers:
    """Kronecker's sequence with the steps of the generalised golden ratio, from a random place (M. Roberts 2018).

    SciPy's Sobol sequence would cost each training process half a second and 50 MB.
    """
    ratio = 2.0
    for _ in range(30):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1, dimensions + 1)
    found: Numbers = (draw.random(dimensions) + np.arange(1, count + 1)[:, None] * steps) % 1.0
    return found


def about(
    dimensions: Sequence[Dimension], near: Sequence[Mapping[str, Choice]], draw: np.random.Generator
) -> Iterator[Numbers]:
    """Normal steps from each of the best; what is chosen from a list stays or is drawn anew, and so do numbers beside it."""
    for arguments in near:
        middle = np.array([coordinate(one, arguments.get(one.keyword), draw) for one in dimensions])
        for distance in DISTANCES:
            steps = draw.normal(scale=distance, size=(NEAR, len(dimensions)))
            points = np.clip(middle + steps, 0.0, 1.0)
            for place, one in enumerate(dimensions):
                if one.scale == "choice":
                    anew = draw.random(NEAR)
                    points[:, place] = np.where(anew < 0.5, middle[place], 2 * anew - 1)
            yield points


def coordinate(dimension: Dimension, argument: Choice, draw: np.random.Generator) -> float:
    """Where an argument stands in its range; anywhere where it has none of it."""
    if dimension.scale == "choice":
        known = [place for place, choice in enumerate(dimension.choices) if choice == argument]
        return (known[0] + 0.5) / len(dimension.choices) if known else float(draw.random())
    return min(max(place_of(dimension, {dimension.keyword: argument}, {}), 0.0), 1.0)


def candidate(dimensions: Sequence[Dimension], point: Sequence[float]) -> Candidate:
    sampled = {one.keyword: one.at(place) for one, place in zip(dimensions, point, strict=True)}
    return Candidate(sampled, {one.keyword: one.argument(sampled[one.keyword]) for one in dimensions})
