"""NVIDIA's management library for a machine that has whatever GPUs a test wants: the same names, no driver.

As a module (OPTSELECT_FAKE_GPUS="2" or "2,mig") it stands in for pynvml in processes of their own.
"""

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """Any failure of the library."""


@dataclass
class Gpu:
    """One GPU; with instances it is parted."""

    uuid: str
    memory_bytes: int = 24 * 2**30
    instances: list["Gpu"] = field(default_factory=list)
    has_parts: bool = True
    """Whether it knows the word at all."""


@dataclass
class FakeNvml:
    """The functions that devices.py calls."""

    gpus: list[Gpu]
    has_driver: bool = True
    NVMLError: type[Exception] = NVMLError
    open_count: int = 0

    def nvmlInit(self) -> None:
        if not self.has_driver:
            raise NVMLError("Driver Not Loaded")
        self.open_count += 1

    def nvmlShutdown(self) -> None:
        self.open_count -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Gpu:
        for gpu in self.gpus:
            for part in (gpu, *gpu.instances):
                if part.uuid == uuid:
                    return part
        raise NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, gpu: Gpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: Gpu) -> bytes:
        return b"Fake GPU"

    def nvmlDeviceGetMemoryInfo(self, gpu: Gpu) -> Any:
        return SimpleNamespace(total=gpu.memory_bytes, used=gpu.memory_bytes // 4)

    def nvmlDeviceGetUtilizationRates(self, gpu: Gpu) -> Any:
        if gpu.uuid.startswith("MIG-"):
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=37)

    def nvmlDeviceGetMigMode(self, gpu: Gpu) -> tuple[int, int]:
        if not gpu.has_parts:
            raise NVMLError("Not Supported")
        return (int(bool(gpu.instances)),) * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Gpu) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Gpu, place: int) -> Gpu:
        if place >= len(gpu.instances):
            raise NVMLError("Not Found")
        return gpu.instances[place]


def machine(text: str) -> FakeNvml:
    """GPUs by a word each: "gpu", or "mig" for one in two parts; empty: no driver.

    >>> [gpu.uuid for gpu in machine("gpu,mig").gpus]
    ['GPU-0', 'GPU-1']
    """
    words = [word for word in text.split(",") if word]
    return FakeNvml([gpu_of(word, number) for number, word in enumerate(words)], has_driver=bool(words))


def gpu_of(word: str, number: int) -> Gpu:
    parts = [Gpu(f"MIG-{number}-{part}", 10 * 2**30) for part in range(2)] if word == "mig" else []
    return Gpu(f"GPU-{number}", instances=parts, has_parts=word == "mig")


def __getattr__(name: str) -> Any:  # PEP 562: `import pynvml` finds this file under that name
    if name.startswith("nvml"):
        return getattr(machine(os.environ.get("OPTSELECT_FAKE_GPUS", "")), name)
    raise AttributeError(name)
