"""Was a process killed for memory? The kernel counts such kills for each control group, and for the machine."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

COUNTER = "oom_kill"


@dataclass
class Kills:
    """How many processes of this control group the kernel has killed for memory, as last seen."""

    files: tuple[Path, ...] = field(default_factory=lambda: counters(read("/proc/self/cgroup")))
    seen: int = -1

    def __post_init__(self) -> None:
        self.seen = count(self.files)

    def has_risen(self) -> bool:
        """Whether there were more since the last question."""
        before, self.seen = self.seen, count(self.files)
        return self.seen > before


def counters(own_groups: str) -> tuple[Path, ...]:
    """The files that may count, the most exact first: a process's own group, then the machine.

    >>> [str(file) for file in counters("4:memory:/jobs/7\\n0::/slice\\n")][:3:2]
    ['/sys/fs/cgroup/slice/memory.events', '/sys/fs/cgroup/memory/jobs/7/memory.oom_control']
    """
    root, found = Path("/sys/fs/cgroup"), []
    for line in own_groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            found += [mount / group.lstrip("/") / "memory.events" for mount in (root, root / "unified")]
        elif "memory" in controllers.split(","):
            # Where a container has its own view, its group is what lies at the mount.
            found += [root / "memory" / inner / "memory.oom_control" for inner in (group.lstrip("/"), "")]
    first = sorted(found, key=lambda file: file.name != "memory.events")
    return (*first, Path("/proc/vmstat"))


def count(files: Iterable[Path]) -> int:
    """The first count that is found; 0 where nobody counts."""
    return next((number for file in files if (number := counted(read(file))) is not None), 0)


def counted(text: str) -> int | None:
    """The kills that a file of the kernel's tells.

    >>> counted("low 0\\noom 2\\noom_kill 1\\n"), counted("oom_kill_disable 0\\n")
    (1, None)
    """
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if name == COUNTER and number.isdigit():
            return int(number)
    return None


def resident_bytes(pid: int) -> int:
    """How much memory a process holds now; 0 where that is not known."""
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def read(file: str | Path) -> str:
    with contextlib.suppress(OSError):
        return Path(file).read_text(errors="replace")
    return ""
