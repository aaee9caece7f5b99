"""sbatch, squeue, scancel and scontrol as one program that really runs scripts, on this machine, without a queue.

Tasks from index WAIT_FROM on stay PENDING. What it knows lies below FAKE_SLURM: a folder for each task with its pid, and
a line of `calls` for each call.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

STATE = "FAKE_SLURM"
PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol")


def install(folder: Path) -> dict[str, str]:
    """Put the programs into a folder; returns the environment in which they are found."""
    programs, state = folder / "bin", folder / "state"
    programs.mkdir()
    state.mkdir()
    for name in PROGRAMS:
        line = shlex.join([sys.executable, __file__, name])
        (programs / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", STATE: str(state)}


def sbatch(state: Path, arguments: list[str]) -> None:
    script = sys.stdin.read()
    head = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", script, re.MULTILINE))
    job = 4711 + len(list(state.glob("*.sh")))
    file = state / f"{job}.sh"
    file.write_text(script)
    (state / f"{job}.environ").write_text(json.dumps(dict(os.environ)))
    first, last = map(int, head["array"].split("-"))
    for index in range(first, last + 1):
        start(state, file, job, index, head)
    print(f"{job};cluster")


def start(state: Path, file: Path, job: int, index: int, head: dict[str, str]) -> None:
    task = state / f"{job}_{index}"
    task.mkdir()
    (task / "name").write_text(head["job-name"])
    if index >= int(os.environ.get("WAIT_FROM") or 1000):
        return
    own = {"SLURM_ARRAY_JOB_ID": str(job), "SLURM_ARRAY_TASK_ID": str(index), "SLURM_SUBMIT_DIR": os.getcwd()}
    output = head["output"].replace("%A", str(job)).replace("%a", str(index))
    with open(output, "ab") as log:
        process = subprocess.Popen(
            ["bash", file],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (task / "pid").write_text(str(process.pid))


def squeue(state: Path, arguments: list[str]) -> None:
    name = next(word for word in arguments if word.startswith("--name=")).removeprefix("--name=")
    for task in sorted(state.glob("*_*")):
        if (task / "name").read_text() == name and (now := state_of(task)):
            print(task.name, now)


def state_of(task: Path) -> str:
    """PENDING or RUNNING, as squeue says it; empty: over."""
    if not (task / "pid").exists():
        return "PENDING"
    try:
        os.kill(int((task / "pid").read_text()), 0)
    except ProcessLookupError:
        return ""
    return "RUNNING"


def scancel(state: Path, arguments: list[str]) -> None:
    for name in (word for word in arguments if not word.startswith("-")):
        task = state / name
        if "--state=PENDING" in arguments and state_of(task) == "PENDING":
            (task / "pid").write_text("999999999")
        if "--signal=TERM" in arguments and state_of(task) == "RUNNING":
            os.kill(int((task / "pid").read_text()), signal.SIGTERM)


def scontrol(state: Path, arguments: list[str]) -> None:
    """What it was told stands in `calls`."""


if __name__ == "__main__":
    program, *arguments = sys.argv[1:]
    state = Path(os.environ[STATE])
    with (state / "calls").open("a") as calls:
        calls.write(shlex.join([program, *arguments]) + "\n")
    globals()[program](state, arguments)
