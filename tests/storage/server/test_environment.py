"""A variable of the environment is a number of its kind, or is refused in one line before anything begins."""

import re
import subprocess
from pathlib import Path

import pytest

from optselect.storage.errors import InvalidVariable
from optselect.storage.server.environment import NUMBERS, check_numbers, number_in

FOLDERS = ("search", "storage", "trials")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "text", ["", " ", "abc", "-1", "nan", "inf", "-inf", "1e400", "1_0", "٣", "0x10", "1,5", "\0"]
)
def test_what_is_no_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidVariable, match=f"^{name} must be a (whole )?number from "):
        check_numbers({name: text})


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_not_set_is_the_usual_number(name: str) -> None:
    assert number_in({}, name, 3.5) == 3.5
    assert number_in({name: "7"}, name, 3.5) == 7.0


def test_whole_numbers_are_whole() -> None:
    with pytest.raises(InvalidVariable, match="OPTSELECT_GPU_MEGABYTES must be a whole number"):
        check_numbers({"OPTSELECT_GPU_MEGABYTES": "100.5"})


def test_no_other_place_reads_a_number_from_the_environment() -> None:
    found = subprocess.run(
        ["grep", "-rnE", r"(int|float)\(.*environ", *FOLDERS], capture_output=True, text=True, check=False
    )
    lines = [line for line in found.stdout.splitlines() if "OPTSELECT_" in line and "number_in" not in line]
    assert not lines and Path("search").is_dir()
    assert all(re.fullmatch(r"OPTSELECT_[A-Z_]+", name) for name in NUMBERS)
