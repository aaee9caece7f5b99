"""What is there to see of a study at a moment, and how is that said in one line?"""

from collections.abc import Callable, Sequence

from optselect.search.status.live_view import Sight, phase_line, remaining
from optselect.search.status.standing import Standing
from optselect.search.status.tables import headline
from optselect.storage.records import overview, studies
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine

Refresh = Callable[[Sight], None]


def look(engine: Engine, study: StoredStudy, loading: Sequence[str] = ()) -> Sight:
    """As it is now, whoever works on it."""
    return Sight(
        studies.refreshed(engine, study),
        overview.list_trials(engine, study.id),
        overview.list_workers(engine, study.id),
        loading,
    )


def line(sight: Sight, now: Standing) -> str:
    """How far, how long still, which phases, who leads."""
    left = remaining(sight)
    head = headline(sight.study, now, left.search)
    return f"{head}; {phase_line(now, left)}{leader(sight.study, now)}"


def leader(study: StoredStudy, now: Standing) -> str:
    best = now.search.best
    return (
        ""
        if best is None
        else f"; best {study.objective} {best.value:.5g} ({best.optimizer}, trial {best.trial})"
    )
