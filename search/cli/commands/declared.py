"""How are declared settings typed? A command names those that it takes; Typer finds them as if it had spelled them."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_origin

import typer

from optselect.search.spec.declarations import LaunchSettings
from optselect.search.spec.declaring import Setting, settings_of

Result = TypeVar("Result")
Typed = Mapping[str, Any]
"""Values by the keys of settings; None or False where nothing was typed."""


def takes(
    *names: str,
    otherwise: Mapping[str, str] = MappingProxyType({}),
    declared: type[LaunchSettings] = LaunchSettings,
) -> Callable[[Callable[[Typed], Result]], Callable[..., Result]]:
    """Let a command take these settings as its options, in this order; without names all.

    Args:
        otherwise: helps that are another command's own, by name.
    """
    known = {one.name: one for one in settings_of(declared)}
    taken = [known[name] for name in names or known]
    parameters = [parameter(one, otherwise.get(one.name, one.help)) for one in taken]

    def decorate(command: Callable[[Typed], Result]) -> Callable[..., Result]:
        @functools.wraps(command)
        def called(**typed: Any) -> Result:
            return command(typed)

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer asks for it
        return called

    return decorate


def parameter(one: Setting, help: str) -> inspect.Parameter:
    """A setting as a parameter that Typer reads."""
    default = typed_default(one)
    kind = typed_type(one) if default is not None else typed_type(one) | None
    annotation = Annotated[kind, parameter_info(one, help)]  # type: ignore[valid-type]  # known at run time
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parameter_info(one: Setting, help: str = "") -> Any:
    """What Typer shows of a setting and checks itself."""
    shown: Any = True if typed_default(one) is not None else one.shown_default or False
    words: dict[str, Any] = {"help": help or one.help, "show_default": shown, "metavar": one.metavar}
    if one.allowed and typed_type(one) is str:
        words["autocompletion"] = completion_of(one.allowed)
    if one.is_argument:
        return typer.Argument(**words)
    if one.part != "study":  # what is trained is checked with the request, whoever makes it
        words |= {"min": one.low, "max": one.high}
    return typer.Option(*filter(None, [one.flag]), **words)


def typed_default(one: Setting) -> Any:
    """None where one must tell whether it was typed, for a file may say it."""
    return None if one.is_key and one.default is not False else one.default


def typed_type(one: Setting) -> Any:
    """Words that a file may say too are checked with it, in one voice: to Typer they are any text."""
    return str if one.is_key and get_origin(one.type) is Literal else one.type


def completion_of(words: tuple[str, ...]) -> Callable[[str], list[str]]:
    """What a shell offers for a setting that is one of some words."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered
