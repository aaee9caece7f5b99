"""A control group with a limit of memory, where this machine lets one be made: version 1 or 2, as root."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
LIMITS = ("memory.max", "memory.limit_in_bytes")


@dataclass(frozen=True)
class Group:
    """One that was made below the caller's own."""

    folder: Path

    def take(self, pid: int) -> None:
        """Put a process into it; those that it starts from then on follow."""
        (self.folder / "cgroup.procs").write_text(str(pid))


@contextlib.contextmanager
def limited_group(name: str, limit: int) -> Iterator[Group | str]:
    """A group of so many bytes while the block runs, or in a sentence why there can be none."""
    folder = own_group() / name
    try:
        folder.mkdir()
    except OSError as error:
        yield f"no control group can be made here: {error}"
        return
    try:
        file = next((folder / name for name in LIMITS if (folder / name).exists()), None)
        if file is None:
            yield f"{folder} has no limit of memory: its controller is not handed on"
            return
        file.write_text(str(limit))
        yield Group(folder)
    finally:
        remove(folder)


def own_group() -> Path:
    """Where the memory of this process is counted."""
    groups = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    if "memory" in groups:
        return ROOT / "memory" / groups["memory"].lstrip("/")
    return ROOT / groups.get("", "/").lstrip("/")


def remove(folder: Path) -> None:
    """Once the last process has left: the kernel refuses before."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.1)
