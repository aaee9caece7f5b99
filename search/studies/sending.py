"""How does MLflow get what an earlier end left behind?"""

from optselect.search.processes.supervising import PATIENCE_SECONDS
from optselect.search.report.publishing import publish
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Database, Engine
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.flusher import Flusher
from optselect.storage.tracking.outbox import count_unsent


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
