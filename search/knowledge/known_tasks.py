"""What did other tasks show? The losses of known trainings over each optimizer's range, as a file of this package.

`python -m benchmarks.verdict.learn` makes the file from tables of trainings. Within a task losses are standardised over
all optimizers, so that only shapes are told: which settings are good there, and what one optimizer says of another.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from optselect.search.spec.dimension import Choice, Dimension

Numbers = npt.NDArray[np.float64]
FILE = Path(__file__).with_name("known_tasks.npz")
STEP = 1 / 128
"""Levels are kept in these steps: a quarter of what two runs of the best configurations differ by, at most."""


@dataclass(frozen=True)
class Surface:
    """What is known of one optimizer, over all tasks."""

    dimensions: tuple[Dimension, ...]
    """The ranges that were searched."""
    defaults: Mapping[str, Choice]
    """Keras's own values of the constructor's plain arguments."""
    points: Numbers
    """Configurations in the unit cube of the dimensions, n x d; Keras's defaults may lie outside."""
    levels: Numbers
    """Standardised logarithms of their validation losses, tasks x n."""


@dataclass(frozen=True)
class KnownTasks:
    """The tasks that were trained, each with all optimizers."""

    names: tuple[str, ...]
    surfaces: Mapping[str, Surface]
    """By optimizer."""
    heights: Numbers
    """By task: the mean logarithm of the losses, less that of the untrained model's loss."""
    spreads: Numbers
    """By task: the standard deviation of the logarithms, by which levels were divided."""
    noises: Numbers
    """By task: by how much the logarithm of a good configuration's loss differs from seed to seed."""
    versions: Mapping[str, str]
    """Of what trained them."""

    def only(self, tasks: Collection[str]) -> "KnownTasks":
        """As if no other tasks were known."""
        kept = [place for place, name in enumerate(self.names) if name in tasks]
        surfaces = {
            name: Surface(one.dimensions, one.defaults, one.points, one.levels[kept])
            for name, one in self.surfaces.items()
        }
        names = tuple(self.names[place] for place in kept)
        return KnownTasks(
            names, surfaces, self.heights[kept], self.spreads[kept], self.noises[kept], self.versions
        )

    def without_optimizers(self, names: Collection[str]) -> "KnownTasks":
        """As if these optimizers had never been trained."""
        left = {name: one for name, one in self.surfaces.items() if name not in names}
        return KnownTasks(self.names, left, self.heights, self.spreads, self.noises, self.versions)


@cache
def known_tasks() -> KnownTasks:
    """Those that come with the package."""
    with FILE.open("rb") as file:
        return read(file)


# --- the file -------------------------------------------------------------------------------------------


def write(known: KnownTasks, file: IO[bytes]) -> None:
    """The same tasks give the same bytes: numpy dates what is in its archives 1980."""
    head = {
        "tasks": known.names,
        "versions": dict(known.versions),
        "optimizers": {
            name: {
                "dimensions": [dimension.model_dump() for dimension in one.dimensions],
                "defaults": dict(one.defaults),
            }
            for name, one in known.surfaces.items()
        },
    }
    arrays: dict[str, npt.NDArray[Any]] = {"head": np.array(json.dumps(head))}
    for name in ("heights", "spreads", "noises"):
        arrays[name] = getattr(known, name).astype(np.float32)
    for name, one in known.surfaces.items():
        arrays[f"{name}.points"] = one.points.astype(np.float16)
        arrays |= zip((f"{name}.high", f"{name}.low"), halves(one.levels), strict=True)
    np.savez_compressed(file, allow_pickle=False, **arrays)


def read(file: IO[bytes]) -> KnownTasks:
    with np.load(file, allow_pickle=False) as stored:
        head = json.loads(str(stored["head"]))
        surfaces = {
            name: Surface(
                tuple(Dimension(**dimension) for dimension in one["dimensions"]),
                one["defaults"],
                stored[f"{name}.points"].astype(float),
                joined(stored[f"{name}.high"], stored[f"{name}.low"]),
            )
            for name, one in head["optimizers"].items()
        }
        heights, spreads, noises = (stored[name].astype(float) for name in ("heights", "spreads", "noises"))
        return KnownTasks(tuple(head["tasks"]), surfaces, heights, spreads, noises, head["versions"])


def halves(levels: Numbers) -> Sequence[npt.NDArray[Any]]:
    """The levels in steps, high and low bytes apart: the high ones are nearly all alike, and shrink."""
    steps = np.round(levels / STEP).astype(np.int16)
    return (steps >> 8).astype(np.int8), (steps & 255).astype(np.uint8)


def joined(high: npt.NDArray[Any], low: npt.NDArray[Any]) -> Numbers:
    """
    >>> joined(*halves(np.array([-3.25, 0.0, 2.5]))).tolist()
    [-3.25, 0.0, 2.5]
    """
    steps: Numbers = (high.astype(float) * 256 + low) * STEP
    return steps
