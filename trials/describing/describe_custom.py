"""What are the optimizer classes that a study brings along, and do they work?"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from optselect.trials.data.fingerprint import place_in_bundle
from optselect.trials.describing.custom_check import try_class
from optselect.trials.optimizers.building import shortest
from optselect.trials.optimizers.custom import describe_class, file_of_class, load_class, make_custom
from optselect.trials.problem.loading import Problem
from optselect.trials.terms.configuration import COMMON, ArgumentValue, OptimizerConfig
from optselect.trials.terms.description import CustomDescription, ParameterDescription
from optselect.trials.terms.errors import ConfigurationError
from optselect.trials.terms.reference import AskedClass, Reference
from optselect.trials.terms.user_code import is_users

SOME: Mapping[str, float] = {
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "rho": 0.9,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-7,
    "weight_decay": 1e-4,
}
"""Values to try a class with that has no default for what one knows."""


def describe_classes(
    problem: Problem, asked: Iterable[AskedClass], on_tried: Callable[[int], object] = lambda _: None
) -> dict[str, CustomDescription]:
    """Describe and try the classes of a problem, by name; raises ProblemError with what one lacks.

    A class with an argument that nobody has given a value is described only: the launcher asks for it. `on_tried`
    hears how many are done.
    """
    found = {}
    for one in asked:
        name = one.reference.class_name
        custom_class = problem.optimizers[name]
        file = _bundle_file(custom_class, one.reference, problem.path.parent)
        described = _with_learning_rate(
            describe_class(custom_class, one.reference, file), custom_class, one.arguments
        )
        arguments = _arguments(described, one.arguments)
        notes = (
            []
            if file
            else [f"{name} comes from an installed package: every machine that trains must have it."]
        )
        if set(described.required) <= arguments.keys():
            required_or_said = {
                key: arguments[key] for key in arguments if key in _said(described, one.arguments)
            }
            notes += try_class(problem, name, required_or_said)
        found[name] = dataclasses.replace(described, notes=tuple(notes))
        on_tried(len(found))
    return found


def describe_alone(asked: Iterable[AskedClass]) -> dict[str, CustomDescription]:
    """Describe classes apart from any problem."""
    found = {}
    for one in asked:
        custom_class = load_class(one.reference, None)
        described = describe_class(custom_class, one.reference, file_of_class(custom_class))
        found[one.reference.class_name] = _with_learning_rate(described, custom_class, one.arguments)
    return found


def _bundle_file(custom_class: type, reference: Reference, folder: Path) -> str:
    file = Path(file_of_class(custom_class)).resolve()
    if reference.is_file:
        file = reference.path
    if is_users(file, folder):
        return file.relative_to(folder).as_posix()
    return place_in_bundle(reference, file) if reference.is_file else ""


def _said(described: CustomDescription, given: Mapping[str, ArgumentValue]) -> set[str]:
    return {*given, *(described.search_space or {}), *described.required}


def _arguments(described: CustomDescription, given: Mapping[str, ArgumentValue]) -> dict[str, ArgumentValue]:
    """Give values to try a class with; names that it does not have are left to the launcher, who knows who said them."""
    own = dict(_examples(described.search_space or {}))
    known = {*described.parameters, *(COMMON if described.takes_more else ())}
    return {name: value for name, value in {**SOME, **own, **given}.items() if name in known}


def _examples(space: Mapping[str, Any]) -> Iterator[tuple[str, ArgumentValue]]:
    """Give a value of each range, choice or fixed value that a class attribute search_space holds."""
    for name, value in space.items():
        if isinstance(value, (list, tuple)):
            yield from [(name, value[0])] if value else []
        elif isinstance(value, dict):
            yield from [(name, value["low"])] if "low" in value else []
        else:
            yield name, value


def _with_learning_rate(
    described: CustomDescription, custom_class: type, given: Mapping[str, ArgumentValue]
) -> CustomDescription:
    """Add a learning rate that is taken among **kwargs: whether it is, only a call tells."""
    if "learning_rate" in described.parameters or not described.takes_more:
        return described
    arguments = {
        key: value for key, value in _arguments(described, given).items() if key in _said(described, given)
    }
    try:
        asked = _rate(custom_class, {**arguments, "learning_rate": SOME["learning_rate"]})
    except ConfigurationError:
        return described
    if asked != SOME["learning_rate"]:
        return described
    try:
        default = _rate(
            custom_class, {key: value for key, value in arguments.items() if key != "learning_rate"}
        )
    except ConfigurationError:
        default = None
    parameter = ParameterDescription(default, "" if default is None else repr(default), default is None)
    return dataclasses.replace(described, parameters={"learning_rate": parameter, **described.parameters})


def _rate(custom_class: type, arguments: Mapping[str, ArgumentValue]) -> float | None:
    optimizer = make_custom(OptimizerConfig(custom_class.__name__, arguments, custom_class=custom_class))
    try:
        return shortest(optimizer.learning_rate)
    except (TypeError, ValueError, AttributeError):  # a schedule, or whatever it makes of it
        return None
