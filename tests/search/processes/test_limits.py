"""Workers are counted by what the control groups of this process allow, wherever in the hierarchy that stands."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from optselect.search.errors import InvalidInput
from optselect.search.processes import supervising
from optselect.search.processes.limits import Bounds, Room, bounds, room
from optselect.search.processes.supervising import default_workers, demand_room

GB = 10**9
UNIFIED = "30 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "25 23 0:20 / / rw - ext4 /dev/sda rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
DOCKER_1 = V1.replace(" / /sys", " /docker/ab /sys")
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
NO_LIMIT = "9223372036854771712\n"


def found(mounts: str, groups: str, files: Mapping[str, str]) -> Bounds:
    """What is found of a system whose files are these; all others are missing."""
    system = {"/proc/self/mountinfo": mounts, "/proc/self/cgroup": groups}
    return bounds({**system, **{f"/sys/fs/cgroup/{name}": text for name, text in files.items()}}.get)


def test_without_control_groups_nothing_is_bounded() -> None:
    assert found("", "", {}) == bounds(lambda path: None) == Bounds()
    assert found(UNIFIED, "0::/\n", {"cpu.max": "max 100000\n"}) == Bounds()
    assert found("no mount\n - cgroup2\n", "no group\n:::\n", {}) == Bounds()


def test_a_container_of_version_2_is_bounded_by_its_own_root_without_what_it_caches() -> None:
    files = {
        "memory.max": f"{4 * GB}\n",
        "memory.current": f"{3 * GB}\n",
        "memory.stat": f"anon 1\ninactive_file {GB}\nactive_file 5\n",
        "cpu.max": "250000 100000\n",
    }
    assert found(UNIFIED, "0::/\n", files) == Bounds(2.5, 4 * GB, 2 * GB)


def test_any_slice_above_may_be_the_tighter_one() -> None:
    files = {
        "user.slice/a b.slice/run.scope/memory.max": "max\n",
        "user.slice/a b.slice/run.scope/memory.high": f"{8 * GB}\n",
        "user.slice/a b.slice/run.scope/cpu.max": "400000 100000\n",
        "user.slice/a b.slice/memory.max": f"{6 * GB}\n",
        "user.slice/a b.slice/memory.current": f"{GB}\n",
        "user.slice/memory.max": f"{7 * GB}\n",
        "user.slice/memory.current": f"{7 * GB + 5}\n",
        "user.slice/cpu.max": "50000 100000\n",
    }
    assert found(UNIFIED, "0::/user.slice/a b.slice/run.scope\n", files) == Bounds(0.5, 6 * GB, 0)


def test_version_1_tells_no_limit_by_a_huge_number_and_minus_one() -> None:
    files = {
        "memory/x/memory.limit_in_bytes": NO_LIMIT,
        "memory/x/memory.stat": f"hierarchical_memory_limit {NO_LIMIT}",
        "cpu,cpuacct/x/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
    }
    assert found(V1, "3:memory:/x\n2:cpu,cpuacct:/x\n", files) == Bounds()


@pytest.mark.parametrize(
    "groups", ["3:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n", "3:memory:/\n2:cpu,cpuacct:/\n"]
)
def test_a_container_of_version_1_finds_its_group_at_the_mount_point(groups: str) -> None:
    files = {
        "memory/memory.limit_in_bytes": f"{2 * GB}\n",
        "memory/memory.usage_in_bytes": f"{GB}\n",
        "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {GB // 2}\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert found(DOCKER_1, groups, files) == Bounds(1.5, 2 * GB, GB + GB // 2)


def test_a_limit_above_a_container_of_version_1_is_known_by_its_statistics() -> None:
    files = {
        "memory/memory.limit_in_bytes": NO_LIMIT,
        "memory/memory.usage_in_bytes": "0\n",
        "memory/memory.stat": f"hierarchical_memory_limit {GB}\n",
    }
    assert found(DOCKER_1, "3:memory:/docker/ab\n", files) == Bounds(None, GB, GB)


def test_of_a_hybrid_system_both_hierarchies_are_read() -> None:
    files = {
        "memory/job/step/memory.limit_in_bytes": NO_LIMIT,
        "memory/job/memory.limit_in_bytes": f"{3 * GB}\n",
        "memory/job/memory.usage_in_bytes": f"{GB}\n",
        "unified/job/cpu.max": "max 100000\n",
        "cpu,cpuacct/job/step/cpu.cfs_quota_us": "300000\n",
        "cpu,cpuacct/job/step/cpu.cfs_period_us": "100000\n",
    }
    groups = "4:memory:/job/step\n2:cpu,cpuacct:/job/step\n1:name=systemd:/job\n0::/job\n"
    assert found(HYBRID, groups, files) == Bounds(3.0, 3 * GB, 2 * GB)


@pytest.mark.parametrize(
    ("quota", "cores"), [(None, 8), (0.5, 1), (1.0, 1), (2.5, 2), (8.0, 8), (64.0, 8), (0.01, 1)]
)
def test_cores_follow_the_quota(quota: float | None, cores: int) -> None:
    assert room(8, 32 * GB, 30 * GB, Bounds(quota)).cores == cores


def test_the_smaller_memory_holds() -> None:
    assert room(8, 32 * GB, 1 * GB, Bounds(None, 64 * GB, 60 * GB)) == Room(8, 32 * GB, 1 * GB)
    assert room(8, 32 * GB, 9 * GB, Bounds(None, 4 * GB, 2 * GB)) == Room(
        8, 4 * GB, 2 * GB, is_container=True
    )


def test_more_workers_than_the_container_holds_are_refused_with_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervising, "room_here", lambda: Room(6, 3 * GB, 2 * GB, is_container=True))
    assert default_workers(()) == 1, "2 GB are free"
    demand_room("--workers", 4)
    with pytest.raises(
        InvalidInput, match=r"^--workers must be at most 4 in this container .* memory limit is 3\.0 GB"
    ):
        demand_room("--workers", 5)


# --- from outside -------------------------------------------------------------------------------------

ASK = "import dataclasses, json; from optselect.search.processes.limits import room_here; print(json.dumps(dataclasses.asdict(room_here())))"


@pytest.fixture
def child_groups() -> Iterator[list[Path]]:
    """A new group within this process's own, of half a core and a gigabyte, in version 1 or 2; skipped where none can be."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    root, name, made = Path("/sys/fs/cgroup"), f"optselect-test-{os.getpid()}", []
    with contextlib.ExitStack() as stack:
        try:
            if "memory" in own:
                memory, cpu = (root / one / own[one].lstrip("/") / name for one in ("memory", "cpu"))
                for folder in (memory, cpu):
                    folder.mkdir()
                    stack.callback(folder.rmdir)
                (memory / "memory.limit_in_bytes").write_text("1000001536")
                (cpu / "cpu.cfs_quota_us").write_text("50000")
                made = [memory, cpu]
            else:
                both = root / own[""].lstrip("/") / name
                both.mkdir()
                stack.callback(both.rmdir)
                (both / "memory.max").write_text("1000001536")
                (both / "cpu.max").write_text("50000 100000")
                made = [both]
        except (OSError, KeyError) as error:
            pytest.skip(f"no control group can be made here: {error!r}")
        yield made


def test_a_process_in_a_real_control_group_sees_its_bounds(child_groups: list[Path]) -> None:
    joined = "".join(f"echo $$ > {group}/cgroup.procs; " for group in child_groups)
    done = subprocess.run(
        ["sh", "-ec", f'{joined} exec "$0" -c "$1"', sys.executable, ASK],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert abs(seen["memory"] - 1000001536) < 8192, "whole pages"
    assert 0 < seen["free"] <= seen["memory"]
    assert (seen["cores"], seen["is_container"]) == (1, True)
