"""How much memory and how many cores may this process use? The machine's, or what its control groups leave of them.

A container, a task of an engine or a systemd slice sees the whole machine in /proc and is killed or slowed down
long before. The kernel bounds a group by each group above it too: the tightest counts. Text in, numbers out; the
files are read at the edge, and where there are none the machine's own numbers hold.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

NO_LIMIT_BYTES = 2**60
"""Version 1 writes a number near 2**63 where there is no limit."""

Read = Callable[[str], str | None]
"""The text of a file, None where it cannot be read."""


@dataclass(frozen=True)
class Room:
    """What this process and its children may use between them."""

    cores: int
    memory: int
    """In bytes, all of it."""
    free: int
    """In bytes, what nobody uses now, or only as a cache of files."""
    is_container: bool = False
    """Whether a control group bounds the memory, not the machine."""

    @property
    def where(self) -> str:
        """Whose memory it is, and how much, for a sentence.

        >>> Room(2, 32 * 10**9, 10**9).where
        'on this machine, whose memory is 32.0 GB'
        """
        size = f"{self.memory / 1e9:.1f} GB"
        if self.is_container:
            return f"in this container (its control group), whose memory limit is {size}"
        return f"on this machine, whose memory is {size}"


@dataclass(frozen=True)
class Bounds:
    """What control groups allow; None: as much as there is."""

    cores: float | None = None
    memory: int | None = None
    free: int | None = None


@dataclass(frozen=True)
class Mount:
    """A hierarchy of control groups as this process sees it."""

    root: str
    """The group that is seen at the mount point."""
    point: str
    controllers: frozenset[str]
    """Of version 1; empty for version 2, which has all in one hierarchy."""


def room_here() -> Room:
    """What there is for this process, at this moment."""
    memory = psutil.virtual_memory()
    return room(machine_cores(), memory.total, memory.available, bounds(read_text))


def machine_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def room(cores: int, memory: int, free: int, bounded: Bounds) -> Room:
    """The smaller of what the machine has and what control groups allow; a part of a core is none, but for the first.

    >>> room(8, 32 * 10**9, 20 * 10**9, Bounds(2.5, 4 * 10**9, 3 * 10**9))
    Room(cores=2, memory=4000000000, free=3000000000, is_container=True)
    >>> room(8, 32 * 10**9, 20 * 10**9, Bounds(0.5)).cores
    1
    """
    is_container = bounded.memory is not None and bounded.memory < memory
    return Room(
        cores=cores if bounded.cores is None else max(1, min(cores, int(bounded.cores))),
        memory=memory if bounded.memory is None else min(memory, bounded.memory),
        free=free if bounded.free is None else min(free, bounded.free),
        is_container=is_container,
    )


def read_text(path: str) -> str | None:
    """Read a small file of the kernel's."""
    try:
        return Path(path).read_text("utf-8", errors="surrogateescape")
    except OSError:
        return None


# --- which groups -------------------------------------------------------------------------------------


def bounds(read: Read) -> Bounds:
    """The tightest bounds of all groups that this process is in, and of those above them as far as they are seen."""
    paths = group_paths(read("/proc/self/cgroup") or "")
    found = mounts(read("/proc/self/mountinfo") or "")
    unified = [m for m in found if not m.controllers]
    memory = [
        *(one for folder in folders(paths.get(""), unified) if (one := memory_2(folder, read))),
        *(one for folder in of_version_1("memory", paths, found) if (one := memory_1(folder, read))),
    ]
    cores = [
        *(cores_2(read(f"{folder}/cpu.max")) for folder in folders(paths.get(""), unified)),
        *(cores_1(folder, read) for folder in of_version_1("cpu", paths, found)),
    ]
    return Bounds(
        min((one for one in cores if one is not None), default=None),
        min((limit for limit, _ in memory), default=None),
        min((max(0, limit - used) for limit, used in memory), default=None),
    )


def group_paths(text: str) -> dict[str, str]:
    """Where /proc/self/cgroup says that a process is, by controller; version 2 has the name "".

    >>> group_paths("5:cpu,cpuacct:/user.slice\\n0::/user.slice/a b.scope\\n")
    {'cpu': '/user.slice', 'cpuacct': '/user.slice', '': '/user.slice/a b.scope'}
    """
    parts = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    return {name: path for _, names, path in parts for name in names.split(",")}


def mounts(text: str) -> list[Mount]:
    """The hierarchies in /proc/self/mountinfo.

    >>> mounts("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\\n")
    [Mount(root='/', point='/sys/fs/cgroup', controllers=frozenset())]
    """
    found = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if not dash or len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset()
        found.append(Mount(unescaped(fields[3]), unescaped(fields[4]), controllers))
    return found


def unescaped(field: str) -> str:
    r"""The kernel writes blanks in a path as \040.

    >>> unescaped(r"/a\040b")
    '/a b'
    """
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def of_version_1(controller: str, paths: Mapping[str, str], found: Sequence[Mount]) -> Iterator[str]:
    """The folders of a controller that has a hierarchy of its own."""
    return folders(paths.get(controller), [mount for mount in found if controller in mount.controllers])


def folders(path: str | None, found: Sequence[Mount]) -> Iterator[str]:
    """The folder of a group, and of each group above it that is seen.

    >>> list(folders("/docker/abc/inner", [Mount("/docker/abc", "/sys/fs/cgroup", frozenset())]))
    ['/sys/fs/cgroup/inner', '/sys/fs/cgroup']
    >>> list(folders("/docker/abc", [Mount("/", "/cg", frozenset())]))
    ['/cg/docker/abc', '/cg/docker', '/cg']
    """
    if path is None or not found:
        return
    mount = next((one for one in found if is_seen(path, one.root)), found[0])
    inner = PurePosixPath(below(path, mount.root))
    for group in (inner, *inner.parents):
        yield str(PurePosixPath(mount.point) / group)


def below(path: str, root: str) -> str:
    """The way from the group at the mount point; nothing for a group that lies elsewhere, whose folder nobody sees.

    >>> below("/a/b", "/"), below("/a/b", "/a"), below("/ab", "/a"), below("/../x", "/")
    ('a/b', 'b', '', '')
    """
    inner = str(PurePosixPath(path).relative_to(root)) if is_seen(path, root) else "."
    return "" if inner == "." else inner


def is_seen(path: str, root: str) -> bool:
    return ".." not in PurePosixPath(path).parts and PurePosixPath(path).is_relative_to(root)


# --- what a group allows ------------------------------------------------------------------------------


def memory_2(folder: str, read: Read) -> tuple[int, int] | None:
    """Limit and use of a group of version 2. Beyond memory.high it is slowed down nearly to a halt: a limit too."""
    limits = [whole(read(f"{folder}/{name}")) for name in ("memory.max", "memory.high")]
    known = [limit for limit in limits if limit is not None]
    if not known:
        return None
    return min(known), used(folder, "memory.current", "inactive_file", read)


def memory_1(folder: str, read: Read) -> tuple[int, int] | None:
    """Limit and use of a group of version 1; its statistics know the limits above that a container does not see."""
    above = statistic(read(f"{folder}/memory.stat"), "hierarchical_memory_limit")
    own = whole(read(f"{folder}/memory.limit_in_bytes"))
    known = [limit for limit in (own, above) if limit is not None and limit < NO_LIMIT_BYTES]
    if not known:
        return None
    return min(known), used(folder, "memory.usage_in_bytes", "total_inactive_file", read)


def used(folder: str, total: str, inactive: str, read: Read) -> int:
    """What a group holds, but for the files that the kernel drops first where memory is wanted."""
    cached = statistic(read(f"{folder}/memory.stat"), inactive) or 0
    return max(0, (whole(read(f"{folder}/{total}")) or 0) - cached)


def cores_2(text: str | None) -> float | None:
    """The cores that cpu.max gives: its quota in its period.

    >>> cores_2("250000 100000\\n"), cores_2("max 100000\\n"), cores_2("50000"), cores_2("")
    (2.5, None, 0.5, None)
    """
    quota, _, period = (text or "").strip().partition(" ")
    return share(whole(quota), whole(period or "100000"))


def cores_1(folder: str, read: Read) -> float | None:
    """The same of a group of version 1, where a quota of -1 is none."""
    return share(whole(read(f"{folder}/cpu.cfs_quota_us")), whole(read(f"{folder}/cpu.cfs_period_us")))


def share(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota and period else None


def whole(text: str | None) -> int | None:
    """A whole number; None for "max", for -1 and for what is no number.

    >>> whole("4096\\n"), whole("max"), whole("-1"), whole(None)
    (4096, None, None, None)
    """
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() else None


def statistic(text: str | None, name: str) -> int | None:
    """One line of memory.stat."""
    lines = (line.split(" ") for line in (text or "").splitlines())
    return next((whole(fields[1]) for fields in lines if fields[0] == name and len(fields) == 2), None)
