"""Which optimizers does a study try, which of their arguments does it search, and what does a trial get?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optselect.search.errors import InvalidInput, InvalidSetting
from optselect.search.near_names import did_you_mean
from optselect.search.spec.catalogue import CATALOGUE, DEFAULT_OPTIMIZERS, Entry
from optselect.search.spec.declaring import parted
from optselect.search.spec.dimension import Choice, Dimension, keras_arguments
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.reference import Reference, is_reference, read_reference, stored_reference

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


@dataclass(frozen=True)
class Custom:
    """What is known of a class that is not Keras's."""

    entry: Entry
    own: tuple[Dimension, ...]
    """What the class itself and then the spec file say of its space: the later one of a keyword wins."""
    reference: str
    required: tuple[str, ...]
    """Its arguments without a default."""
    kin: str = ""
    """The class of the catalogue that it derives from; empty where there is none."""


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
    names = parted(asked)
    if not names:
        raise InvalidSetting("optimizers", "name at least one optimizer", f'"{asked}"', f" Known: {known()}")
    chosen = [find_optimizer(name) for name in dict.fromkeys(names)]
    for name in (reference.class_name for reference in custom_references(asked)):
        if chosen.count(name) > 1:
            raise InvalidSetting(
                "optimizers", "name different classes", f"{name} twice", " Give one of them another name."
            )
    return tuple(dict.fromkeys(chosen))


def custom_references(asked: str | None) -> list[Reference]:
    """The classes of the user's own among the names."""
    return [stored_reference(name) for name in parted(asked or "") if is_reference(name)]


def placed_names(names: Sequence[str], folder: Path) -> str:
    """The names as one text in which classes of the user's own stand with whole paths; raises ConfigurationError."""
    return ",".join(str(read_reference(name, folder)) if is_reference(name) else name for name in names)


def custom_name(reference: Reference) -> str:
    """The name of a class of the user's own within a study, which no other optimizer may have."""
    name = reference.class_name
    for taken in (*CATALOGUE, BASELINE, "any", "all"):
        if name.lower() == taken.lower():
            raise InvalidInput(
                f'--optimizers: a class of your own must not be called like {taken}. Received: "{reference}". '
                f"Call it My{name}, or add the line My{name} = {name} to its file and give :My{name}."
            )
    return name


def find_optimizer(name: str, customs: Collection[str] = ()) -> str:
    """The catalogue's spelling of a name, or the name of a class of the user's own."""
    if is_reference(name):
        return custom_name(stored_reference(name))
    by_lower_case = {optimizer.lower(): optimizer for optimizer in (*CATALOGUE, *customs)}
    if name.lower() in by_lower_case:
        return by_lower_case[name.lower()]
    raise InvalidInput(
        f'There is no optimizer "{name}".{did_you_mean(name, by_lower_case)} Known: {known()}; '
        "a class of your own is written my_optimizers.py:MyMomentum"
    )


def known() -> str:
    return ", ".join(name.lower() for name in CATALOGUE)


def study_space(
    optimizers: Sequence[str],
    tune: str,
    trials_per_optimizer: int,
    overrides: Mapping[str, Override] = MappingProxyType({}),
    customs: Mapping[str, "Custom"] = MappingProxyType({}),
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
    entries = {**CATALOGUE, **{name: custom.entry for name, custom in customs.items()}}
    said = {**overrides, **{name: Override(custom.own, custom.reference) for name, custom in customs.items()}}
    tuned = {name: tuned_dimensions(entries[name], tune, trials_per_optimizer) for name in optimizers}
    return {name: overridden(dimensions, said.get(name)) for name, dimensions in tuned.items()}


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
