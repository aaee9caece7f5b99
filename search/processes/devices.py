"""Which GPUs does this machine have, and which of them does each training process get?

Asked of NVIDIA's management library, so that no process loads TensorFlow to find out. A CUDA_VISIBLE_DEVICES that is
already set is what an engine (SLURM, Ray, Kubernetes) has given us: nothing beyond it is touched.
"""

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optselect.search.errors import InvalidInput

FREE_SHARE = 0.92
"""Of a shared device's memory: the rest is for what CUDA itself needs in each process."""
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Device:
    """One GPU, or one instance of a GPU that is parted (MIG)."""

    uuid: str
    """GPU-... or MIG-...: unlike a number it never changes."""
    number: str
    """As nvidia-smi shows it: "0"; of an instance "0:1"."""
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Usage:
    """How busy a device is now."""

    used_bytes: int
    memory_bytes: int
    percent: int | None
    """Of its time; None for an instance of a parted GPU, which does not tell."""


@dataclass(frozen=True)
class Seat:
    """Where one training process runs."""

    device: str = ""
    """What CUDA_VISIBLE_DEVICES gets; empty: the CPU."""
    most_megabytes: int | None = None
    """Of a shared device's memory; None: as much as it wants."""


@dataclass(frozen=True)
class Wish:
    """What was said of GPUs on the command line."""

    gpus: str | None = None
    """all, numbers or UUIDs, comma-separated; None: all there are, or the CPU."""
    per_gpu: int = 1

    def arguments(self) -> tuple[str, ...]:
        """The same for another command line."""
        named = () if self.gpus is None else ("--gpus", self.gpus)
        return named if self.per_gpu == 1 else (*named, "--per-gpu", str(self.per_gpu))


NO_WISH = Wish()


def seats(wish: Wish, environment: Mapping[str, str], nvml: Any = None) -> tuple[Seat, ...]:
    """A seat for each training process that the GPUs carry; empty where there is none and none was asked for.

    Raises InvalidInput for a GPU that is not there, and for a share of one whose memory is unknown.
    """
    devices = list_devices(nvml)
    names = chosen(wish, environment, devices)
    if wish.per_gpu == 1:
        return tuple(Seat(name) for name in names)
    return tuple(seat for name in names for seat in shared(name, wish.per_gpu, devices))


def chosen(wish: Wish, environment: Mapping[str, str], devices: Sequence[Device]) -> tuple[str, ...]:
    """The devices in the words of CUDA_VISIBLE_DEVICES."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        own = tuple(part.strip() for part in given.split(",") if part.strip() not in ("", "-1"))
        return own if wish.gpus in (None, "all") and (own or wish.gpus is None) else picked(wish, own)
    if wish.gpus in (None, "all"):
        if wish.gpus == "all" and not devices:
            raise InvalidInput("--gpus all needs a GPU that NVIDIA's driver shows. Received: none is there.")
        return tuple(device.uuid for device in devices)
    return picked(wish, tuple(device.uuid for device in devices), {d.number: d.uuid for d in devices})


def picked(wish: Wish, known: Sequence[str], numbers: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The named ones among the known ones; numbers count only where nobody has chosen before us."""
    found = []
    for name in (part.strip() for part in (wish.gpus or "").split(",")):
        device = (numbers or {}).get(name, name)
        if device not in known:
            listed = ", ".join([*(numbers or {}), *known]) or "none"
            raise InvalidInput(f'--gpus must name GPUs of this machine: {listed}. Received: "{name}".')
        found.append(device)
    return tuple(dict.fromkeys(found))


def shared(name: str, count: int, devices: Sequence[Device]) -> Iterator[Seat]:
    """Equal parts of a device, each with a hard limit of memory."""
    device = next((d for d in devices if name in (d.uuid, d.number)), None)
    if device is None:
        raise InvalidInput(
            f"--per-gpu {count} needs to know how much memory {name} has, and NVIDIA's driver does not say. "
            "Received: more than 1. Write --per-gpu 1."
        )
    limit = int(device.memory_bytes * FREE_SHARE / count / MEBIBYTE)
    for _ in range(count):
        yield Seat(name, limit)


# --- NVIDIA's management library ----------------------------------------------------------------------


def list_devices(nvml: Any = None) -> list[Device]:
    """All GPUs of this machine in the order of their numbers, parted ones as their instances."""
    with opened(nvml) as library:
        if library is None:
            return []
        handles = [library.nvmlDeviceGetHandleByIndex(n) for n in range(library.nvmlDeviceGetCount())]
        return [
            device for number, handle in enumerate(handles) for device in parts_of(library, handle, number)
        ]


def parts_of(library: Any, handle: Any, number: int) -> Iterator[Device]:
    """The instances of a parted GPU, or the GPU itself."""
    if not is_parted(library, handle):
        yield device_of(library, handle, str(number))
        return
    for place in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(library.NVMLError):  # places may be empty
            instance = library.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
            yield device_of(library, instance, f"{number}:{place}")


def is_parted(library: Any, handle: Any) -> bool:
    try:
        return bool(library.nvmlDeviceGetMigMode(handle)[0])
    except library.NVMLError:  # a GPU that cannot be parted
        return False


def device_of(library: Any, handle: Any, number: str) -> Device:
    uuid, name = (text_of(get(handle)) for get in (library.nvmlDeviceGetUUID, library.nvmlDeviceGetName))
    return Device(uuid, number, name, int(library.nvmlDeviceGetMemoryInfo(handle).total))


def handle_of(library: Any, name: str) -> Any:
    """By UUID, or by the number that an engine has given: training processes count in the driver's order too."""
    if name.isdigit():
        return library.nvmlDeviceGetHandleByIndex(int(name))
    return library.nvmlDeviceGetHandleByUUID(name)


def usage_of(uuid: str, nvml: Any = None) -> Usage | None:
    """How busy a device is; None where it is gone or the driver does not answer."""
    with opened(nvml) as library:
        if library is None:
            return None
        try:
            handle = handle_of(library, uuid)
            memory = library.nvmlDeviceGetMemoryInfo(handle)
        except library.NVMLError:
            return None
        try:
            percent: int | None = int(library.nvmlDeviceGetUtilizationRates(handle).gpu)
        except library.NVMLError:
            percent = None
        return Usage(int(memory.used), int(memory.total), percent)


def is_there(device: str, nvml: Any = None) -> bool:
    """Whether a device that a process lost can be used again; a number is taken on trust, for it names no device."""
    return not device.startswith(("GPU-", "MIG-")) or usage_of(device, nvml) is not None


@contextlib.contextmanager
def opened(nvml: Any = None) -> Iterator[Any]:
    """The library while the block runs; None where there is no driver."""
    library = nvml or importlib.import_module("pynvml")  # only where GPUs are looked for
    try:
        library.nvmlInit()
    except library.NVMLError:
        yield None
        return
    try:
        yield library
    finally:
        library.nvmlShutdown()


def text_of(value: Any) -> str:
    """Older versions of the library give bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
