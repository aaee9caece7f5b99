"""Does a study survive whatever dies, at whatever moment? Four workers, random kills, and equality at the end.

    python -m tests.acceptance.chaos --runs 100        (make chaos RUNS=100)

A run kills training processes and supervisors by kill -9, restarts Postgres as a crash does, lets it take no writes
for a while as in a failover, and takes MLflow away for a while; trainings end their own processes, and eat the memory
of their control group where this machine lets one be made: in an order and at moments that follow from its seed, which it prints. Then every trial must be what it is in a
study that nobody disturbed, to the last bit, in Postgres and in MLflow. A long run begins with a study whose one
optimizer always kills its process.
"""

import argparse
import contextlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

from optselect.storage.errors import Unreachable
from optselect.storage.records.overview import ENDED
from optselect.storage.server import embedded
from tests.service.conftest import execute
from tests.support import deadly, steady
from tests.support.commands import Shell, await_that, kill_at_once, query, shell
from tests.support.control_groups import Group, limited_group
from tests.support.forked import Forks, forks
from tests.support.homes import THROW_AWAY, prepare_cluster, throw_away_home

# With the user's own optimizer twelve, all planned with the study: nothing is proposed, equal numbers.
TRIALS, EPOCHS = 11, 30
SUPERVISORS, SLOTS = 2, 2
FLAGS = (
    "--sampler",
    "tpe",
    "--optimizers",
    "sgd,adam",
    "--trials",
    str(TRIALS),
    "--epochs",
    str(EPOCHS),
    "--seeds",
    "0",
)
KINDS = ("trainer", "supervisor", "postgres", "mlflow", "failover")
OWN_DEATHS = ("death", "memory")
"""Trainings that end their own processes; a third one might be the end of its optimizer."""
MEMORY_BYTES = 6_000_000_000
"""Of a supervisor and its processes, where a group can be made."""
DEADLY = ("--optimizers", "sgd,rmsprop", "--trials", "8", "--seeds", "0", "--workers", "2")
SHORT = ("trainer", "death", "supervisor", "trainer", "postgres", "mlflow", "trainer")
MLFLOW_AWAY_SECONDS = 4.0
FAILOVER_SECONDS = (2.0, 12.0)  # up to two leases
LONGEST_PAUSE_SECONDS = 3.0
Points = list[tuple[int, int, str]]
SLOW_EPOCH_SECONDS = "0.5"  # while the chaos lasts, so that trials are hit in their middle


# --- a run --------------------------------------------------------------------------------------------


@dataclass
class Chaos:
    """One study with its supervisors, and what was seen of its trials on the way."""

    forked: Forks
    here: Shell
    study: str
    seed: int
    supervisors: list[subprocess.Popen[str]] = field(default_factory=list)
    seen: dict[int, Any] = field(default_factory=dict)  # settings by trial number, at first sight
    done: list[str] = field(default_factory=list)
    group: Group | None = None  # with a limit of memory, for the supervisors

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def run(self, events: tuple[str, ...]) -> None:
        """Disturb the study, let it end, and leave its curves in MLflow."""
        self.store()
        try:
            for _ in range(SUPERVISORS):
                self.start_supervisor()
            for event in self.random.sample(events, len(events)):
                self.await_trainer()
                time.sleep(self.random.uniform(0.0, LONGEST_PAUSE_SECONDS))
                self.happen(event)
            self.hurry.touch()
            await_that(self.is_finished, f"the study ends (seed {self.seed}, {self.done})", 240)
        finally:
            for supervisor in self.supervisors:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    supervisor.wait(60)
                supervisor.kill()
        resumed = self.forked.run(self.here, "resume", self.study)  # sends what MLflow still lacks
        assert resumed.returncode == 0, resumed.stderr

    @property
    def hurry(self) -> Path:
        return self.here.folder / f"hurry-{self.study}"

    @property
    def death(self) -> Path:
        return self.here.folder / f"death-{self.study}"

    def store(self) -> None:
        stored = self.forked.run(
            self.here, "launch", "steady.py", "--name", self.study, *FLAGS, "--workers", "0", "--in-process"
        )
        assert stored.returncode == 0, stored.stderr
        # Kills at random may hit one trial more often than a study forgives.
        change(self.here, "UPDATE optselect.ticket SET max_attempts = 1000")

    def start_supervisor(self) -> None:
        settings = {"EPOCH_SECONDS": SLOW_EPOCH_SECONDS, "HURRY_FILE": str(self.hurry)}
        settings["DEATH_FILE"] = str(self.death)
        with (self.here.folder / f"supervisor-{self.study}-{len(self.supervisors)}.log").open("w") as log:
            self.supervisors.append(
                subprocess.Popen(
                    self.here.command(("worker", self.study, "--slots", str(SLOTS))),
                    cwd=self.here.folder,
                    env={**self.here.environment, **settings, "OPTSELECT_LEASE_SECONDS": "6"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    text=True,
                )
            )
        if self.group is not None:
            self.group.take(self.supervisors[-1].pid)

    def await_trainer(self) -> None:
        """Until a trial is under way; a supervisor that gave up is replaced."""

        def trains() -> bool:
            self.look()
            if all(supervisor.poll() is not None for supervisor in self.supervisors):
                self.start_supervisor()
            return answers(self.here, UNDER_WAY, self.study) or self.is_finished()

        await_that(trains, f"a trial is under way (seed {self.seed}, {self.done})", 180)

    def is_finished(self) -> bool:
        self.look()
        if all(supervisor.poll() is not None for supervisor in self.supervisors):
            self.start_supervisor()
        return answers(self.here, FINISHED, self.study)

    def look(self) -> None:
        """Note the settings of every trial that is there; none may ever change."""
        with contextlib.suppress(Unreachable):
            for number, params in query(self.here, SETTINGS, self.study):
                assert self.seen.setdefault(number, params) == params, f"trial {number}, seed {self.seed}"

    # --- what happens ---

    def happen(self, event: str) -> None:
        happening: dict[str, Callable[[], None]] = {
            "trainer": self.kill_a_trainer,
            "supervisor": self.kill_a_supervisor,
            "postgres": self.crash_postgres,
            "mlflow": self.take_mlflow_away,
            "failover": self.take_no_writes,
            "death": self.let_a_trainer_end_itself,
            "memory": lambda: self.order_death("memory"),
        }
        happening[event]()
        self.done.append(event)

    def kill_a_trainer(self) -> None:
        trainers = self.here.training_processes(self.study)
        if trainers:
            with contextlib.suppress(psutil.NoSuchProcess):
                kill_at_once(self.random.choice(trainers))

    def let_a_trainer_end_itself(self) -> None:
        self.order_death(self.random.choice(("exit", "signal")))

    def order_death(self, how: str) -> None:
        """Whichever training ends an epoch first dies of it."""
        whole = self.death.with_suffix(".part")
        whole.write_text(how)
        whole.rename(self.death)

        def is_obeyed() -> bool:
            return not self.death.exists() or self.is_finished()

        await_that(is_obeyed, f"a trainer ends itself by {how} (seed {self.seed}, {self.done})", 180)

    def kill_a_supervisor(self) -> None:
        living = [supervisor for supervisor in self.supervisors if supervisor.poll() is None]
        if living:
            self.random.choice(living).kill()
        self.start_supervisor()

    def crash_postgres(self) -> None:
        """SIGQUIT: its processes end at once, and the next start recovers from the log."""
        data = embedded.server_state(self.here.home).data_directory
        assert data is not None
        postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(60)
        time.sleep(self.random.uniform(0.0, LONGEST_PAUSE_SECONDS))
        embedded.ensure_running(self.here.home, THROW_AWAY)

    def take_no_writes(self) -> None:
        """For a while the server can only be read, on open connections, too; MLflow's database as well."""
        for order in ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"):
            change(self.here, f"ALTER SYSTEM {order}")
            change(self.here, "SELECT pg_reload_conf()")
            time.sleep(self.random.uniform(*FAILOVER_SECONDS) if order.startswith("SET") else 0.0)

    def take_mlflow_away(self) -> None:
        """Nobody gets into its database, and whoever is in is thrown out."""
        change(self.here, "ALTER DATABASE mlflow ALLOW_CONNECTIONS false")
        change(self.here, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'mlflow'")
        time.sleep(MLFLOW_AWAY_SECONDS)
        change(self.here, "ALTER DATABASE mlflow ALLOW_CONNECTIONS true")


def change(here: Shell, statement: str) -> None:
    server = embedded.ensure_running(here.home, THROW_AWAY)
    execute(server.set(database="optselect"), statement)


def answers(here: Shell, statement: str, study: str) -> bool:
    """Whether a statement counts anything; False while Postgres is away."""
    with contextlib.suppress(Unreachable):
        return bool(query(here, statement, study)[0][0])
    return False


# --- equality -----------------------------------------------------------------------------------------


def demand_equal(chaos: Chaos, undisturbed: str) -> None:
    """Budget, rows, points, parameters and every number; raises AssertionError with the seed."""
    here, study, told = chaos.here, chaos.study, f"seed {chaos.seed}: {', '.join(chaos.done)}"
    assert chaos.forked.json(here, "status", study)["set_aside"] == {}, told
    curves, wanted = curves_of(here, study), curves_of(here, undisturbed)
    assert len(curves) == TRIALS + 1, told
    assert curves == wanted, told
    numbers = {number: ord_ for number, ord_ in query(here, NUMBERS, study)}
    assert sorted(numbers.values()) == sorted(curves), told
    states = dict(query(here, OPTUNA_STATES, study))
    ended = {states.pop(number) for number in numbers}  # a diverged one is PRUNED for Optuna
    assert ended <= {"COMPLETE", "PRUNED"}, told
    assert set(states.values()) <= {"FAIL"}, f"{told}: trials of killed workers are not told FAIL: {states}"
    settings = dict(query(here, SETTINGS, study))
    assert all(settings[number] == params for number, params in chaos.seen.items() if number in numbers), told
    sent, kept = points_of(here, chaos.forked, study, numbers), points_of_curves(here, study)
    assert sent == kept, told


def curves_of(here: Shell, study: str) -> dict[int, Any]:
    """Settings, outcome, value and the whole curve of each ticket, by its place in the plan; some diverge early."""
    rows = query(here, CURVES, study)
    for ord_, epochs, numbers, *_ in rows:
        assert epochs > 0 and numbers == list(range(1, epochs + 1)), (
            f"one row for each epoch of ticket {ord_}"
        )
    return {row[0]: row[1:] for row in rows}


def points_of_curves(here: Shell, study: str) -> dict[int, Points]:
    """What MLflow must hold of each ticket: one point for each row, with its time."""
    found: dict[int, Points] = {}
    for ord_, epoch, ts_ms, value in query(here, POINTS, study):
        found.setdefault(ord_, []).append((epoch, ts_ms, shown(float(value))))
    return found


def points_of(here: Shell, forked: Forks, study: str, numbers: dict[int, int]) -> dict[int, Points]:
    address = forked.run(here, "db", "url", "--show-password", "--mlflow").stdout.strip()
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(f"optselect/{study}")
    assert experiment is not None
    runs: list[Run] = list(client.search_runs([experiment.experiment_id]))
    assert len(runs) == TRIALS + 1, "one run for each trial"
    assert {run.info.status for run in runs} == {"FINISHED"}
    return {
        numbers[int(run.data.tags["optselect.trial"])]: sorted(
            (point.step, point.timestamp, shown(point.value))
            for point in client.get_metric_history(run.info.run_id, "val_loss")
        )
        for run in runs
    }


def shown(value: float) -> str:
    """To the last bit; MLflow, whose charts an infinity would ruin, gets NaN in its place."""
    return repr(value) if math.isfinite(value) else "not finite"


OF_STUDY = "FROM optselect.ticket t JOIN optselect.study s ON s.id = t.study_id"
UNDER_WAY = f"""
    SELECT count(*) {OF_STUDY} WHERE name = %s AND t.state = 'leased' AND lease_until > clock_timestamp() AND t.epochs > 0"""
FINISHED = "SELECT count(*) FROM optselect.study WHERE name = %s AND state = 'finished'"
NUMBERS = f"SELECT trial_number, ord {OF_STUDY} WHERE name = %s AND t.state = 'done'"
CURVES = f"""
    SELECT ord, t.epochs, (SELECT array_agg(epoch ORDER BY epoch) FROM optselect.epoch_log WHERE ticket_id = t.id),
           t.params, t.outcome, t.trial_value, t.seed,
           (SELECT array_agg(metrics ORDER BY epoch) FROM optselect.epoch_log WHERE ticket_id = t.id)
      {OF_STUDY} WHERE name = %s"""
POINTS = f"""
    SELECT ord, epoch, ts_ms, metrics ->> 'val_loss' {OF_STUDY} JOIN optselect.epoch_log e ON e.ticket_id = t.id
     WHERE name = %s ORDER BY ord, epoch"""
SETTINGS = """
    SELECT number, (SELECT json_object_agg(param_name, param_value ORDER BY param_name)::text
                      FROM optuna.trial_params p WHERE p.trial_id = t.trial_id)
      FROM optuna.trials t JOIN optuna.studies s ON s.study_id = t.study_id WHERE study_name = %s
       AND EXISTS (SELECT FROM optselect.ticket WHERE ticket.trial_id = t.trial_id AND ticket.params IS NOT NULL)"""
OPTUNA_STATES = """
    SELECT number, t.state::text FROM optuna.trials t JOIN optuna.studies s ON s.study_id = t.study_id
     WHERE study_name = %s"""


# --- one after the other ------------------------------------------------------------------------------


def train_undisturbed(forked: Forks, here: Shell) -> str:
    """The same study in one process, without a pause; returns its name."""
    shutil.copy(steady.__file__, here.folder)
    done = forked.run(here, "launch", "steady.py", "--name", "undisturbed", *FLAGS, "--in-process")
    assert done.returncode == 0, done.stderr
    return "undisturbed"


def survive(
    forked: Forks, here: Shell, study: str, seed: int, undisturbed: str, events: tuple[str, ...]
) -> Chaos:
    with limited_group(f"optselect-{study}", MEMORY_BYTES) as group:
        if isinstance(group, str):
            print(f"(without the event memory: {group})", end=" ", flush=True)
            events = tuple(event for event in events if event != "memory")
        chaos = Chaos(forked, here, study, seed, group=group if isinstance(group, Group) else None)
        chaos.run(events)
    demand_equal(chaos, undisturbed)
    return chaos


def random_events(seed: int) -> tuple[str, ...]:
    """What happens in a long run: each kind once, and more of it."""
    chosen = random.Random(seed).choices(KINDS, (6, 2, 1, 1, 1), k=5)
    return (*KINDS, *OWN_DEATHS, *chosen)


def demand_set_aside(here: Shell) -> None:
    """One optimizer kills its process each time: it is set aside, the other one has all the budget."""
    shutil.copy(deadly.__file__, here.folder)
    done = here.run(
        "launch", "deadly.py", "--name", "deadly", *DEADLY, "--json", KILLS="RMSprop", HOW="SIGSEGV"
    )
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert "SIGSEGV" in status["set_aside"]["RMSprop"], status
    counts = status["by_optimizer"]
    searched = {name: sum(counts[name][state] for state in ENDED) for name in ("SGD", "RMSprop")}
    assert sum(searched.values()) == 8 and searched["RMSprop"] <= 2, searched
    print("an optimizer that kills its process is set aside", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.chaos")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="of the first run; the next ones follow it")
    asked = parser.parse_args()
    first = random.randrange(10**6) if asked.seed is None else asked.seed
    with a_home() as home, tempfile.TemporaryDirectory() as folder, forks() as forked:
        here = shell(home, Path(folder))
        demand_set_aside(here)
        undisturbed = train_undisturbed(forked, here)
        for run in range(asked.runs):
            began, seed = time.monotonic(), first + run
            print(f"run {run + 1} of {asked.runs}, seed {seed}:", end=" ", flush=True)
            chaos = survive(forked, here, f"chaos-{run}", seed, undisturbed, random_events(seed))
            print(f"{', '.join(chaos.done)}: equal after {time.monotonic() - began:.0f} s", flush=True)


@contextlib.contextmanager
def a_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        prepare_cluster(Path(name) / "prepared")
        with throw_away_home(prepared=Path(name) / "prepared") as home:
            yield home


if __name__ == "__main__":
    main()
