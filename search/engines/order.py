"""What is an engine (SLURM, Kubernetes, Ray) asked for, and what must it be able to do?

An engine only places, restarts and ends `optselect worker STUDY --slots 1`; all that is to be remembered is in Postgres.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optselect.search.errors import InvalidInput
from optselect.search.processes.local import PRIVATE
from optselect.storage.server.interpreter import own_python


@dataclass(frozen=True)
class Order:
    """Workers of one study that an engine is to start. Nothing in it is secret."""

    study: str
    workers: int
    gpus: float  # of each worker; a fraction is a share of one
    options: Mapping[str, str]  # the engine's own
    environment: Mapping[str, str]  # of the workers
    folder: str  # on the machine that launches, this account's alone
    has_password: bool = False  # whether the workers need one to reach the database
    arguments: Sequence[str] = ()  # of the worker, behind the study
    launch: int | None = None  # its row in Postgres; None: it is only shown

    def worker(self, python: str) -> list[str]:
        """The command that the engine starts for each worker."""
        return own_python("optselect", *self.worker_arguments, python=python)

    @property
    def worker_arguments(self) -> list[str]:
        """What follows the name of the program, where an image starts it."""
        return ["worker", self.study, "--slots", "1", *self.arguments]


class Executor(Protocol):
    """An engine. Each method raises InvalidInput where the engine is not there, or refuses."""

    @property
    def scales_by_submitting(self) -> bool:
        """Whether more workers are the order handed in once more."""

    def render(self, order: Order) -> str:
        """The script, manifest or job as it would be handed in."""

    def submit(self, order: Order) -> str:
        """Hand it in; returns the engine's own name of it."""

    def scale(self, order: Order, external_id: str, workers: int) -> str:
        """Have so many workers; returns the engine's name of it, which may be another then."""

    def stop(self, order: Order, external_id: str) -> None:
        """Let the workers drain and start none any more; their study is stopped already."""

    def read_logs(self, order: Order, external_id: str, lines: int, follow: bool) -> Iterator[str]:
        """The last lines of each worker, and with `follow` those to come, for ever."""

    def log_command(self, order: Order, external_id: str) -> str:
        """How a person reads the logs without us."""


def run_program(arguments: Sequence[str], given: str | None = None) -> str:
    """Run an engine's own program; returns its stdout. No password is in its environment, for it may pass that on."""
    environment = {name: value for name, value in os.environ.items() if name not in PRIVATE}
    try:
        done = subprocess.run(
            arguments, input=given, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise InvalidInput(missing(arguments[0])) from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InvalidInput(
            f"{arguments[0]} refused what it was asked ({' '.join(arguments[:2])}), exit code {done.returncode}: "
            f"{said[-1] if said else 'it gave no reason'}"
        )
    return done.stdout.strip()


def lines_of(arguments: Sequence[str]) -> Iterator[str]:
    """The lines that an engine's own program writes, while it writes them; it ends with whoever reads them."""
    try:
        program = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, errors="replace")
    except FileNotFoundError:
        raise InvalidInput(missing(arguments[0])) from None
    assert program.stdout is not None
    with program:
        try:
            for line in program.stdout:
                yield line.removesuffix("\n")
        finally:
            program.terminate()


def tail(files: Sequence[str], lines: int, follow: bool) -> Iterator[str]:
    """The last lines of files, each file under its name."""
    return lines_of(["tail", "-v", "-n", str(lines), *(["-F"] if follow else []), *files])


def missing(program: str) -> str:
    return f"{program} must be on PATH to reach this engine. Received: a machine without it. Use one that has it."


def demand_known(order: Order, executor: str, known: Sequence[str]) -> None:
    """Refuse an option that would be ignored; raises InvalidInput."""
    for name in order.options:
        if name not in known:
            raise InvalidInput(
                f'--executor-option of {executor} must be one of {", ".join(known)}. Received: "{name}".'
            )


def demand_whole_gpus(order: Order, executor: str) -> None:
    """Refuse parts of a GPU, and more than a training process can use; raises InvalidInput."""
    if order.gpus not in (0, 1):
        raise InvalidInput(
            f"--gpus-per-worker must be 0 or 1 with {executor}: a worker trains on one GPU. Received: {order.gpus:g}."
        )


def order_json(order: Order) -> dict[str, Any]:
    """As it is stored with its launch."""
    return {**vars(order), "options": dict(order.options), "environment": dict(order.environment)}


def read_order(settings: Mapping[str, Any], launch: int) -> Order:
    """As it was stored."""
    return Order(**{**settings, "launch": launch})
