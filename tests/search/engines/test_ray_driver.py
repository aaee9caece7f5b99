"""A task that is told to leave leaves, however often it must be told; Ray itself is in tests/ray/."""

import _thread
import signal
import threading
import time
from typing import Any

import pytest

from optselect.search.engines.order import Order
from optselect.search.engines.ray_driver import Driver, serve_slot
from optselect.storage.records import launches

ORDER = Order("digits", 2, 0.0, {}, {}, "/nowhere")
SLOW_TO_LEAVE = "trap 'sleep 0.8; exit 7' TERM; while true; do sleep 0.1; done"


class Ray:
    """As much of Ray as the driver asks for; the first word to leave is lost."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def remote(self, function: object) -> "Ray":
        return self

    def options(self, **options: object) -> Any:
        class Task:
            @staticmethod
            def remote(command: object) -> object:
                return object()

        return Task

    def cancel(self, task: object) -> None:
        self.told.append(task)

    def get(self, task: object) -> int:
        return 0


def test_a_task_that_does_not_hear_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = iter([2, 1, 1, 1, 1])
    monkeypatch.setattr(launches, "beat", lambda engine, launch: next(wanted))
    driver = Driver(ray := Ray(), None, 1, ORDER)  # type: ignore[arg-type]  # no database is asked
    driver._adjust()
    first, second = driver.tasks
    driver._adjust()
    assert ray.told == [second] and driver.leaving == {second}
    driver._adjust()
    assert ray.told == [second, second]
    assert driver._end_of(second) == 0 and list(driver.tasks) == [first]
    driver._adjust()
    assert len(ray.told) == 2, "who has left is left in peace"


def test_a_worker_drains_whole_though_its_task_is_interrupted_twice() -> None:
    def interrupt() -> None:
        for _ in range(2):
            time.sleep(0.4)
            _thread.interrupt_main()

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # the processes of pytest-xdist ignore it
    threading.Thread(target=interrupt).start()
    try:
        assert serve_slot(["bash", "-c", SLOW_TO_LEAVE]) == 7
    finally:
        signal.signal(signal.SIGINT, before)
