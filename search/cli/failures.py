"""What does a person read when a command fails, and with which code does it end?"""

import os
import sys

import typer

from optselect.search.exit_codes import UserExit, WorkerExit


def explain(error: Exception) -> int:
    """Print one line about an error; returns the exit code of a user's command."""
    code, message = diagnosis(error)
    if message:
        print(f"optselect: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def printable(text: str) -> str:
    r"""Text without letters that would steer a terminal: names come from files and rows of others.

    >>> printable("a \x1b[2J\x07 b")
    'a ?[2J? b'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def diagnosis(error: Exception) -> tuple[int, str]:
    """What went wrong and whose it is."""
    if isinstance(error, typer.TyperException):
        return usage_error(error)
    if isinstance(error, (typer.Abort, BrokenPipeError)):
        return UserExit.OUR_FAILURE, ""
    from optselect.storage.server.full_disk import full_disk

    if line := full_disk(error, os.environ):  # whatever it was called on its way here
        return UserExit.UNREACHABLE, line
    from optselect.search.errors import SearchError
    from optselect.storage.errors import (
        InUse,
        InvalidAddress,
        InvalidRow,
        InvalidVariable,
        NotFound,
        SchemaMismatch,
        Unreachable,
    )
    from optselect.trials.terms.errors import TrialsError

    if isinstance(error, (SearchError, TrialsError, InvalidAddress, InvalidRow, InvalidVariable, InUse)):
        return UserExit.INVALID, str(error)
    if isinstance(error, NotFound):
        return UserExit.NOT_FOUND, str(error)
    if isinstance(error, (Unreachable, SchemaMismatch)):
        return UserExit.UNREACHABLE, str(error)
    from optselect.storage.server.database import as_refusal

    if (refusal := as_refusal(error)) is not None:
        return UserExit.UNREACHABLE, str(refusal)
    if isinstance(error, OSError) and error.filename:  # a closed folder
        return (
            UserExit.UNREACHABLE,
            f"{error.filename}: {error.strerror}. Set OPTSELECT_HOME to a folder that can be written.",
        )
    return (
        UserExit.OUR_FAILURE,
        f"{type(error).__name__}: {error} (this is a bug of ours; --debug shows where)",
    )


def usage_error(error: typer.TyperException) -> tuple[int, str]:
    """Typer's own words for a mistyped command, and what was typed."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is printed already
        return error.exit_code, ""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    text = error.format_message().rstrip(".")
    text += "" if text.endswith("?") else "."
    if parameter is not None and (value := typed_value(parameter.opts)) is not None:
        text += f" Received: {value}."
    return error.exit_code, text if context is None else f"{text} See: {context.command_path} --help"


def typed_value(options: list[str]) -> str | None:
    """What stands behind an option on the command line."""
    for place, argument in enumerate(sys.argv):
        name, equals, value = argument.partition("=")
        if name in options:
            return value if equals else " ".join(sys.argv[place + 1 : place + 2])
    return None


def as_worker_code(error: Exception, code: int) -> int:
    """The worker contract has codes of its own: engines can match only one "do not restart"."""
    from optselect.storage.server.database import as_refusal

    kind = type(as_refusal(error) or error).__name__
    if kind in ("SchemaMismatch", "NotGranted") or code in (UserExit.INVALID, UserExit.NOT_FOUND):
        return WorkerExit.MISCONFIGURED
    return WorkerExit.RETRY if code == UserExit.UNREACHABLE else code
