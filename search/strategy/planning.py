"""Which trainings does a study begin with? Tickets, made with it before the first worker starts.

The user's own optimizer and each class at Keras's defaults run once. Then each optimizer gets an equal quota
of quasi-random configurations, so that every one is really tuned before anything is compared. The quota goes
round-robin: a study that is stopped early leaves equal shares. What follows is decided in phases.py.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from optselect.search.spec.declarations import Sampler
from optselect.search.spec.dimension import Choice, Dimension
from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.seeds import search_seed
from optselect.storage.records.phases import SLICE, SLICED, Step
from optselect.storage.records.tickets import NewTicket
from optselect.trials.terms.configuration import BASELINE

QUOTA = 6
"""Evenly spread trials of each optimizer; TPE that knows only its own optimizer's trials goes on from them."""
SHARE = 16
"""Trials of each optimizer before any is dropped."""
ENOUGH: Mapping[Sampler, int] = MappingProxyType({"learned": 8, "tpe": SHARE})
"""Trials of each optimizer below which more of them often change the order (docs/verdict-measured.md)."""
ANY = "any"
"""In place of an optimizer: the sampler chooses that too."""


def baseline_tickets(spec: StudySpec) -> list[NewTicket]:
    """One run each on the first seed: what is there before any tuning."""
    seed = search_seed(spec.seed, 0)
    own = NewTicket("baseline", BASELINE, seed, {"optimizer": BASELINE}, role="own", arguments={})
    if not spec.has_finals:
        return [own]
    return [
        own,
        *(
            evaluation("baseline", name, seed, "defaults", spec.default_arguments)
            for name in spec.with_defaults
        ),
    ]


def in_slices(
    trials: int, decisions: Sequence[Mapping[str, Any]], make: Callable[[int], Sequence[NewTicket]]
) -> Step:
    """So many search tickets, or the first slice of them; `storage/records/phases.py` asks for the next ones in time.

    Only what the budget decides is made in slices: quota, share, elimination and finals grow with the optimizers alone.
    """
    known = trials <= SLICE or SLICED in decisions
    return Step(make(min(trials, SLICE)), decision=None if known else SLICED)


def quota_of(spec: StudySpec, trials: int) -> int:
    """The evenly spread trials of each optimizer."""
    return min(QUOTA, share_of(spec, trials))


def share_of(spec: StudySpec, trials: int) -> int:
    """The trials of each optimizer before any is dropped."""
    return min(SHARE, max(1, trials // len(spec.optimizers)))


def quota_tickets(
    spec: StudySpec,
    optimizers: Sequence[str],
    quota: int,
    given: Mapping[str, Mapping[str, Choice]] = MappingProxyType({}),
) -> list[NewTicket]:
    """Turn by turn one for each optimizer; `given` are arguments that a trial of it has beside the sampled ones."""
    points = {name: quota_points(spec, name, quota) for name in optimizers}
    return [
        NewTicket("quota", name, search_seed(spec.seed, turn), points[name][turn], arguments=given.get(name))
        for turn in range(quota)
        for name in optimizers
    ]


def quota_points(spec: StudySpec, optimizer: str, quota: int) -> list[dict[str, Choice]]:
    """Scrambled Sobol points over an optimizer's space: the same for the same study seed, wherever they are drawn.

    Optuna's own Sobol sampler keeps its place per study and cannot fill a space with branches.
    """
    import numpy as np
    from scipy.stats import qmc  # more than half a second: only where a quota is drawn

    dimensions = [dimension for dimension in spec.space[optimizer] if dimension.scale != "fixed"]
    if not dimensions:
        return [{"optimizer": optimizer}] * quota
    seed = np.random.default_rng([spec.seed, zlib.crc32(optimizer.encode())])
    sobol = qmc.Sobol(len(dimensions), scramble=True, rng=seed)
    points = sobol.random_base2(math.ceil(math.log2(max(quota, 2))))[:quota]
    return [{"optimizer": optimizer, **placed(optimizer, dimensions, point)} for point in points.tolist()]


def placed(optimizer: str, dimensions: Sequence[Dimension], point: Sequence[float]) -> dict[str, Choice]:
    """Optuna's parameters at a point of the unit cube."""
    return {
        f"{optimizer}.{dimension.parameter}": dimension.at(coordinate)
        for dimension, coordinate in zip(dimensions, point, strict=True)
    }


def survivor_tickets(
    spec: StudySpec,
    survivors: Sequence[str],
    already: Mapping[str, int],
    trials: int,
    given: Mapping[str, Mapping[str, Choice]] = MappingProxyType({}),
) -> list[NewTicket]:
    """Tickets of which the sampler fills in the settings; whoever has the fewest trials comes first, ties in the study's order."""
    counts = {name: already.get(name, 0) for name in survivors}
    tickets = []
    for _ in range(trials):
        optimizer = min(counts, key=counts.__getitem__)
        seed = search_seed(spec.seed, counts[optimizer])
        fixed = {"optimizer": optimizer}
        tickets.append(NewTicket("survivors", optimizer, seed, fixed, arguments=given.get(optimizer)))
        counts[optimizer] += 1
    return tickets


def evaluation(
    phase: str, optimizer: str, seed: int, role: str, arguments: Mapping[str, Choice]
) -> NewTicket:
    """One run of a configuration that is known already."""
    return NewTicket(phase, optimizer, seed, {"optimizer": optimizer}, role=role, arguments=arguments)
