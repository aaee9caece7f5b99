"""How does one pause or stop a study from anywhere? By its state, which every worker reads with what it writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from optselect.search.context import Context
from optselect.search.engines.placing import stop_workers
from optselect.storage.records import overview, studies
from optselect.storage.server.database import make_engine


@dataclass(frozen=True)
class StateChange:
    """What an order came to."""

    before: str
    after: str
    running: int
    """Trials at that moment."""
    left_behind: Sequence[str]
    """A line for each launch of an engine that could not be told."""


def order(name: str, state: str, context: Context) -> StateChange:
    """Pause or stop a study; harmless to repeat. Raises NotFound."""
    engine = make_engine(context.open())
    study = studies.load_study(engine, name)
    before, after = studies.order_state(engine, study.id, state)
    running = sum(trial.state == "running" for trial in overview.list_trials(engine, study.id))
    behind = stop_workers(engine, study) if state == "stopped" else []
    return StateChange(before, after, running, behind)
