"""What does sync print?"""

from collections.abc import Sequence

from rich.console import Console

from optselect.search.cli.terminal import print_document
from optselect.search.context import Context
from optselect.search.documents import SCHEMA, Document, Sent, SyncCheck
from optselect.search.exit_codes import UserExit
from optselect.search.studies.syncing import Synced, compared, sync
from optselect.storage.tracking.check import Comparison
from optselect.storage.tracking.outbox import Refusal, in_words


def print_check(name: str, context: Context) -> int:
    """Whether MLflow has every curve; returns the exit code."""
    found = compared(name, context)
    print_answer(context, check_json(name, found), check_line(name, found))
    return UserExit.OUR_FAILURE if found.difference else UserExit.DONE


def print_sync(name: str, again: bool, context: Context) -> int:
    """What MLflow was sent; returns the exit code."""
    synced = sync(name, again, context)
    words = sync_line(name, synced.runs, synced.points, synced.left) + refusal_words(name, synced.refusals)
    print_answer(context, sync_json(name, synced), words)
    return UserExit.UNREACHABLE if synced.waiting else UserExit.DONE


def sync_json(name: str, synced: Synced) -> Sent:
    return {
        "schema": SCHEMA,
        "study": name,
        "runs": synced.runs,
        "points": synced.points,
        "left": synced.left,
        "refused": list(map(str, synced.refusals)),
    }


def print_answer(context: Context, answer: Document, line: str) -> None:
    if context.as_json:
        print_document(answer)
    else:
        Console(highlight=False, markup=False).print(line, soft_wrap=True)


def sync_line(name: str, runs: int, points: int, left: int) -> str:
    """What a person gets.

    >>> sync_line("digits", 3, 120, 1)
    'digits: 120 points sent, 3 runs ended. 1 trial has not ended: its curve follows while it is trained.'
    """
    rest = (
        ""
        if not left
        else f" {left} trial{' has' if left == 1 else 's have'} not ended: "
        + (
            "its curve follows while it is trained."
            if left == 1
            else "their curves follow while they are trained."
        )
    )
    return f"{name}: {points} points sent, {runs} runs ended." + rest


def refusal_words(name: str, refusals: Sequence[Refusal]) -> str:
    """What a person gets besides, where MLflow does not take all.

    >>> refusal_words("digits", [])
    ''
    >>> refusal_words("digits", [Refusal(7, "metric a: too long", waits=False)])
    ' MLflow refuses: trial 7: metric a: too long. All else is sent; Postgres has all of it.'
    """
    if not refusals:
        return ""
    again = any(refusal.waits for refusal in refusals)
    hint = f" Where runs were deleted: optselect sync {name} --again" if again else ""
    return f" MLflow refuses: {in_words(refusals)}. All else is sent; Postgres has all of it.{hint}"


def check_line(name: str, found: Comparison) -> str:
    """What a person gets.

    >>> check_line("digits", Comparison(runs=3, points=120))
    'digits: 3 runs with 120 points are the same in MLflow and Postgres.'
    """
    if found.difference:
        return f"{name}: {found.difference}. To send what is missing: optselect sync {name}"
    return f"{name}: {found.runs} runs with {found.points} points are the same in MLflow and Postgres."


def check_json(name: str, found: Comparison) -> SyncCheck:
    return {
        "schema": SCHEMA,
        "study": name,
        "same": not found.difference,
        "runs": found.runs,
        "points": found.points,
        "difference": found.difference or None,
    }
