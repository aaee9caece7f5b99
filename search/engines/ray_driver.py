"""What runs on a Ray cluster? A driver that keeps as many tasks as are wanted; each supervises one worker.

`python -m optselect.search.engines.ray_driver STUDY LAUNCH`, as a Ray Job. Tasks, not actors: Ray starts a task again
whose process or node is lost, while an actor comes back idle. Nothing of the study is in Ray.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optselect.search.engines.order import Order, read_order
from optselect.search.exit_codes import WorkerExit
from optselect.storage.errors import NotFound
from optselect.storage.records import launches, studies
from optselect.storage.server.database import Engine, make_engine, one_line, open_database, transient
from optselect.storage.server.home import default_home

AGAIN = (WorkerExit.RETRY, WorkerExit.DEVICE_LOST)
"""The place was taken back, or its GPU is gone: the next task may find another one."""


def serve_slot(command: Sequence[str]) -> int:
    """Be one task: supervise a worker until it is over, or until the task is cancelled; returns the exit code."""
    # Told who its parent is, the supervisor drains when this process is gone: Ray kills, and would leave it behind.
    environment = {**os.environ, "OPTSELECT_SUPERVISOR": str(os.getpid())}
    child = subprocess.Popen(command, env=environment)
    while True:
        try:
            while child.poll() is None:
                time.sleep(
                    0.5
                )  # not child.wait(): what Ray raises in a cancelled task interrupts no system call
            return int(child.returncode)
        except KeyboardInterrupt:  # as often as it comes
            child.terminate()


def goes_on(code: int) -> bool:
    """Whether another task takes the place of one that ended so.

    >>> goes_on(75), goes_on(0), goes_on(64), goes_on(1)
    (True, False, False, False)
    """
    return code in AGAIN


@dataclass
class Driver:
    """Keeps the tasks of one launch."""

    ray: Any
    engine: Engine
    launch: int
    order: Order
    tasks: dict[Any, int] = field(default_factory=dict)  # the number of each, by its reference
    leaving: set[Any] = field(default_factory=set)
    wanted: int = 0
    _next: int = 0

    def run(self) -> int:
        """Until the last task has ended; returns the exit code of the job."""
        worst = 0
        self._adjust()
        while self.tasks:
            ended, _ = self.ray.wait(list(self.tasks), timeout=launches.BEAT_SECONDS)
            for task in ended:
                code = self._end_of(task)
                if goes_on(code):
                    self._start()
                worst = max(worst, 0 if goes_on(code) or code == WorkerExit.INTERRUPTED else code)
            self._adjust()
        return worst

    def _adjust(self) -> None:
        """Have as many tasks as are wanted since that was changed."""
        try:
            wanted = launches.beat(self.engine, self.launch)
        except Exception as error:
            if not transient(error):
                raise
            say(f"the database is away; the workers wait for it, each for itself: {one_line(error)}")
            return
        for task in self.leaving:  # again: Python drops an interrupt that comes while it collects garbage
            self.ray.cancel(task)
        if wanted == self.wanted:
            return  # tasks that are over leave no gap: their work is done
        self.wanted = wanted
        working = [task for task in self.tasks if task not in self.leaving]
        for _ in range(wanted - len(working)):
            self._start()
        for task in working[wanted:]:
            self.leaving.add(task)
            self.ray.cancel(task)

    def _start(self) -> None:
        number, self._next = self._next, self._next + 1
        task = self.ray.remote(serve_slot).options(
            name=f"{self.order.study}-{number}",
            num_cpus=float(self.order.options.get("cpus", 1)),
            num_gpus=self.order.gpus,
            max_retries=-1,
            scheduling_strategy="SPREAD",
        )
        self.tasks[task.remote(self.order.worker(sys.executable))] = number

    def _end_of(self, task: Any) -> int:
        """Forget a task; returns its exit code. What it raised must not end the others."""
        number, told = self.tasks.pop(task), task in self.leaving
        self.leaving.discard(task)
        try:
            code = int(self.ray.get(task))
        except Exception as error:  # noqa: BLE001
            say(f"task {number} is lost: {' '.join(str(error).split())[:300]}")
            code = 1
        else:
            say(f"task {number} ended with {code}")
        return 0 if told else code


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(study: str, launch: int) -> int:
    import ray  # an extra; only here

    database = open_database(None, default_home(os.environ), os.environ)
    engine = make_engine(database)
    found = launches.find_launch(engine, studies.load_study(engine, study).id, launch, taken=False)
    if found is None:
        raise NotFound(f"Study {study} has no launch {launch}.")
    ray.init()
    code = Driver(ray, engine, launch, read_order(found.settings, launch)).run()
    launches.end_launch(engine, launch)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
