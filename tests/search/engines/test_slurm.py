"""The script that SLURM gets: to the letter, and run for real around a worker that ends as a test wants it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from optselect.search.engines.order import Order
from optselect.search.engines.slurm import Slurm, Task, surplus
from optselect.search.errors import InvalidInput
from tests.support import fake_slurm

GOLDEN = Path(__file__).with_name("golden")
ORDER = Order(
    study="digits",
    workers=8,
    gpus=1,
    options={
        "python": "/opt/optselect/bin/python",
        "partition": "gpu",
        "time": "12:00:00",
        "setup": "module load cuda",
    },
    environment={
        "OPTSELECT_STORAGE": "postgresql://ann@db.example.org/studies",
        "OPTSELECT_EXECUTOR": "slurm",
        "OPTSELECT_HOME": "/shared/ann/optselect",
        "PGPASSFILE": "/shared/ann/optselect/launches/digits/pgpass",
    },
    folder="/shared/ann/optselect/launches/digits",
)


def test_the_script_is_to_the_letter_that_of_the_golden_file() -> None:
    assert Slurm().render(ORDER) == (GOLDEN / "slurm.sh").read_text()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("array", "0-99", "must not set what the script sets itself"),
        ("partition", "gpu\n#SBATCH --uid=0", "must be without blanks"),
        ("comment", "two words", "must be without blanks"),
    ],
)
def test_an_option_that_would_change_the_script_otherwise_is_refused(
    option: str, value: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        Slurm().render(replace(ORDER, options={option: value}))


def test_a_part_of_a_gpu_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"must be 0 or 1 with SLURM.*Received: 0\.5"):
        Slurm().render(replace(ORDER, gpus=0.5))


def test_where_fewer_workers_are_wanted_those_that_wait_go_first() -> None:
    tasks = [Task("7_0", "RUNNING"), Task("7_1", "PENDING"), Task("9_0", "RUNNING")]
    assert [task.name for task in surplus(tasks, 2)] == ["7_1"]
    assert [task.name for task in surplus(tasks, 0)] == ["7_0", "9_0", "7_1"]


# --- the script runs ----------------------------------------------------------------------------------

STUB = """#!/bin/bash
# Ends with the next code of the file `codes`; "stay" means: until SIGTERM, then with 75.
cd "$(dirname "$0")"
echo "$*" >> starts
code=$(head -n 1 codes); sed -i 1d codes
[ "$code" = crash ] && kill -KILL $$
[ "$code" = stay ] || exit "$code"
trap 'sleep 0.3; echo drained >> starts; exit 75' TERM
touch waits
while :; do sleep 0.05; done
"""


class Job:
    """The script of one task around a stub worker."""

    def __init__(self, folder: Path, codes: str) -> None:
        self.folder, self.starts, self.words = folder, folder / "starts", ""
        (folder / "codes").write_text(codes.replace(" ", "\n") + "\n")
        (folder / "worker").write_text(STUB)
        (folder / "worker").chmod(0o755)
        options = {"python": str(folder / "worker")}
        script = Slurm().render(Order("digits", 1, 0, options, {"OPTSELECT_HOME": str(folder)}, str(folder)))
        own = {"OPTSELECT_PAUSE_SECONDS": "0", "SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": "3"}
        environment = {**os.environ, **fake_slurm.install(folder), **own}
        self.process = subprocess.Popen(
            ["bash", "-c", script],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def signal_worker_at_work(self, number: signal.Signals) -> None:
        await_that((self.folder / "waits").exists)
        self.process.send_signal(number)

    def signal_all_at_work(self, number: signal.Signals) -> None:
        await_that((self.folder / "waits").exists)
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, list[str]]:
        """Its exit code, and what the workers wrote."""
        self.words = self.process.communicate(timeout=30)[1]
        return self.process.returncode, self.starts.read_text().splitlines()


def await_that(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


COMMAND = "-P -m optselect worker digits --slots 1"


@pytest.mark.parametrize(
    ("codes", "starts", "code"),
    [
        ("0", 1, 0),
        ("64", 1, 64),
        ("130", 1, 130),
        ("75 75 75 75 75 75 0", 7, 0),
        ("70 75 crash 0", 4, 0),
        ("1 1 1 1 1 0", 5, 1),
        ("crash crash crash crash crash 0", 5, 137),
    ],
)
def test_a_worker_is_started_again_by_its_exit_code(
    tmp_path: Path, codes: str, starts: int, code: int
) -> None:
    assert Job(tmp_path, codes).end() == (code, [COMMAND] * starts)


def test_sigterm_reaches_the_worker_and_the_task_ends_after_it(tmp_path: Path) -> None:
    job = Job(tmp_path, "stay 0")
    job.signal_worker_at_work(signal.SIGTERM)
    assert job.end() == (75, [COMMAND, "drained"])
    assert not (tmp_path / "state" / "calls").exists()


def test_sigterm_to_all_processes_as_scancel_and_preemption_send_it_ends_the_task_after_its_worker(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, "stay 0")
    job.signal_all_at_work(signal.SIGTERM)
    assert job.end() == (75, [COMMAND, "drained"])
    assert "the worker was told to leave (told); it ended with 75" in job.words


def test_at_its_time_limit_a_task_drains_and_goes_back_into_the_queue(tmp_path: Path) -> None:
    job = Job(tmp_path, "stay 0")
    job.signal_worker_at_work(signal.SIGUSR1)
    assert job.end() == (75, [COMMAND, "drained"])
    assert "the worker was told to leave (time-limit); it ended with 75" in job.words
    assert (tmp_path / "state" / "calls").read_text() == "scontrol requeue 4711_3\n"


def test_a_machine_without_sbatch_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    order = replace(ORDER, options={"logs": str(tmp_path)})
    with pytest.raises(InvalidInput, match="sbatch must be on PATH"):
        Slurm().submit(order)
    assert sys.executable in Slurm().render(order)
