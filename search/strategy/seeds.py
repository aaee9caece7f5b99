"""Which seeds does a study train on? All follow from its own, and no phase meets a seed of another one.

Each study's seed stands for a thousand of them: the first twelve are searched on, others decide.
"""

SEARCH_SEEDS = 12
"""Size of the pool of seeds that search trials share: enough that no seed decides, few enough to keep weights."""
ELIMINATION_SEED = 100
FINAL_SEED = 200
"""Where the seeds of the later phases begin, within the thousand that belong to a study's seed."""
OF_A_STUDY = 1000
ELIMINATION_SEEDS = 3
FINAL_POOL = 20
"""Seeds whose initial weights are made together: what a verdict asks for at most, and as many again later."""


def search_seed(study_seed: int, turn: int) -> int:
    """The seed of an optimizer's trial number `turn`: the same for all optimizers, from a pool of twelve."""
    return OF_A_STUDY * study_seed + turn % SEARCH_SEEDS


def elimination_seed(study_seed: int, place: int) -> int:
    return OF_A_STUDY * study_seed + ELIMINATION_SEED + place


def final_seed(study_seed: int, place: int) -> int:
    return OF_A_STUDY * study_seed + FINAL_SEED + place


def sampler_seed(study_seed: int, turn: int) -> int:
    """The seed of what proposes a ticket's settings, by the ticket's place in the study."""
    return study_seed * 1_000_003 + turn


def first_seeds(study_seed: int) -> tuple[int, ...]:
    """The seeds that a study may come to without more being asked of it, in the order of their use."""
    return tuple(
        seed
        for first in (search_seed(study_seed, 0), elimination_seed(study_seed, 0), final_seed(study_seed, 0))
        for seed in seeds_beside(first)
    )


def seeds_beside(seed: int) -> tuple[int, ...]:
    """The seeds that will be wanted where this one is, itself the first.

    >>> seeds_beside(7101)
    (7101, 7100, 7102)
    """
    place = seed % OF_A_STUDY
    if place < ELIMINATION_SEED:
        first, count = 0, SEARCH_SEEDS
    elif place < FINAL_SEED:
        first, count = ELIMINATION_SEED, ELIMINATION_SEEDS
    else:
        first, count = place - (place - FINAL_SEED) % FINAL_POOL, FINAL_POOL
    beside = range(seed - place + first, seed - place + first + count)
    return (seed, *(other for other in beside if other != seed))
