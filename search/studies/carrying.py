"""How do curves reach MLflow while a machine serves a study? By a process of their own, beside the supervisor.

    python -m optselect.search.studies.carrying STUDY [TRACKING]

MLflow's library takes 200 MB and, while trials end fast, most of a core: the supervisor goes without, and the trainings
come first, for this process is told to be nice. It is told on its standard input how long its end may take, and says
on its standard output why MLflow lacks something, each time that changes. Without its supervisor it ends at once.
"""

import contextlib
import json
import os
import sys
import threading
import time

from optselect.search.report.publishing import publish
from optselect.storage.errors import StorageError
from optselect.storage.records.studies import load_study
from optselect.storage.server.database import make_engine, one_line, open_database, transient
from optselect.storage.server.home import default_home
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.flusher import Flusher

NICE = 5
LOOK_SECONDS = 0.2
AWAY = 75
"""The exit code of a process that did not reach the database."""


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
