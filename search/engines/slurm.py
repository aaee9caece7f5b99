"""How does SLURM run workers? As the tasks of an array, each a shell loop that starts its worker again.

SLURM puts a task back into its queue after a lost node and after preemption, never after a crash: hence the loop. It
needs nothing but sbatch, squeue and scancel on PATH, and OPTSELECT_HOME in a folder that the nodes share.
"""

import dataclasses
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from optselect.search.engines.order import Order, demand_whole_gpus, run_program, tail
from optselect.search.errors import InvalidInput
from optselect.storage.server.own_files import make_folder

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
OWN = ("python", "setup", "logs")
"""Options of ours; every other one is sbatch's: partition, time, account, ..."""
TAKEN = ("array", "requeue", "signal", "open-mode", "output", "error", "job-name", "export")
"""What the script sets itself."""


@dataclass(frozen=True)
class Task:
    """One worker as SLURM sees it."""

    name: str  # 4711_3: array and index
    state: str

    @property
    def waits(self) -> bool:
        return self.state == "PENDING"


@dataclass(frozen=True)
class Slurm:
    """Workers as tasks of job arrays; the external id names these, with blanks between."""

    scales_by_submitting = True

    def render(self, order: Order) -> str:
        demand_whole_gpus(order, "SLURM")
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, keep_trailing_newline=True
        )
        environment.filters["shell"] = shlex.quote
        return environment.get_template("slurm.sh").render(
            directives=list(directives(order)),
            environment=order.environment,
            setup=order.options.get("setup", ""),
            worker=shlex.join(order.worker(order.options.get("python", sys.executable))),
        )

    def submit(self, order: Order) -> str:
        script = self.render(order)
        make_folder(log_folder(order))  # SLURM makes none, and would lose the output
        return run_program(["sbatch", "--parsable"], script).partition(";")[0]

    def scale(self, order: Order, external_id: str, workers: int) -> str:
        tasks = list_tasks(order.study, external_id)
        cancel(surplus(tasks, workers))
        if workers <= len(tasks):
            return external_id
        more = self.submit(dataclasses.replace(order, workers=workers - len(tasks)))
        return f"{external_id} {more}"

    def stop(self, order: Order, external_id: str) -> None:
        cancel(list_tasks(order.study, external_id))

    def read_logs(self, order: Order, external_id: str, lines: int, follow: bool) -> Iterator[str]:
        folder = log_folder(order)
        files = sorted(str(file) for job in external_id.split() for file in folder.glob(f"{job}-*.log"))
        if not files:
            raise InvalidInput(
                f"A task of {external_id} must have started to have a log. Received: none in {folder}. See: squeue"
            )
        return tail(files, lines, follow)

    def log_command(self, order: Order, external_id: str) -> str:
        return f"tail -F {log_folder(order)}/{external_id.split()[-1]}-*.log"


def directives(order: Order) -> Iterator[str]:
    """The options of sbatch, as the script's head holds them."""
    yield f"--job-name={job_name(order.study)}"
    yield f"--array=0-{order.workers - 1}"
    yield "--requeue"
    yield "--open-mode=append"
    yield "--signal=B:USR1@90"
    yield f"--output={demand_plain('logs', str(log_folder(order)))}/%A-%a.log"
    if order.gpus:
        yield f"--gres=gpu:{order.gpus:g}"
    for name, value in order.options.items():
        if name in TAKEN:
            raise InvalidInput(
                f"--executor-option must not set what the script sets itself: {', '.join(TAKEN)}. Received: {name}."
            )
        if name not in OWN:
            yield f"--{demand_plain('name', name)}={demand_plain(name, value)}" if value else f"--{name}"


def demand_plain(name: str, value: str) -> str:
    """A directive is one word of one line; raises InvalidInput for another one."""
    if re.search(r"""[\s'"\\#]""", value):
        raise InvalidInput(
            f"--executor-option {name} must be without blanks, quotes, # and backslashes, for SLURM reads it from the "
            f'head of a script. Received: "{value}".'
        )
    return value


def job_name(study: str) -> str:
    return f"optselect-{study}"


def log_folder(order: Order) -> Path:
    """Where the tasks write what they say; the nodes must share it."""
    return Path(order.options.get("logs", f"{order.folder}/slurm")).absolute()


def list_tasks(study: str, external_id: str) -> list[Task]:
    """The tasks that wait or run."""
    # By name, for a number that SLURM has forgotten would be an error.
    asked = ["squeue", "--noheader", "--array", f"--name={job_name(study)}", "--format=%F_%K %T"]
    return read_tasks(run_program(asked), external_id.split())


def read_tasks(table: str, jobs: Sequence[str]) -> list[Task]:
    """What squeue says of these arrays; tasks that are ending already are left out.

    >>> read_tasks("7_0 RUNNING\\n7_1 COMPLETING\\n8_0 PENDING", ["7"])
    [Task(name='7_0', state='RUNNING')]
    """
    tasks = [Task(*line.split()[:2]) for line in table.splitlines() if line.strip()]
    return [task for task in tasks if task.name.partition("_")[0] in jobs and task.state != "COMPLETING"]


def surplus(tasks: Sequence[Task], workers: int) -> list[Task]:
    """Those that go where fewer are wanted: what waits first, of the rest the youngest.

    >>> [task.name for task in surplus([Task("7_0", "PENDING"), Task("7_2", "RUNNING"), Task("7_10", "RUNNING")], 1)]
    ['7_10', '7_0']
    """

    def rank(task: Task) -> tuple[bool, list[int]]:
        return task.waits, [int(number) for number in task.name.split("_")]

    return sorted(tasks, key=rank)[workers:]


def cancel(tasks: Sequence[Task]) -> None:
    """Take back those that wait; let those that run drain: the shell hands SIGTERM on to its worker."""
    waiting = [task.name for task in tasks if task.waits]
    running = [task.name for task in tasks if not task.waits]
    if waiting:
        run_program(["scancel", "--state=PENDING", *waiting])
    if running:
        run_program(["scancel", "--batch", "--signal=TERM", *running])
