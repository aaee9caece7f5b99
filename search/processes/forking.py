"""How does a process that holds no TensorFlow get children that need not import it? It asks a zygote for forks.

The zygote (search/cli/zygote.py) is a process of its own: it has imported everything and forks for each line of JSON.
A child whose zygote died leaves by itself; its exit code is then known to nobody and counts as a kill.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from optselect.search.processes.devices import Seat
from optselect.storage.server.interpreter import own_python

WATCHDOG_SECONDS = 120.0
"""A forked process whose own steps take longer ends, and the next one is spawned. The user's code has no such limit."""
MOST_ZYGOTES = 3
"""One that dies again and again is given up: children are then spawned."""
LEAVE_SECONDS = 2.0
POLL_SECONDS = 0.02


class Child(Protocol):
    """What a supervisor needs of a child process; subprocess.Popen is one."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Signal it; no harm where it has ended."""


def can_fork(seats: Sequence[Seat]) -> bool:
    """Whether training processes may be forks: on Linux, and where no GPU is in play.

    macOS's own libraries do not stand a fork, Windows has none, and CUDA forbids it.
    """
    return sys.platform == "linux" and not any(seat.device for seat in seats)


@dataclass
class ForkedChild:
    """A child of the zygote; `process` is None until the zygote has answered."""

    zygote: "Zygote"
    number: int
    process: psutil.Process | None = None
    code: int | None = None
    pid: int = 0

    def poll(self) -> int | None:
        if self.code is None:
            self.zygote.listen()
        if self.code is None and not self.zygote.lives and not self._runs():
            self.code = -signal.SIGKILL
        return self.code

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        while (code := self.poll()) is None:
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, sig: int) -> None:
        if self.code is not None:
            return
        if self.process is None:
            self.code = -sig  # it has not begun: the zygote's answer finds that nobody wants it
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.send_signal(sig)

    def _runs(self) -> bool:
        """For a child without a zygote, which nobody might reap."""
        try:
            return self.process is not None and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    # --- what the zygote says of it ---

    def begun(self, pid: int) -> None:
        self.pid = pid
        try:
            self.process = psutil.Process(pid)
        except psutil.NoSuchProcess:  # it is over already, and its code is on the way
            return
        if self.code is not None:
            self.process.kill()

    def ended(self, code: int) -> None:
        if self.code is None:
            self.code = code


@dataclass
class Zygote:
    """A supervisor's connection to its zygote, which starts with the first child or by `start`."""

    name: str  # of the study, for whoever lists processes
    environment: Mapping[str, str]  # with all that TensorFlow reads while it is imported
    watchdog_seconds: float = WATCHDOG_SECONDS
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _children: dict[int, ForkedChild] = field(default_factory=dict, repr=False)
    _unread: bytes = field(default=b"", repr=False)
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)
    _started: int = 0
    _asked: int = 0

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def usable(self) -> bool:
        """Whether another child may be asked for."""
        return self.lives or self._started < MOST_ZYGOTES

    def start(self) -> None:
        """Let the imports begin, where no zygote lives."""
        if self.lives:
            return
        self._started += 1
        self._unread = b""
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="optselect-")
        with (Path(self._folder.name) / "zygote.log").open("ab") as log:
            self._process = subprocess.Popen(
                own_python("optselect.search.cli.zygote", self.name),
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def fork(
        self,
        call: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        name: str = "optselect",
    ) -> ForkedChild:
        """Ask for a child that does `call` ("worker", "describe" or "rehearse"); returns before it has begun.

        Args:
            name: of the process, at most 15 characters; its command line is the zygote's.
        """
        self.start()
        self._asked += 1
        child = self._children[self._asked] = ForkedChild(self, self._asked)
        self._ask(
            {
                "number": child.number,
                "call": call,
                "arguments": list(arguments),
                "environment": changes(self.environment, environment),
                "log": str(log),
                "name": name,
                "seconds": self.watchdog_seconds,
            }
        )
        return child

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died just now, as the child's poll will tell
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def listen(self) -> None:
        """Read what the zygote has said since."""
        if self._process is None or self._process.stdout is None:
            return
        while read := self._process.stdout.read(1 << 16):
            *lines, self._unread = (self._unread + read).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))

    def _hear(self, answer: Mapping[str, int]) -> None:
        child = self._children[answer["number"]]
        if "pid" in answer:
            child.begun(answer["pid"])
        else:
            child.ended(answer["code"])
            del self._children[child.number]

    def close(self) -> None:
        """End the zygote and, by it, whatever child still runs."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            if any(child.code is None for child in self._children.values()):  # whom it will tell
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(LEAVE_SECONDS)
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


@contextlib.contextmanager
def closing(zygote: Zygote | None) -> Iterator[None]:
    """End the zygote, where there is one, after the block."""
    try:
        yield
    finally:
        if zygote is not None:
            zygote.close()


def changes(have: Mapping[str, str], want: Mapping[str, str]) -> dict[str, str | None]:
    """What makes one environment the other: None removes a variable. Short, so that many requests fit into a pipe.

    >>> changes({"HOME": "/root", "LANG": "C"}, {"HOME": "/root", "PGPASSFILE": "p"})
    {'PGPASSFILE': 'p', 'LANG': None}
    """
    return {
        **{name: value for name, value in want.items() if have.get(name) != value},
        **{name: None for name in have if name not in want},
    }
