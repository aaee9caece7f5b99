"""How busy a process and its device are is read without TensorFlow, and not at every trial."""

import pytest

from optselect.search.status.live_view import shown_usage
from optselect.search.worker.usage import SECONDS_BETWEEN, Gauge
from tests.support.fake_nvml import machine

OWN = {"cpu_percent", "memory_bytes"}


@pytest.mark.parametrize(
    ("gpus", "device", "told"),
    [
        ("", "", set()),
        ("gpu", "", set()),
        ("gpu,gpu", "GPU-1", {"gpu_used_bytes", "gpu_memory_bytes", "gpu_percent"}),
        ("gpu,gpu", "1", {"gpu_used_bytes", "gpu_memory_bytes", "gpu_percent"}),
        ("mig", "MIG-0-1", {"gpu_used_bytes", "gpu_memory_bytes"}),
        ("gpu", "GPU-gone", set()),
    ],
)
def test_a_process_tells_of_itself_and_of_the_device_that_it_sees(
    gpus: str, device: str, told: set[str]
) -> None:
    read = Gauge(device, machine(gpus)).read()
    assert read.keys() == OWN | told
    assert read["memory_bytes"] > 1e6
    if told:
        assert read["gpu_used_bytes"] == read["gpu_memory_bytes"] / 4
    assert shown_usage(read).startswith("GPU") == bool(told)


def test_a_device_is_not_asked_again_within_seconds() -> None:
    now = [100.0]
    gauge = Gauge("GPU-0", machine("gpu"), clock=lambda: now[0])
    assert gauge.read_if_due() is not None and gauge.read_if_due() is None
    now[0] += SECONDS_BETWEEN
    assert gauge.read_if_due() is not None


def test_system_metrics_have_mlflows_own_names() -> None:
    names = set(Gauge("GPU-0", machine("gpu")).system_metrics())
    monitor = {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
    }
    device = {f"gpu_0_{what}" for what in ("memory_usage_megabytes", "memory_usage_percentage")}
    assert names == monitor | device | {"gpu_0_utilization_percentage"}
    assert set(Gauge("", machine("gpu")).system_metrics()) == monitor
