"""How do curves reach MLflow while a machine serves a study? By a process of their own, beside the supervisor.

    python -m optselect.search.studies.carrying STUDY [TRACKING]

MLflow's library takes 200 MB and, while trials end fast, most of a core: the supervisor goes without, and the trainings
come first, for this process is told to be nice. It is told on its standard input how long its end may take, and says
on its standard output why MLflow lacks something, each time that changes. Without its supervisor it ends at once.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from optselect.search.processes.mourning import Ended, cause_of_death
from optselect.search.report.publishing import publish
from optselect.storage.errors import StorageError
from optselect.storage.records.studies import load_study
from optselect.storage.server.database import make_engine, one_line, open_database, transient
from optselect.storage.server.home import default_home
from optselect.storage.server.interpreter import own_python
from optselect.storage.tracking.flusher import AWAY_SECONDS, REQUEST_SECONDS, Flusher, find_tracking

NICE = 5
LOOK_SECONDS = 0.2
AWAY = 75
"""The exit code of a process that did not reach the database."""


# --- the supervisor's side ------------------------------------------------------------------------------


@dataclass
class Carrier:
    """A process that carries one study's curves; one that dies is started again."""

    study: str
    environment: Mapping[str, str]
    tracking: str | None
    behind: str = ""  # why the copy is late, in one line; empty while all is well
    _patience: float | None = None  # once it is to end
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._process = self._started()
        self._thread = threading.Thread(target=self._attend, name="carrier", daemon=True)
        self._thread.start()

    def begin_close(self, patience_seconds: float) -> None:
        """Let it send what is left and end, without waiting for it."""
        with self._lock:
            self._patience = patience_seconds
            self._closing.set()
            self._tell_end()

    @property
    def is_running(self) -> bool:
        """Whether something may still be sent."""
        return self._thread.is_alive()

    def close(self, patience_seconds: float) -> bool:
        """Let it send what is left and end; tell whether everything arrived."""
        self.begin_close(patience_seconds)
        self._thread.join(patience_seconds + REQUEST_SECONDS)
        if self._thread.is_alive():
            self.behind = self.behind or "the server takes very long"
            self._process.kill()
            self._thread.join()
        return not self.behind

    def _started(self) -> "subprocess.Popen[str]":
        named = [self.tracking] if self.tracking else []
        return subprocess.Popen(
            own_python("optselect.search.studies.carrying", self.study, *named),
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the supervisor's to answer
        )

    def _attend(self) -> None:
        """Hear what it says until it ends in good order, or dies when it is to end anyway."""
        while True:
            was_closing = self._closing.is_set()
            assert self._process.stdout is not None
            for line in self._process.stdout:
                self.behind = json.loads(line)
            code = self._process.wait()
            if code == 0:
                return
            self.behind = self.behind or f"of the process that carries them, {cause_of_death(Ended(code))}"
            if was_closing:  # it has had its try
                return
            self._closing.wait(AWAY_SECONDS)
            with self._lock:
                self._process = self._started()
                if self._closing.is_set():
                    self._tell_end()

    def _tell_end(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has just died: the next one is told
            self._process.stdin.write(f"{self._patience}\n")
            self._process.stdin.flush()


# --- its own side ---------------------------------------------------------------------------------------


def main() -> int:
    """Carry until told to end; returns the exit code."""
    os.nice(NICE)
    name, tracking = sys.argv[1], next(iter(sys.argv[2:]), None)
    try:
        database = open_database(None, default_home(os.environ), os.environ)
        engine = make_engine(database)
        study = load_study(engine, name)
    except Exception as error:
        if not (transient(error) or isinstance(error, StorageError)):
            raise
        say(one_line(error))
        return AWAY
    say("")
    flusher = Flusher(engine, study, lambda: find_tracking(database, study, tracking), publish)
    threading.Thread(target=listen, args=(flusher,), daemon=True).start()
    said = ""
    while flusher.is_running:
        time.sleep(LOOK_SECONDS)
        if flusher.behind != said:
            say(said := flusher.behind)
    return 0


def listen(flusher: Flusher) -> None:
    """End as the supervisor says, or with it."""
    for line in sys.stdin:
        flusher.begin_close(float(line))
    os._exit(0)  # nobody hears any more what is sent; the next one goes on


def say(behind: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor has just ended
        print(json.dumps(behind), flush=True)


if __name__ == "__main__":
    sys.exit(main())
