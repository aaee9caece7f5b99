"""Is what a command printed to --json the document that its published schema describes?"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

from jsonschema import Draft202012Validator

from optselect.search.documents import json_schema


def check_document(arguments: Sequence[str], printed: str) -> None:
    """Hold a command's answer to its schema; what failed has printed none."""
    if "--json" in arguments and printed:
        validator_of(command_of(arguments)).validate(json.loads(printed, parse_constant=refuse))


def command_of(arguments: Sequence[str]) -> str:
    """The command of a line.

    >>> command_of(["db", "status", "--json"]), command_of(["show", "digits", "3"])
    ('db status', 'show')
    """
    return " ".join(arguments[: 2 if arguments[0] == "db" else 1])


@cache
def validator_of(command: str) -> Any:
    return Draft202012Validator(json_schema(command))


def refuse(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(f"{constant} is no JSON")
