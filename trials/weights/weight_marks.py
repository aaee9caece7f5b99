"""Are these the weights that a study began with? A hash, and of each variable two numbers that rounding hardly moves."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optselect.trials.problem.initial_weights import Begin
from optselect.trials.terms.description import VariableMark, WeightsDescription

FIRST_SEED, SECOND_SEED = 0, 1
ROUNDING = 1e-5
"""Of a variable's norm: on other processors the last bits of an initializer differ, as those of Orthogonal's QR."""
ROUNDING_OF_HALVES = 2**-7
WHOLE = 1e-10
"""The same for whole numbers: of sums of them."""
CHUNK = 2**20
LARGEST = 1e100
"""Its square is finite, too: JSON knows no infinity."""


@dataclass(frozen=True)
class Beginnings:
    """What comes of making the weights of one seed twice and of another one once."""

    weights: WeightsDescription
    unsteady: tuple[str, ...]
    """Variables that do not follow from the seed."""
    differ: bool
    """Whether the seeds begin with other weights."""


def begin(make: Begin) -> Beginnings:
    """Make the weights of two seeds; this seeds the process."""
    names, values = make(FIRST_SEED)
    told = [_digest(value) for value in values]
    again, other = ([_digest(value) for value in make(seed)[1]] for seed in (FIRST_SEED, SECOND_SEED))
    steady = [place for place, digest in enumerate(told) if again[place : place + 1] == [digest]]
    kept = [p for p in steady if other[p : p + 1] == [told[p]] and not _is_constant(values[p])]
    return Beginnings(
        weights=WeightsDescription(
            sha256=_whole(told[place] for place in steady),
            variables=tuple(mark(names[place], values[place]) for place in steady),
            kept=tuple(names[place] for place in kept),
        ),
        unsteady=tuple(name for place, name in enumerate(names) if place not in set(steady)),
        differ=other != told,
    )


def begins_so(weights: WeightsDescription | None, make: Begin) -> bool:
    """Tell whether this process still makes the weights that it has described, to the last bit and all of them."""
    return weights is not None and _whole(map(_digest, make(FIRST_SEED)[1])) == weights.sha256


def mark(name: str, value: np.ndarray[Any, Any]) -> VariableMark:
    """Tell a variable's values from others: by their norm, and by how far they follow a wave, which their order moves."""
    flat, squares, along = value.ravel(), 0.0, 0.0
    wave = np.cos(np.arange(min(flat.size, CHUNK)))
    for start in range(0, flat.size, CHUNK):
        part = np.nan_to_num(flat[start : start + CHUNK].astype(np.float64), posinf=LARGEST, neginf=-LARGEST)
        part = np.clip(part, -LARGEST, LARGEST)
        squares += float(part @ part)
        along += float(part @ wave[: part.size])
    return VariableMark(name, squares**0.5, along, _rounding(value.dtype))


def _rounding(dtype: np.dtype[Any]) -> float:
    if dtype.kind in "biu":
        return WHOLE
    return ROUNDING if dtype.itemsize >= 4 else ROUNDING_OF_HALVES


def _whole(digests: Iterable[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _digest(value: np.ndarray[Any, Any]) -> str:
    head = f"{value.dtype} {value.shape}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()


def _is_constant(value: np.ndarray[Any, Any]) -> bool:
    return value.size == 0 or bool(np.all(value == value.flat[0]))
