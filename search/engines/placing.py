"""How do workers of a study get onto an engine, and how are they scaled, watched and stopped there?

The launch is a row in Postgres before the engine is asked, and bears the engine's own name of it afterwards: any
machine that reaches both can go on with it.
"""

import dataclasses
import json
import os
import re
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optselect.search.documents import SCHEMA, PlacedLaunch, Scaled
from optselect.search.engines.kubernetes_job import KubernetesJob
from optselect.search.engines.order import (
    Executor,
    Order,
    order_json,
    read_order,
    tail,
)
from optselect.search.engines.ray_cluster import RayCluster
from optselect.search.engines.slurm import Slurm
from optselect.search.errors import InvalidInput
from optselect.search.processes.local import worker_command
from optselect.search.processes.own_launch import PLACED_BY
from optselect.search.voice import note
from optselect.storage.errors import InvalidRow, NotFound
from optselect.storage.records import launches, studies
from optselect.storage.records.launches import Launch
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import (
    Database,
    Engine,
    named_database,
    without_password,
    write_pgpass,
)
from optselect.storage.server.own_files import make_folder, write_closed

NAMES: Mapping[str, str] = {
    "slurm": r"\d+( \d+)*",
    "kubernetes": r"job\.batch/optselect-[a-z0-9-]+",
    "ray": r"[A-Za-z0-9][\w.-]*",
}
"""How each engine calls what it has taken from us."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Placement:
    """On which engine the workers are to run, and how."""

    executor: str
    gpus: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)


def find_executor(name: str) -> Executor:
    """The engine of that name."""
    executors: Mapping[str, type[Executor]] = {"slurm": Slurm, "kubernetes": KubernetesJob, "ray": RayCluster}
    return executors[name]()


def read_placement(executor: str, gpus: float | None, options: Sequence[str] | None) -> Placement | None:
    """What was said of the engine; None: this machine. Raises InvalidInput."""
    if executor == "local":
        if gpus is not None or options:
            raise InvalidInput(
                "--gpus-per-worker and --executor-option are for --executor slurm, kubernetes or ray. Received: one "
                "of them with local. On this machine: --gpus."
            )
        return None
    pairs = [option.partition("=") for option in options or ()]
    for name, _, _ in pairs:
        if not name:
            raise InvalidInput(
                '--executor-option must be name=value, such as partition=gpu. Received: no name before "=".'
            )
    return Placement(executor, gpus or 0.0, {name.strip(): value.strip() for name, _, value in pairs})


# --- launching ----------------------------------------------------------------------------------------


def preview(
    study: str,
    storage: str | None,
    home: Path,
    tracking: str | None,
    workers: int,
    placement: Placement | None,
    arguments: Sequence[str],
) -> str:
    """What would be handed in; nothing is stored, and nobody is asked."""
    database = named_database(storage, home, os.environ)
    if placement is None:
        return shlex.join(worker_command(study, ("--slots", str(workers), *arguments))) + "\n"
    order = make_order(study, database, tracking, workers, placement, arguments)
    return find_executor(placement.executor).render(order)


def start_workers(
    study: StoredStudy,
    database: Database,
    engine: Engine,
    tracking: str | None,
    workers: int,
    placement: Placement,
    arguments: Sequence[str],
) -> Launch:
    """Hand a study's workers to an engine; raises InvalidInput where it does not take them."""
    order = make_order(study.name, database, tracking, workers, placement, arguments)
    executor = find_executor(placement.executor)
    executor.render(order)  # a mistake in it leaves no row behind
    if "PGPASSFILE" in order.environment:
        write_pgpass(database.url, Path(order.environment["PGPASSFILE"]))
    number = launches.begin_launch(
        engine,
        study.id,
        executor=placement.executor,
        host=socket.gethostname(),
        workers=workers,
        settings=order_json(order),
    )
    order = dataclasses.replace(order, launch=number)
    note_order(database.home, order)
    launches.name_launch(engine, number, executor.submit(order))
    launch = launches.find_launch(engine, study.id, number)
    assert launch is not None
    return launch


def make_order(
    study: str,
    database: Database | None,
    tracking: str | None,
    workers: int,
    placement: Placement,
    arguments: Sequence[str] = (),
) -> Order:
    """All that an engine must know, without any secret; raises InvalidInput where workers could not find the database."""
    if database is None or database.embedded:
        raise InvalidInput(
            f"--executor {placement.executor} needs a PostgreSQL server that its machines reach. Received: no address, "
            "which means the embedded server of this machine. Give --storage postgresql://user@host/database."
        )
    if database.url.host in LOOPBACK:
        note(f"{database.url.host} means each machine itself; workers elsewhere will not find it")
    environment = {
        "OPTSELECT_STORAGE": without_password(database.url.set(drivername="postgresql")),
        PLACED_BY: placement.executor,
    }
    if tracking:
        environment["MLFLOW_TRACKING_URI"] = tracking
    folder = database.home / "launches" / study
    has_password = database.url.password is not None
    if placement.executor == "slurm":  # its nodes share this folder
        environment["OPTSELECT_HOME"] = str(database.home)
        if has_password:
            environment["PGPASSFILE"] = str(folder / "pgpass")
    if not placement.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    words = tuple(arguments)
    return Order(
        study, workers, placement.gpus, placement.options, environment, str(folder), has_password, words
    )


def note_order(home: Path, order: Order) -> None:
    """Keep what this account has handed in, where no row of the database can change it."""
    file = order_file(home, order.study, order.launch)
    make_folder(file.parent)
    write_closed(file, order_text(order))


def order_file(home: Path, study: str, launch: int | None) -> Path:
    return home / "launches" / study / f"order-{launch}.json"


def order_text(order: Order) -> bytes:
    return json.dumps(order_json(order), sort_keys=True).encode()


# --- afterwards ---------------------------------------------------------------------------------------


def scale(name: str, workers: int, number: int | None, engine: Engine, home: Path) -> Scaled:
    """Have so many workers of a study's launch; returns what has changed. Raises InvalidInput, InvalidRow."""
    study = studies.load_study(engine, name)
    launch = the_launch(engine, study, number)
    if launch.executor != "local":
        order = read_order(launch.settings, launch.id)
        executor = find_executor(launch.executor)
        if executor.scales_by_submitting and workers > launch.workers:
            demand_own(launch, order, home)
        launches.name_launch(engine, launch.id, executor.scale(order, name_by_engine(launch), workers))
    launches.want_workers(engine, launch.id, workers)
    return {
        "schema": SCHEMA,
        "study": name,
        "launch": launch.id,
        "executor": launch.executor,
        "workers": workers,
        "workers_before": launch.workers,
    }


def scaled_line(done: Scaled) -> str:
    """What a person gets."""
    return (
        f"{done['study']}: launch {done['launch']} ({done['executor']}), workers wanted: {done['workers']}, "
        f"before: {done['workers_before']}"
    )


def demand_own(launch: Launch, order: Order, home: Path) -> None:
    """Refuse to hand a script in anew that this account has not handed in before; raises InvalidInput.

    Its lines stand in a row, which whoever writes the database may change.
    """
    file = order_file(home, order.study, order.launch)
    if not file.is_file() or file.read_bytes() != order_text(order):
        raise InvalidInput(
            f"More workers of launch {launch.id} are a script of that launch, handed in anew: it must be the one that this "
            f"account handed in. Received: another, or none, in {file}. Scale it where it was launched, or start further "
            f"workers: optselect resume {order.study} --executor {launch.executor} --workers N"
        )


def name_by_engine(launch: Launch) -> str:
    """The engine's own name of a launch, in the form that it gives: a row may hold the name of something else.

    Raises InvalidRow.
    """
    if not re.fullmatch(NAMES[launch.executor], launch.external_id):
        raise InvalidRow(
            f"The name of launch {launch.id} must be one that {launch.executor} gives to workers of ours. Received: "
            f"{launch.external_id!r}. No launch wrote that row; look who may write the database."
        )
    return launch.external_id


def the_launch(engine: Engine, study: StoredStudy, number: int | None) -> Launch:
    """The live launch that is meant; raises NotFound or InvalidInput."""
    live = launches.live_launches(engine, study.id)
    chosen = [launch for launch in live if number in (None, launch.id)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        meant = "launch" if number is None else f"launch {number}"
        raise NotFound(f"{study.name} has no {meant} that runs. Start one: optselect resume {study.name}")
    listed = ", ".join(f"{launch.id} ({launch.executor}, {launch.external_id})" for launch in live)
    raise InvalidInput(
        f"--launch must say which one is meant. Received: none, and {study.name} has {listed}."
    )


def read_logs(name: str, number: int | None, lines: int, follow: bool, engine: Engine) -> Iterator[str]:
    """What the workers of a launch say; of the last launch, ended or not, unless another is named."""
    study = studies.load_study(engine, name)
    launch = launches.find_launch(engine, study.id, number)
    if launch is None:
        meant = "launch" if number is None else f"launch {number}"
        raise NotFound(f"{name} has no {meant} yet. Start one: optselect resume {name}")
    if launch.executor == "local":
        return read_files(launch, lines, follow)
    order = read_order(launch.settings, launch.id)
    return find_executor(launch.executor).read_logs(order, name_by_engine(launch), lines, follow)


def read_files(launch: Launch, lines: int, follow: bool) -> Iterator[str]:
    """The logs of workers of a supervisor of this machine."""
    folder = Path(launch.settings["logs"])
    if launch.host != socket.gethostname():
        raise InvalidInput(
            f"Logs of launch {launch.id} are files of {launch.host}. Received: {socket.gethostname()}. There: "
            f"tail -F {folder}/*.log"
        )
    files = sorted(str(file) for file in folder.glob("*.log"))
    return tail(files, lines, follow) if files else iter(())


def stop_workers(engine: Engine, study: StoredStudy) -> list[str]:
    """Tell the engines of a stopped study; returns a line for each that could not be told."""
    behind = []
    for launch in launches.live_launches(engine, study.id):
        if launch.executor == "local":  # its workers read the study's state, and it ends with them
            continue
        try:
            order = read_order(launch.settings, launch.id)
            find_executor(launch.executor).stop(order, name_by_engine(launch))
            launches.end_launch(engine, launch.id)
        except (InvalidInput, InvalidRow) as error:
            behind.append(
                f"launch {launch.id} ({launch.executor} {launch.external_id}) is left to itself: {error}"
            )
    return behind


def launch_line(launch: Launch) -> str:
    """A launch as `status` shows it."""
    where = f"{launch.executor} {launch.external_id} from {launch.host}"
    return f"launch {launch.id}: workers wanted: {launch.workers}; {where}; logs: {logs_command(launch)}"


def launch_json(launch: Launch) -> PlacedLaunch:
    """A launch as `status --json` has it."""
    return {
        "launch": launch.id,
        "executor": launch.executor,
        "external_id": launch.external_id,
        "host": launch.host,
        "workers": launch.workers,
        "logs": logs_command(launch),
    }


def logs_command(launch: Launch) -> str:
    """The engine's own command that shows the logs."""
    if launch.executor == "local":
        return f"tail -F {launch.settings['logs']}/*.log"
    return find_executor(launch.executor).log_command(
        read_order(launch.settings, launch.id), name_by_engine(launch)
    )
