"""How is MLflow completed from any machine, and how does one know that it is complete?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from optselect.search.cli.terminal import print_document
from optselect.search.documents import SCHEMA, Document, Sent, SyncCheck
from optselect.search.exit_codes import UserExit
from optselect.search.report.publishing import publish
from optselect.search.surroundings import Surroundings
from optselect.storage.errors import Unreachable
from optselect.storage.records import studies
from optselect.storage.server.database import make_engine
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.batches import cause_in_short, is_refusal
from optselect.storage.tracking.check import Comparison, compare
from optselect.storage.tracking.flusher import Connected, connect
from optselect.storage.tracking.outbox import Refusal, count_unsent, forget_sent, in_words


def sync(name: str, check: bool, again: bool, place: Surroundings) -> int:
    """Send what MLflow lacks of a study, or compare the two; returns the exit code."""
    with connected_to(name, again, place) as connected:
        if check:
            found = compare(connected)
            print_answer(place, check_json(name, found), check_line(name, found))
            return UserExit.OUR_FAILURE if found.difference else UserExit.DONE
        send_all(connected)
        publish(connected)
        refusals = connected.refusals()
        waiting = sum(refusal.waits for refusal in refusals)
        left = count_unsent(connected.engine, connected.study.id) - waiting
        answer: Sent = {
            "schema": SCHEMA,
            "study": name,
            "runs": connected.runs,
            "points": connected.points,
            "left": left,
            "refused": list(map(str, refusals)),
        }
        words = sync_line(name, connected.runs, connected.points, left) + refusal_words(name, refusals)
        print_answer(place, answer, words)
        return UserExit.UNREACHABLE if waiting else UserExit.DONE


def send_all(connected: Connected) -> None:
    """Send what MLflow lacks and takes; once all that waits was refused in a row, each has been tried."""
    most_in_vain = count_unsent(connected.engine, connected.study.id)
    while connected.flush():
        if connected.in_vain > most_in_vain:
            return


@contextmanager
def connected_to(name: str, again: bool, place: Surroundings) -> Iterator[Connected]:
    """Reach both sides; what MLflow raises becomes Unreachable."""
    database = place.open()
    engine = make_engine(database)
    study = studies.load_study(engine, name)
    if again:
        forget_sent(engine, study.id)
    try:
        yield connect(engine, study, find_tracking(database, study, place.tracking))
    except Exception as error:
        if not is_refusal(error):
            raise
        raise Unreachable(
            f"MLflow must take and show the curves of {name}. Received: {cause_in_short(error)}. They are "
            f"safe in Postgres; where runs were deleted: optselect sync {name} --again"
        ) from error
    finally:
        engine.dispose()


def print_answer(place: Surroundings, answer: Document, line: str) -> None:
    if place.as_json:
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
