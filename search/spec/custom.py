"""What is searched of an optimizer class of the user's own, and what is not?

Its constructor says which arguments there are. The names that Keras's optimizers share get the ranges that these have
been searched in; a class attribute search_space and a spec file's [space.MyMomentum] say more. What nobody speaks of
stays at the constructor's default.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from optselect.search.errors import InvalidInput
from optselect.search.spec.catalogue import CATALOGUE, TINY, Entry
from optselect.search.spec.dimension import Choice, Dimension, complement, log, one_minus
from optselect.search.spec.space import Custom, Override, custom_references
from optselect.search.spec.study_spec import Request, StudySpec, resolve
from optselect.search.spec.toml.source import Source
from optselect.search.spec.toml.space_table import SCHEDULE_RULES, read_table
from optselect.trials.terms.configuration import COMMON, LARGEST, SMALLEST, as_float32
from optselect.trials.terms.description import CustomDescription, ParameterDescription, ProblemDescription
from optselect.trials.terms.reference import AskedClass, Reference

TIER_1 = (
    log("learning_rate", 1e-5, 0.1),
    complement("momentum", 5e-3, TINY),
    complement("rho", 1e-3, 0.5),
    complement("beta_1", 1e-2, TINY),
)
TIER_2 = (
    log("epsilon", 1e-10, 1.0),
    complement("beta_2", 1e-4, 0.5),
    log("weight_decay", 1e-4, 1.0),
)
KNOWN = tuple(dimension.keyword for dimension in (*TIER_1, *TIER_2))
SOURCE = "Adam's and SGD's ranges for arguments of the same names"
MARGIN = 10.0
"""A default outside the usual range lies so many times inside the widened one: at its edge nothing would be known."""


def asked_classes(request: Request) -> tuple[AskedClass, ...]:
    """The classes that a request names, with some arguments that the study may give them."""
    return tuple(
        AskedClass(reference, dict(some_arguments(request.space.get(reference.class_name))))
        for reference in custom_references(request.optimizers)
    )


def some_arguments(override: Override | None) -> Iterator[tuple[str, Choice]]:
    for dimension in override.dimensions if override is not None else ():
        if dimension.keyword not in SCHEDULE_RULES:
            value = dimension.at(0.5)
            is_complement = dimension.scale == "complement"
            yield dimension.keyword, one_minus(float(value or 0.0)) if is_complement else value


def knows_all(request: Request, described: Mapping[str, CustomDescription]) -> bool:
    """Whether every class of a request was described already."""
    asked = {str(reference) for reference in custom_references(request.optimizers)}
    return asked <= {description.reference for description in described.values()}


def read_customs(request: Request, described: Mapping[str, CustomDescription]) -> dict[str, Custom]:
    """What is known of each class that a request names; raises InvalidInput where its space is wrong."""
    return {
        reference.class_name: read_custom(
            described[reference.class_name], reference, request.space.get(reference.class_name)
        )
        for reference in custom_references(request.optimizers)
    }


def read_custom(
    description: CustomDescription, reference: Reference, override: Override | None = None
) -> Custom:
    name = reference.class_name
    entry = entry_of(name, description)
    own = read_own_space(name, description, reference)
    said = (*own, *(override.dimensions if override is not None else ()))
    places = {d.keyword: f"{name}.search_space ({reference.module})" for d in own}
    if override is not None:
        places |= {d.keyword: override.place for d in override.dimensions}
    for dimension in said:
        check_known(name, dimension, description, places[dimension.keyword])
    searched = {d.keyword for d in (*entry.tier_1, *said)}
    for required in description.required:
        if required not in searched:
            raise InvalidInput(
                f"{name}.{required} has no default, so the study must give it one. Received: none. "
                f"Write [space.{name}] {required} = VALUE, or {{low = ..., high = ...}}, into a file for --spec."
            )
    fitted = tuple(as_constructor_wants(d, description.parameters.get(d.keyword)) for d in said)
    kin = next((base for base in description.bases if base in CATALOGUE), "")
    return Custom(entry, fitted, str(reference), description.required, kin)


def entry_of(name: str, description: CustomDescription) -> Entry:
    """The class as the catalogue would hold it."""
    parameters = description.parameters
    first = [widened(d, parameters[d.keyword]) for d in TIER_1 if d.keyword in parameters]
    second = [widened(d, parameters[d.keyword]) for d in TIER_2 if d.keyword in parameters]
    # What has no default must be searched at any budget.
    early = [d for d in second if d.keyword in description.required]
    later = [d for d in second if d.keyword not in description.required]
    return Entry(name, (*first, *early), tuple(later), SOURCE)


def widened(dimension: Dimension, parameter: ParameterDescription) -> Dimension:
    """The range, with the constructor's default inside.

    >>> widened(log("learning_rate", 1e-5, 0.1), ParameterDescription(1.0, "1.0", False)).high
    10.0
    """
    default = parameter.default
    if isinstance(default, bool) or not isinstance(default, (int, float)) or not math.isfinite(default):
        return dimension
    value = one_minus(float(default)) if dimension.scale == "complement" else float(default)
    if not SMALLEST <= as_float32(value) < math.inf:
        return dimension  # no range around it would be one of numbers that trainings calculate with
    if value <= 0 or (dimension.scale == "complement" and value >= 1):
        return dimension  # exactly 0 or 1 is another optimizer: Keras's own ranges leave it out too
    low = min(dimension.low, value / MARGIN) if value < dimension.low else dimension.low
    high = max(dimension.high, value * MARGIN) if value > dimension.high else dimension.high
    low, high = max(low, SMALLEST), min(high, LARGEST)
    if dimension.scale == "complement":
        high = min(high, TINY)
    return dimension.model_copy(update={"low": low, "high": high})


def read_own_space(name: str, description: CustomDescription, reference: Reference) -> tuple[Dimension, ...]:
    """What the class attribute search_space says, in the forms of a spec file."""
    if not description.search_space:
        return ()
    source = Source(Path(f"{reference.module}.py" if reference.is_file else reference.module), "")
    return read_table(name, (name, "search_space"), description.search_space, source)


def check_known(name: str, dimension: Dimension, description: CustomDescription, place: str) -> None:
    names = {
        *description.parameters,
        *(set(COMMON) - {"learning_rate", "name"} if description.takes_more else ()),
    }
    if "learning_rate" in description.parameters:
        names |= set(SCHEDULE_RULES)
    if dimension.keyword not in names:
        known = ", ".join(description.parameters) or "none"
        raise InvalidInput(
            f"{place}: the constructor of {name} has no argument {dimension.keyword}. Its arguments: {known}."
        )


def as_constructor_wants(dimension: Dimension, parameter: ParameterDescription | None) -> Dimension:
    """Floats where the constructor's own default is one, though the file says 1 and 5."""
    if parameter is None or not isinstance(parameter.default, float):
        return dimension
    choices = tuple(float(c) if type(c) is int else c for c in dimension.choices)
    scale = {"integer": "linear", "integer log": "log"}.get(dimension.scale, dimension.scale)
    return dimension.model_copy(update={"choices": choices, "scale": scale})


# --- in words -----------------------------------------------------------------------------------------


def notes(spec: StudySpec, described: Mapping[str, CustomDescription]) -> Iterator[str]:
    """What a launch says of its classes, a line each."""
    for name in spec.custom:
        yield what_is_searched(name, spec.space[name], described[name])
        yield from described[name].notes


def what_is_searched(name: str, dimensions: Sequence[Dimension], description: CustomDescription) -> str:
    """One line: the ranges, what stays, and how to have it searched."""
    searched = [f"{d.keyword} {d.shown_range()}" for d in dimensions if d.scale != "fixed"]
    fixed = [f"{d.keyword}={d.choices[0]}" for d in dimensions if d.scale == "fixed"]
    said = {d.keyword for d in dimensions}
    kept = {key: value.shown for key, value in description.parameters.items() if key not in said}
    later = [f"{key}={kept.pop(key)}" for key in KNOWN if key in kept]
    parts = [
        f"{name}: searched are {', '.join(searched)}" if searched else f"{name}: nothing of it is searched"
    ]
    parts += [f"fixed {', '.join(fixed)}"] if fixed else []
    parts += (
        [f"at its default for so few trials {', '.join(later)} (--tune all searches it)"] if later else []
    )
    if kept:
        parts.append(
            f"at its default {', '.join(f'{key}={value}' for key, value in kept.items())} (to search it: "
            f"[space.{name}] {next(iter(kept))} = {{low = ..., high = ...}} in a file for --spec, or search_space in "
            "the class)"
        )
    return "; ".join(parts) + "."


def resolved(request: Request, description: ProblemDescription, bundled: bool) -> StudySpec:
    customs = read_customs(request, description.optimizers)
    return resolve(request, description, bundled, Path.cwd(), customs)
