"""Which trainings does a study consist of? Tickets, all made before the first worker starts.

The user's own optimizer runs once, as the baseline. Search tickets go round-robin over the optimizers, so
that a study that is stopped early leaves equal shares. A ticket fixes the optimizer, the sampler the rest.
"""

from collections.abc import Mapping, Sequence

from optselect.storage.tickets import NewTicket
from optselect.trials.configuration import BASELINE

SEARCH_SEEDS = 12
"""Size of the pool of seeds that search trials share: enough that no seed decides, few enough to keep weights."""


def first_tickets(optimizers: Sequence[str], trials: int, seed: int) -> list[NewTicket]:
    """The baseline and the whole search budget."""
    baseline = NewTicket("baseline", BASELINE, search_seed(seed, 0), {"optimizer": BASELINE})
    return [baseline, *search_tickets(optimizers, dict.fromkeys(optimizers, 0), trials, seed)]


def search_tickets(
    optimizers: Sequence[str], already: Mapping[str, int], trials: int, seed: int
) -> list[NewTicket]:
    """More search tickets; whoever has the fewest so far comes first, ties in the order of the study.

    >>> [t.optimizer for t in search_tickets(["SGD", "Adam"], {"SGD": 2, "Adam": 1}, 3, seed=0)]
    ['Adam', 'SGD', 'Adam']
    """
    counts = {name: already.get(name, 0) for name in optimizers}
    tickets = []
    for _ in range(trials):
        optimizer = min(counts, key=counts.__getitem__)
        fixed = {"optimizer": optimizer}
        tickets.append(NewTicket("quota", optimizer, search_seed(seed, counts[optimizer]), fixed))
        counts[optimizer] += 1
    return tickets


def search_seed(study_seed: int, turn: int) -> int:
    """The seed of an optimizer's trial number `turn`: the same for all optimizers, from a pool of twelve."""
    return 1000 * study_seed + turn % SEARCH_SEEDS
