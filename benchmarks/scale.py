"""What does a server bear? Many simulated workers at once: connections, cores of the server, how long a claim waits.

    python -m benchmarks.scale [--workers 64,200] [--pooler 20]

Each worker does all that a real one does to the database, on epochs of a second and trials of twenty, and trains nothing.
Run it on a quiet machine: the workers of two hundred take most of two cores themselves.
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.pooler import pooled
from benchmarks.storage import Place, Size, claims_of_many, quiet, throw_away_place
from optselect.storage.server.database import connect

COUNT = """
    SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
     WHERE datname = 'optselect' AND backend_type = 'client backend'"""
SECONDS_BETWEEN = 0.5
ROOM = 20
"""Connections of the server beyond two for each worker: the benchmark's own, and those that are just being closed."""
LENGTH = Size(warm_trials=0, measured_trials=0, seconds_of_training=0.0, client_seconds=60.0)
"""Three trials of each worker."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--workers", default="64,200", help="numbers, with commas between them")
    parser.add_argument(
        "--pooler", type=int, default=0, metavar="N", help="behind pgbouncer, which holds N connections"
    )
    asked = parser.parse_args()
    quiet()
    out = Console(highlight=False, soft_wrap=True)
    for workers in map(int, asked.workers.split(",")):
        behind = f" behind pgbouncer with {asked.pooler} connections" if asked.pooler else ""
        out.print(f"{workers} workers{behind}; {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
        out.print(f"load before {os.getloadavg()[0]:.1f}")
        with throw_away_place(2 * workers + ROOM) as place, reached(place, asked.pooler) as seen:
            measure(seen, workers, out)
        out.print(f"load after {os.getloadavg()[0]:.1f}")


@contextlib.contextmanager
def reached(place: Place, server_connections: int) -> Iterator[Place]:
    """The place as the workers see it: through a pooler, where it may hold any connection."""
    if not server_connections:
        yield place
        return
    with (
        tempfile.TemporaryDirectory(prefix="pooler-") as folder,
        pooled(place.database.url, Path(folder), server_connections) as url,
    ):
        yield Place(dataclasses.replace(place.database, url=url), place.plain)


def measure(place: Place, workers: int, out: Console) -> None:
    """Count connections while the workers are at it."""
    # By a thread of this process, whose connection the forked workers must not inherit: it connects anew each time.
    counter = Counter(place)
    counter.thread.start()
    try:
        claims_of_many(place, workers, LENGTH, out)
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
            with contextlib.closing(connect(self._place.plain)) as connection, connection.cursor() as cursor:
                cursor.execute(COUNT)
                held, busy = cursor.fetchone() or (0, 0)
            self.held.append(held)
            self.busy.append(busy)


if __name__ == "__main__":
    main()
