"""How does a supervisor keep the process that carries curves to MLflow?"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from optselect.search.processes.cause_of_death import Ended, cause_of_death
from optselect.storage.server.interpreter import own_python
from optselect.storage.tracking.flusher import REQUEST_SECONDS
from optselect.storage.tracking.outbox import AWAY_SECONDS

PROGRAM = "optselect.search.studies.carrying"


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
            own_python(PROGRAM, self.study, *named),
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
