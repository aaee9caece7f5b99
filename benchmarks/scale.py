"""What does a server bear? Many simulated workers at once: connections, cores of the server, how long a claim waits.

    python -m benchmarks.scale [--workers 64,200]

Each worker does all that a real one does to the database, on epochs of a second, and trains nothing.
"""

import argparse
import os
import statistics
import threading
import time
from contextlib import closing

from rich.console import Console

from benchmarks.storage import SHORT, Place, claims_of_many, quiet, throw_away_place
from optselect.storage.database import connect

COUNT = """
    SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
     WHERE application_name = 'optselect' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
SECONDS_BETWEEN = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--workers", default="64,200", help="numbers, with commas between them")
    asked = [int(number) for number in parser.parse_args().workers.split(",")]
    quiet()
    out = Console(highlight=False, soft_wrap=True)
    for workers in asked:
        out.print(
            f"{workers} workers; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}"
        )
        with throw_away_place() as place:
            measure(place, workers, out)


def measure(place: Place, workers: int, out: Console) -> None:
    """Count connections while the workers are at it."""
    # By a thread of this process, whose connection the forked workers must not inherit: it connects anew each time.
    counter = Counter(place)
    counter.thread.start()
    try:
        claims_of_many(place, workers, SHORT, out)
    finally:
        counter.ended.set()
        counter.thread.join()
    usual, most, busy = statistics.median(counter.held), max(counter.held), max(counter.busy)
    out.print(
        f"connections a worker: {usual / workers:.2f} in the median, {most / workers:.2f} at most; {busy} in use at most"
    )


class Counter:
    """Asks the server how many connections it holds."""

    def __init__(self, place: Place) -> None:
        self.held: list[int] = []
        self.busy: list[int] = []
        self.ended = threading.Event()
        self._place = place
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.ended.wait(SECONDS_BETWEEN):
            with closing(connect(self._place.database.url)) as connection, connection.cursor() as cursor:
                cursor.execute(COUNT)
                held, busy = cursor.fetchone() or (0, 0)
            self.held.append(held)
            self.busy.append(busy)


if __name__ == "__main__":
    main()
