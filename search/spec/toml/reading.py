"""What does a study.toml say? Everything that the flags of launch can say, and ranges of one's own.

    problem = "my_net.py"                    # relative to this file
    optimizers = ["sgd", "adam"]
    trials = 36

    [space.Adam]
    learning_rate = {low = 1e-4, high = 1e-2, log = true}
    beta_1 = {low = 0.5, high = 0.99}        # always log of 1 - x
    epsilon = 1e-8                           # fixed
    amsgrad = [false, true]                  # a choice
    schedule = ["constant", "cosine"]        # also warmup_fraction, end_factor

    [[switch]]
    from = "SGD"
    to = "Adam"
    at = {low = 0.1, high = 0.9}             # share of the epochs

Ranges are Keras's own values. Each error names the key, the file and the line.
"""

import os
import reprlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from optselect.search.errors import InvalidInput, told_where_said
from optselect.search.names import study_name
from optselect.search.spec.declarations import LaunchSettings
from optselect.search.spec.declaring import Setting, settings_of
from optselect.search.spec.space import Override, custom_references
from optselect.search.spec.switching import SwitchSpec
from optselect.search.spec.toml.source import Source, checked_optimizer, unknown_key
from optselect.search.spec.toml.space_table import read_space
from optselect.search.spec.toml.switch_table import read_switch

WORDS = {
    "a valid integer": "a whole number",
    "a valid string": "a string in quotes",
    "a valid boolean": "true or false",
    "a valid dictionary": "a table",
}
"""What pydantic calls by Python's names, in TOML's."""


class Tables(BaseModel):
    """The keys that hold tables."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    switch: list[dict[str, Any]] = []
    space: dict[str, dict[str, Any]] = {}


def file_model(declared: type[LaunchSettings] = LaunchSettings) -> type[Tables]:
    """The keys of the file; what is absent is left to the flags and their defaults."""
    keys: Any = {
        one.name: (type_in_file(one) | None, None)
        for one in settings_of(declared)
        if one.is_key and not one.has_tables
    }
    return create_model("SpecFile", __base__=Tables, **keys)


def type_in_file(one: Setting) -> Any:
    """What pydantic is to take for a setting."""
    if one.in_file is not None:
        return Union[tuple(map(not_empty, get_args(one.in_file)))]  # noqa: UP007  made of a list
    if one.allowed:
        return Annotated[one.type, BeforeValidator(lambda value: as_word(value, one.allowed))]
    if one.low is None and one.high is None:
        return one.type
    low = 0 if one.or_zero else one.low
    return Annotated[one.type, Field(ge=low, le=one.high)]


def not_empty(kind: Any) -> Any:
    return Annotated[kind, Field(min_length=1)] if get_origin(kind) is list else kind


def as_word(value: Any, words: tuple[str, ...]) -> Any:
    """A choice that is a number on the command line may be one in a file: tune = 1."""
    return str(value) if type(value) is int and str(value) in words else value


@dataclass(frozen=True)
class ReadSpec:
    """A spec file that was read and found right."""

    said: Mapping[str, Any]
    """The settings, by key."""
    space: Mapping[str, Override]
    """By the catalogue's spelling of the optimizer."""
    switches: tuple[SwitchSpec, ...]
    places: Mapping[str, str]
    """On which line each setting stands: some mistakes only show beside the model."""


NOTHING_SAID = ReadSpec({}, {}, (), {})


def read_spec(
    path: Path, optimizers: str | None = None, declared: type[LaunchSettings] = LaunchSettings
) -> ReadSpec:
    """Read a spec file; raises InvalidInput with the first mistake.

    Args:
        optimizers: what a flag names in place of the file.
    """
    source = Source(path, read_text(path))
    file = read_keys(source, declared)
    said = file.model_dump(exclude=set(Tables.model_fields), exclude_none=True)
    listed = said.get("optimizers")
    names = listed if isinstance(listed, list) else []
    for name in names:
        checked_optimizer(name, ("optimizers",), source)
    own = custom_references(optimizers if optimizers is not None else ",".join(names))
    source = Source(path, source.text, tuple(reference.class_name for reference in own))
    places = {key: source.place((key,)) for key in said}
    with told_where_said(places):
        study_name(said.get("name"), path)
    if "problem" in said:
        said["problem"] = problem_beside(said["problem"], path.parent)
    switches = tuple(read_switch(table, number, source) for number, table in enumerate(file.switch))
    return ReadSpec(said, read_space(file.space, source), switches, places)


def read_keys(source: Source, declared: type[LaunchSettings]) -> Tables:
    try:
        return file_model(declared).model_validate(read_toml(source))
    except ValidationError as error:
        raise first_mistake(error, source, declared) from error


def read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # some editors begin a file with a mark, which TOML refuses
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidInput(
            f"--spec must name a TOML file that can be read. Received: {path}: {reason}."
        ) from error


def read_toml(source: Source) -> dict[str, Any]:
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    except ValueError:  # Python reads no number of more than 4300 digits
        reason = "a number with thousands of digits"
    except RecursionError:
        reason = "brackets nested too deeply"
    raise InvalidInput(f"--spec must be a TOML file. Received: {reason} ({source.path.name}).")


def first_mistake(error: ValidationError, source: Source, declared: type[LaunchSettings]) -> InvalidInput:
    """Pydantic's first complaint in our words."""
    found = error.errors()[0]
    key = [str(part) for part in found["loc"]]
    if found["type"] == "extra_forbidden":
        return unknown_key(key, file_model(declared).model_fields, source)
    one = next((one for one in settings_of(declared) if one.name == key[0]), None)
    if one is not None and one.must:  # pydantic goes on with the members of its union
        return source.wrong(key[:1], one.must, reprlib.repr(found["input"]))
    received = f"{key[-1]}={reprlib.repr(found['input'])}"
    if one is not None and one.is_secret:
        received = f"{key[0]}, but no string"
    must = found["msg"].removeprefix("Input should be ").strip()
    return source.wrong(key, f"be {WORDS.get(must, must)}", received)


def problem_beside(problem: str, folder: Path) -> str:
    """The problem's path, relative to the spec file's folder; a bare name may be a bundled problem's.

    A path is not looked for anywhere else: a namesake in the current folder would be another problem.
    """
    path = folder / os.path.expanduser(problem)
    if path.is_file():
        return str(path.resolve())
    bare = Path(problem).name == problem and not problem.endswith(".py")
    return problem if bare else os.path.abspath(path)
