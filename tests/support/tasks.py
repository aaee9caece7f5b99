"""Small known tasks for tests, whose best settings are known."""

from collections.abc import Callable, Sequence

import numpy as np

from optselect.search.knowledge.known_tasks import KnownTasks, Numbers, Surface
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.dimension import Choice

DEFAULTS: dict[str, dict[str, Choice]] = {
    "SGD": {"learning_rate": 0.01, "momentum": 0.0, "weight_decay": None},
    "Adam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9},
}


def valley(best: float) -> Callable[[Numbers], Numbers]:
    """Levels that rise to both sides of a place of the learning rate's range, steeply above it."""

    def levels(points: Numbers) -> Numbers:
        away = points[:, 0] - best
        found: Numbers = np.minimum(np.where(away > 0, 8.0, 4.0) * np.abs(away), 2.0) - 1.0
        return found

    return levels


def tasks(
    best: Sequence[float] = (0.45, 0.5, 0.55, 0.6), optimizers: Sequence[str] = ("SGD", "Adam", "RMSprop")
) -> KnownTasks:
    """One task for each place; all optimizers have the same valley, so that one tells of the others."""
    draw = np.random.default_rng(0)
    surfaces = {}
    for name in optimizers:
        dimensions = CATALOGUE[name].tier_1
        points = draw.random((64, len(dimensions)))
        levels = np.array([valley(place)(points) for place in best])
        surfaces[name] = Surface(dimensions, DEFAULTS[name], points, levels)
    count = len(best)
    return KnownTasks(
        tuple(f"task_{number}" for number in range(count)),
        surfaces,
        np.full(count, -1.0),
        np.full(count, 1.0),
        np.full(count, 0.1),
        {"keras": "3.15.0"},
    )
