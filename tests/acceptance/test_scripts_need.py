"""The scripts for real engines say in one line each what they lack, before they do anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "deploy"
SHELL = ("bash", "dirname", "realpath", "id", "grep", "df", "find", "tail", "tr", "mktemp", "rm", "sh")


@pytest.mark.parametrize("name", ["slurm_for_real.sh", "compose_for_real.sh"])
def test_a_machine_that_lacks_all_of_it_is_told_so_line_by_line(name: str, tmp_path: Path) -> None:
    tools, scratch = tmp_path / "tools", tmp_path / "scratch"
    tools.mkdir()
    for tool in SHELL:
        (tools / tool).symlink_to(shutil.which(tool) or "/bin/false")
    (tools / "df").unlink()
    (tools / "df").write_text("#!/bin/sh\necho ' 1G'\n")  # a disk that is nearly full
    (tools / "df").chmod(0o755)
    ended = subprocess.run(
        [tools / "bash", SCRIPTS / name, scratch],
        env={"PATH": str(tools), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stderr.splitlines()
    assert ended.returncode == 2, ended.stderr
    assert all(line.startswith("needs ") for line in lines), ended.stderr
    for words in ("unshare on PATH", "apt-get on PATH", "optselect in the active environment", "GB free for"):
        assert sum(words in line for line in lines) == 1, words
    assert ("needs root: run it by sudo" in lines) == (os.geteuid() != 0)
    assert not scratch.exists() and not ended.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_package_of_another_version_than_the_images_is_said(tmp_path: Path) -> None:
    other = tmp_path / "numpy-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    ended = subprocess.run(
        ["bash", SCRIPTS / "compose_for_real.sh", tmp_path / "scratch"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert (
        "needs the versions of constraints.txt in the active environment: python -m pip install -c"
        in ended.stderr
    )
    assert "numpy" in ended.stderr and not (tmp_path / "scratch").exists()
