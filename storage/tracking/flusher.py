"""How do curves get into MLflow while trials run? By a thread that empties the outbox, batch by batch.

What waits stands in the outbox (outbox.py), what is sent of a trial in runs.py, what the study's page says in experiment.py.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from optselect.storage.records.studies import StoredStudy
from optselect.storage.tracking.address import Tracking, open_client
from optselect.storage.tracking.batches import cause_in_short
from optselect.storage.tracking.chart_views import view_tags
from optselect.storage.tracking.experiment import NOTE, ensure_experiment, experiment_note, shown_window
from optselect.storage.tracking.outbox import AWAY_SECONDS, Refusal, due_tickets, in_words, read_refusals
from optselect.storage.tracking.runs import flush_one, metric_names

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
REQUEST_SECONDS = 30.0
"""How long what is under way at the end may still take."""


class Flusher:
    """A thread that carries one study's epochs to MLflow while trials run.

    It never raises: a tracking server that is away costs nothing but lateness, and `behind` says so.
    """

    def __init__(
        self,
        engine: Engine,
        study: StoredStudy,
        tracking: Callable[[], Tracking],
        at_end: Callable[["Connected"], object] | None = None,
    ) -> None:
        self._engine, self._study, self._tracking, self._at_end = engine, study, tracking, at_end
        self._closing = threading.Event()
        self._deadline = math.inf
        self.behind = ""  # why the copy is late, in one line; empty while all is well
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def begin_close(self, patience_seconds: float) -> None:
        """Send what is left and end, without waiting for it."""
        self._deadline = time.monotonic() + patience_seconds
        self._closing.set()

    @property
    def is_running(self) -> bool:
        """Whether something may still be sent."""
        return self._thread.is_alive()

    def close(self, patience_seconds: float = 60.0) -> bool:
        """Send what is left and end; tell whether everything arrived."""
        self.begin_close(patience_seconds)
        self._thread.join(patience_seconds + REQUEST_SECONDS)
        if self._thread.is_alive():
            self.behind = self.behind or "the server takes very long"
        return not self._thread.is_alive() and not self.behind

    def _run(self) -> None:
        connection: Connected | None = None
        while True:
            closing, away = self._closing.is_set(), False
            try:
                connection = connection or connect(self._engine, self._study, self._tracking())
                sent = connection.flush()
                if not sent and closing and self._at_end is not None:
                    self._at_end(connection)
                    self._at_end = None
                refusals = [] if sent else connection.refusals(closing)
                waits = any(refusal.waits for refusal in refusals)
                if not sent:
                    self._note(in_words(refusals))
            except Exception as error:  # MLflow raises everything from requests' errors to its own
                log.debug("flush failed", exc_info=error)
                self._note(cause_in_short(error))
                sent, away, waits = False, True, True
            if not sent and closing and (not waits or time.monotonic() > self._deadline):
                return
            if not sent:
                self._closing.wait(AWAY_SECONDS if away and not closing else IDLE_SECONDS)
                if closing and self.behind:
                    time.sleep(IDLE_SECONDS)

    def _note(self, line: str) -> None:
        if line and not self.behind:
            log.warning("MLflow does not take all curves now; they stay in Postgres. %s", line)
        self.behind = line


@dataclass
class Connected:
    """A flusher's connection: the study's experiment exists and runs can be written."""

    engine: Engine
    client: "MlflowClient"
    study: StoredStudy
    experiment_id: str
    told: dict[str, str] = field(default_factory=dict)  # tags of the experiment, as MLflow has them
    tell_due: float = 0.0  # by time.monotonic()
    has_news: bool = True  # whether anything was sent since it told last
    runs: int = 0  # ended so far, by this connection
    points: int = 0  # sent so far
    has_refusals: bool = False  # whether MLflow has refused anything that this connection sent
    in_vain: int = 0  # how many batches, one after the other, were put off
    due: list[int] = field(default_factory=list)  # tickets of which something waits, the next one last

    def flush(self) -> bool:
        """Send one batch, or refresh what the experiment tells; tell whether there may be more."""
        self.due = self.due or due_tickets(self.engine, self.study.id)[::-1]
        sent = None
        if self.due:
            sent = flush_one(self.engine, self.client, self.study, self.experiment_id, self.due.pop())
        if sent is not None:
            self.runs, self.points, self.has_news = self.runs + sent.runs, self.points + sent.points, True
            self.has_refusals = self.has_refusals or sent.refused
            self.in_vain = self.in_vain + 1 if sent.put_off else 0
        if self.has_news and (sent is None or time.monotonic() >= self.tell_due):
            self.tell()
        return sent is not None

    def tell(self, answer: str = "") -> None:
        """Refresh the experiment's note, the answer above it, and the range of its charts."""
        self.tell_due = time.monotonic() + 5.0
        note = experiment_note(self.engine, self.study, self.experiment_id)
        window, names = shown_window(self.engine, self.study), metric_names(self.study)
        tags = {
            NOTE: f"{answer}\n\n{note}" if answer else note,
            **view_tags(
                self.study.objective, self.study.direction, window, names.shown(self.study.objective)
            ),
            **names.originals(self.study.problem.get("metrics", ())),
        }
        for key, value in tags.items():
            if self.told.get(key) != value:
                self.client.set_experiment_tag(self.experiment_id, key, value)
        self.told, self.has_news = tags, False

    def refusals(self, ask: bool = True) -> list[Refusal]:
        """What MLflow lacks because it refuses it; without asking, only if this connection knows that there is any."""
        if not ask and not self.has_refusals:
            return []
        return read_refusals(self.engine, self.study.id)


def connect(engine: Engine, study: StoredStudy, tracking: Tracking) -> Connected:
    """Reach MLflow and make the study's experiment where it is missing."""
    client = open_client(tracking.uri)
    return Connected(engine, client, study, ensure_experiment(engine, client, study, tracking.artifacts))
