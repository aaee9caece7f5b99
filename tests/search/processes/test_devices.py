"""GPUs are found without TensorFlow, shared out by their UUIDs, and never taken from whom an engine gave them to."""

import pytest

from optselect.search.errors import InvalidInput
from optselect.search.processes.devices import (
    MEBIBYTE,
    Seat,
    Usage,
    Wish,
    is_there,
    list_devices,
    seats,
    usage_of,
)
from tests.support.fake_nvml import machine

EIGHT = ",".join(["gpu"] * 8)


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    assert list_devices(machine("")) == []
    assert seats(Wish(), {}, machine("")) == ()


def test_the_real_library_says_the_same_where_there_is_no_driver() -> None:
    assert list_devices() == [] or list_devices()[0].uuid.startswith(("GPU-", "MIG-"))


@pytest.mark.parametrize(("gpus", "count"), [("gpu", 1), (EIGHT, 8)])
def test_every_gpu_has_one_process_named_by_its_uuid(gpus: str, count: int) -> None:
    assert seats(Wish(), {}, machine(gpus)) == tuple(Seat(f"GPU-{n}") for n in range(count))


def test_a_parted_gpu_is_as_many_devices_as_it_has_instances() -> None:
    found = list_devices(machine("gpu,mig"))
    assert [(device.uuid, device.number) for device in found] == [
        ("GPU-0", "0"),
        ("MIG-1-0", "1:0"),
        ("MIG-1-1", "1:1"),
    ]
    assert seats(Wish("1:1"), {}, machine("gpu,mig")) == (Seat("MIG-1-1"),)


def test_gpus_are_chosen_by_number_or_uuid_each_once() -> None:
    assert seats(Wish("0, 2,GPU-2"), {}, machine(EIGHT)) == (Seat("GPU-0"), Seat("GPU-2"))


def test_what_an_engine_has_given_is_used_as_it_is() -> None:
    given = {"CUDA_VISIBLE_DEVICES": "3,GPU-5"}
    assert seats(Wish("all"), given, machine(EIGHT)) == (Seat("3"), Seat("GPU-5"))
    assert seats(Wish("GPU-5"), given, machine(EIGHT)) == (Seat("GPU-5"),)
    assert seats(Wish(), {"CUDA_VISIBLE_DEVICES": ""}, machine(EIGHT)) == ()
    assert seats(Wish(), {"CUDA_VISIBLE_DEVICES": "-1"}, machine(EIGHT)) == ()
    with pytest.raises(InvalidInput, match='Received: "0"'):
        seats(Wish("0"), given, machine(EIGHT))


def test_processes_that_share_a_gpu_have_a_hard_limit_each() -> None:
    one, other = seats(Wish("1", per_gpu=2), {}, machine(EIGHT))
    assert one == other
    assert one.device == "GPU-1"
    assert one.most_megabytes is not None
    assert 2 * one.most_megabytes * MEBIBYTE < 24 * 2**30
    with pytest.raises(InvalidInput, match="how much memory 0 has"):
        seats(Wish(per_gpu=2), {"CUDA_VISIBLE_DEVICES": "0"}, machine(""))


@pytest.mark.parametrize("wish", ["all", "0", "GPU-7"])
def test_a_gpu_that_is_not_there_is_refused(wish: str) -> None:
    with pytest.raises(InvalidInput, match="--gpus"):
        seats(Wish(wish), {}, machine(""))


def test_use_is_read_by_uuid_and_a_gpu_that_is_gone_is_known() -> None:
    library = machine("gpu,mig")
    assert usage_of("GPU-0", library) == Usage(6 * 2**30, 24 * 2**30, 37)
    assert usage_of("MIG-1-0", library) == Usage(10 * 2**30 // 4, 10 * 2**30, None)
    assert not is_there("GPU-9", library)
    assert is_there("GPU-0", library)
    assert library.open_count == 0, "the library is closed again each time"
