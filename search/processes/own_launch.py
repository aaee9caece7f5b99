"""How does a supervisor make itself known, and how does it hear that more or fewer workers are wanted?

Its launch is a row in Postgres, which `optselect scale` changes from any machine. A supervisor that an engine has placed
has none of its own: the engine's launch is scaled instead.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from optselect.storage.records import launches
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine, transient

PLACED_BY = "OPTSELECT_EXECUTOR"
"""In the environment of workers that an engine has started: its name."""


@dataclass
class OwnLaunch:
    """The launch of one supervisor; None: an engine's."""

    engine: Engine
    launch: int | None
    workers: int
    _due: float = 0.0

    def change(self) -> int | None:
        """How many workers are wanted from now on, where that has changed; asks the database every few seconds."""
        if self.launch is None or time.monotonic() < self._due:
            return None
        wanted = launches.beat(self.engine, self.launch)
        self._due = time.monotonic() + launches.BEAT_SECONDS
        before, self.workers = self.workers, wanted
        return None if wanted == before else wanted


@contextlib.contextmanager
def announced_launch(
    engine: Engine, study: StoredStudy, workers: int, logs: Path, environment: Mapping[str, str]
) -> Iterator[OwnLaunch]:
    """Be known as a launch of a study while the block runs."""
    if PLACED_BY in environment:
        yield OwnLaunch(engine, None, workers)
        return
    launch = launches.begin_launch(
        engine,
        study.id,
        executor="local",
        host=socket.gethostname(),
        workers=workers,
        settings={"logs": str(logs)},
        external_id=f"pid {os.getpid()}",
    )
    try:
        yield OwnLaunch(engine, launch, workers)
    finally:
        try:
            launches.end_launch(engine, launch)
        except Exception as error:  # its silence will tell
            if not transient(error):
                raise
