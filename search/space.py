"""Which optimizers does a study try, which of their arguments does it search, and what does a trial get?"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from optselect.search.catalogue import CATALOGUE, DEFAULT_OPTIMIZERS, Entry
from optselect.search.dimension import Choice, Dimension, keras_arguments
from optselect.search.errors import InvalidInput
from optselect.trials.configuration import BASELINE

FULL_TIER_1 = 10
"""Trials an optimizer must get before more than its learning rate is searched."""
FIRST_OF_TIER_2 = 25
ALL_OF_TIER_2 = 50


@dataclass(frozen=True)
class Override:
    """What a person says of one optimizer's space in place of the catalogue."""

    dimensions: tuple[Dimension, ...]
    place: str
    """Where it was said: "space.Adam (study.toml, line 4)"."""


def choose_optimizers(asked: str | None, baseline_class: str) -> tuple[str, ...]:
    """The classes of a study, in the catalogue's spelling.

    Args:
        asked: comma-separated names in any case, "all", or None for the default set, which the class of
            the user's own optimizer joins.

    Raises:
        InvalidInput: a name is unknown, or none came.
    """
    if asked is None:
        known_baseline = baseline_class in CATALOGUE and baseline_class not in DEFAULT_OPTIMIZERS
        return (*DEFAULT_OPTIMIZERS, baseline_class) if known_baseline else DEFAULT_OPTIMIZERS
    if asked.strip().lower() == "all":
        return tuple(CATALOGUE)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if not names:
        raise InvalidInput(
            f'--optimizers must name at least one optimizer. Received: "{asked}". Known: {known()}'
        )
    return tuple(dict.fromkeys(find_optimizer(name) for name in names))


def find_optimizer(name: str) -> str:
    """The catalogue's spelling of a name."""
    by_lower_case = {optimizer.lower(): optimizer for optimizer in CATALOGUE}
    if name.lower() in by_lower_case:
        return by_lower_case[name.lower()]
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    hint = f' Did you mean "{by_lower_case[near[0]].lower()}"?' if near else ""
    raise InvalidInput(f'--optimizers: there is no optimizer "{name}".{hint} Known: {known()}')


def known() -> str:
    return ", ".join(name.lower() for name in CATALOGUE)


def study_space(
    optimizers: Sequence[str],
    tune: str,
    trials_per_optimizer: int,
    overrides: Mapping[str, Override] = MappingProxyType({}),
) -> dict[str, tuple[Dimension, ...]]:
    """What is searched of each optimizer; fixed for the life of a study.

    An override replaces the catalogue's dimension of the same keyword, or is added; the others stay.

    Raises:
        InvalidInput: an override of an optimizer that the study does not try.
    """
    for name, override in overrides.items():
        if name not in optimizers:
            raise InvalidInput(
                f"{override.place} must be of an optimizer that the study tries: {', '.join(optimizers)}. "
                f"Received: {name}."
            )
    tuned = {name: tuned_dimensions(CATALOGUE[name], tune, trials_per_optimizer) for name in optimizers}
    return {name: overridden(dimensions, overrides.get(name)) for name, dimensions in tuned.items()}


def overridden(dimensions: Sequence[Dimension], override: Override | None) -> tuple[Dimension, ...]:
    """The dimensions by keyword, in their order; what is new comes last."""
    wanted = override.dimensions if override is not None else ()
    own_warmup = any(dimension.keyword == "warmup_steps" for dimension in wanted)
    # The catalogue's warmup_fraction becomes warmup_steps too: it would overwrite them in every trial.
    kept = [d for d in dimensions if not (own_warmup and d.keyword == "warmup_fraction")]
    return tuple({dimension.keyword: dimension for dimension in (*kept, *wanted)}.values())


def tuned_dimensions(entry: Entry, tune: str, trials: int) -> tuple[Dimension, ...]:
    """Few trials, few parameters: the steps of the Deep Learning Tuning Playbook for Adam, by analogy for all.

    >>> [d.keyword for d in tuned_dimensions(CATALOGUE["Adam"], "auto", trials=3)]
    ['learning_rate']
    >>> [d.keyword for d in tuned_dimensions(CATALOGUE["Adam"], "auto", trials=12)]
    ['learning_rate', 'beta_1']
    >>> [d.keyword for d in tuned_dimensions(CATALOGUE["Adam"], "auto", trials=30)]
    ['learning_rate', 'beta_1', 'epsilon']
    """
    if tune == "1":
        return entry.tier_1
    if tune == "all" or trials >= ALL_OF_TIER_2:
        return entry.tier_1 + entry.tier_2
    if trials >= FIRST_OF_TIER_2:
        return entry.tier_1 + entry.tier_2[:1]
    return entry.tier_1 if trials >= FULL_TIER_1 else entry.tier_1[:1]


@dataclass(frozen=True)
class Settings:
    """What a trial was given, as a person reads it."""

    optimizer: str
    """A class of the study."""
    arguments: Mapping[str, Choice]


def suggest_optimizer(
    trial: Any, space: Mapping[str, Sequence[Dimension]], total_steps: int | None, jointly: bool = False
) -> Settings:
    """Ask an Optuna trial for the optimizer and its arguments; the order of the questions never changes.

    The choices of `optimizer` are all classes of the study and the baseline, which has no parameters; a
    sampler that chooses the optimizer itself (jointly) must not waste trials on the latter.
    """
    choices = tuple(space) if jointly else (*space, BASELINE)
    optimizer = str(trial.suggest_categorical("optimizer", choices))
    sampled: dict[str, Choice] = {
        dimension.keyword: dimension.suggest(trial, optimizer) for dimension in space.get(optimizer, ())
    }
    if optimizer == "ScheduleFreeAdamW":
        sampled = keras_arguments(sampled, total_steps)
    return Settings(optimizer, sampled)
