"""How busy are a training process, its machine and its device? For `status`, and for MLflow where a study asks for it."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from optselect.search.processes.devices import Usage, usage_of

Numbers = Mapping[str, float]

SECONDS_BETWEEN = 5.0
"""A device is asked no more often: its driver answers within milliseconds, a small trial takes no longer."""


@dataclass
class Gauge:
    """Reads this process and the one device that it sees."""

    device: str = field(default_factory=lambda: os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    nvml: Any = None
    clock: Callable[[], float] = time.monotonic
    _process: psutil.Process = field(default_factory=psutil.Process)
    _due: float = -float("inf")

    def __post_init__(self) -> None:
        self._process.cpu_percent()  # of the time since the call before, so the first one gives nothing
        psutil.cpu_percent()

    def read(self) -> dict[str, float]:
        """The process's share of a core and memory, the device's time and memory."""
        now = {
            "cpu_percent": self._process.cpu_percent(),
            "memory_bytes": float(self._process.memory_info().rss),
        }
        return now | {f"gpu_{name}": value for name, value in device_numbers(self._usage()).items()}

    def read_if_due(self) -> dict[str, float] | None:
        """The same, or None where it was read a moment ago."""
        if self.clock() < self._due:
            return None
        self._due = self.clock() + SECONDS_BETWEEN
        return self.read()

    def system_metrics(self) -> dict[str, float]:
        """What MLflow's own monitor would log, under its names; the process's one GPU is gpu_0."""
        memory, usage = psutil.virtual_memory(), self._usage()
        own = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": memory.percent,
        }
        if usage is None:
            return own
        own["gpu_0_memory_usage_megabytes"] = usage.used_bytes / 1e6
        own["gpu_0_memory_usage_percentage"] = 100.0 * usage.used_bytes / usage.memory_bytes
        return own if usage.percent is None else own | {"gpu_0_utilization_percentage": float(usage.percent)}

    def _usage(self) -> Usage | None:
        return usage_of(self.device, self.nvml) if self.device else None


def device_numbers(usage: Usage | None) -> Numbers:
    """What is known of a device; an instance of a parted one does not tell how much of its time is used."""
    if usage is None:
        return {}
    known = {"used_bytes": float(usage.used_bytes), "memory_bytes": float(usage.memory_bytes)}
    return known if usage.percent is None else known | {"percent": float(usage.percent)}
