"""How is MLflow completed from any machine, and how does one know that it is complete?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from optselect.search.context import Context
from optselect.search.processes.supervising import PATIENCE_SECONDS
from optselect.search.report.publishing import publish
from optselect.storage.errors import Unreachable
from optselect.storage.records import studies
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Database, Engine
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.batches import cause_in_short, is_refusal
from optselect.storage.tracking.check import Comparison, compare
from optselect.storage.tracking.flusher import Connected, Flusher, connect
from optselect.storage.tracking.outbox import Refusal, count_unsent, forget_sent


@dataclass(frozen=True)
class Synced:
    """What MLflow got, and what it lacks still."""

    runs: int
    points: int
    left: int
    """Trials that have not ended."""
    refusals: Sequence[Refusal]

    @property
    def waiting(self) -> int:
        """Trials that MLflow refuses now, and may take later."""
        return sum(refusal.waits for refusal in self.refusals)


def sync(name: str, again: bool, context: Context) -> Synced:
    """Send what MLflow lacks of a study, or with `again` all of it; raises Unreachable."""
    with connected_to(name, again, context) as connected:
        send_all(connected)
        publish(connected)
        refusals = connected.refusals()
        waiting = sum(refusal.waits for refusal in refusals)
        left = count_unsent(connected.engine, connected.study.id) - waiting
        return Synced(connected.runs, connected.points, left, refusals)


def compared(name: str, context: Context) -> Comparison:
    """Compare MLflow's curves with the database's; raises Unreachable."""
    with connected_to(name, False, context) as connected:
        return compare(connected)


def send_all(connected: Connected) -> None:
    """Send what MLflow lacks and takes; once all that waits was refused in a row, each has been tried."""
    most_in_vain = count_unsent(connected.engine, connected.study.id)
    while connected.flush():
        if connected.in_vain > most_in_vain:
            return


@contextmanager
def connected_to(name: str, again: bool, context: Context) -> Iterator[Connected]:
    """Reach both sides; what MLflow raises becomes Unreachable."""
    database, engine = context.connect()
    study = studies.load_study(engine, name)
    if again:
        forget_sent(engine, study.id)
    try:
        yield connect(engine, study, find_tracking(database, study, context.tracking))
    except Exception as error:
        if not is_refusal(error):
            raise
        raise Unreachable(
            f"MLflow must take and show the curves of {name}. Received: {cause_in_short(error)}. They are "
            f"safe in Postgres; where runs were deleted: optselect sync {name} --again"
        ) from error
    finally:
        engine.dispose()


def send_rest(
    database: Database, engine: Engine, study: StoredStudy, tracking: str | None, verdict: bool = False
) -> str:
    """Carry to MLflow what an earlier end left behind; returns why some of it still is, or nothing.

    Args:
        verdict: the verdict too, where all curves are there.
    """
    if count_unsent(engine, study.id) == 0 and not verdict:
        return ""
    flusher = Flusher(engine, study, lambda: find_tracking(database, study, tracking), publish)
    flusher.close(patience_seconds=PATIENCE_SECONDS)
    return flusher.behind
