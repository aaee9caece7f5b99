"""A real Ray cluster of three machines trains a study while its parts are killed, cut off and added: `make ray`.

A machine is a network namespace with processes, mounts, host name and Ray folder of its own, on one switch; without power
all its processes are gone at once. Needs root, Linux and `pip install '.[ray]'`. Not part of `pytest`:
a file of this name is run only when it is named.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from optselect.search.engines import placing
from optselect.search.engines.placing import Placement, scale, start_workers, stop_workers
from optselect.storage.records import launches, studies
from optselect.storage.server import embedded
from optselect.storage.server.database import EMBEDDED_DATABASE, Database, connect, make_engine
from tests.acceptance.test_two_machines import ip, open_home  # noqa: F401  a fixture
from tests.service.conftest import fresh_database
from tests.support import steady
from tests.support.commands import Shell
from tests.support.commands import await_that as await_truth
from tests.support.forked import Forks
from tests.support.homes import THROW_AWAY
from tests.support.workplace import shell_of

TRIALS, EPOCHS = 23, 20  # from 25 on trials are cut
TICKETS = TRIALS + 1  # and the user's own optimizer
NET = "198.18.210"
RAY = Path(sysconfig.get_path("scripts")) / "ray"
SWITCH = "osray"
QUICK = {  # a lost node is noticed after ten seconds, not 65
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


def lacking() -> Iterator[str]:
    """What the cluster needs of this machine and does not find, a line each."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield "root on Linux: run it by sudo"
    for tool, package in (("ip", "iproute2"), ("unshare", "util-linux"), ("mount", "mount")):
        if shutil.which(tool) is None:
            yield f"{tool} on PATH: install Debian's {package}"
    if not RAY.exists():
        yield "Ray in this environment: python -m pip install '.[test,ray]'"
    if shutil.disk_usage(tempfile.gettempdir()).free < 4 * 10**9:
        yield f"4 GB free for {tempfile.gettempdir()}: set TMPDIR to another folder"


if found := list(lacking()):
    pytest.exit("\n".join(f"needs {line}" for line in found), returncode=2)

POWER_ON = """
mount --make-rprivate /
mount --bind "$STATE" "$RAY_TMPDIR"
mount -t tmpfs -o size=1g tmpfs /dev/shm
hostname "$NODE"
exec "$@"
"""


@dataclass
class Cluster:
    """Machines on a switch, of which the first has Ray's head; PostgreSQL listens on the switch."""

    folder: Path
    environment: dict[str, str]
    nodes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def join(self, node: str, *resources: str) -> None:
        """A machine is switched on, and Ray started on it."""
        number = 10 + len(self.nodes)
        ip("netns", "add", node)
        ip("link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", node)
        ip("link", "set", node, "master", SWITCH, "up")
        ip("-n", node, "addr", "add", f"{NET}.{number}/24", "dev", "eth0")
        ip("-n", node, "link", "set", "eth0", "up")
        ip("-n", node, "link", "set", "lo", "up")
        state = self.folder / f"state-{node}"
        state.mkdir()
        role = (
            ["--head", "--port=6379", "--dashboard-host=0.0.0.0"]
            if not self.nodes
            else [f"--address={NET}.10:6379"]
        )
        words = [
            f"--node-ip-address={NET}.{number}",
            "--object-store-memory=100000000",
            "--block",
            *resources,
        ]
        own = ["unshare", "--pid", "--fork", "--mount", "--uts", "--mount-proc", "--kill-child"]
        with (self.folder / f"{node}.log").open("ab") as log:
            self.nodes[node] = subprocess.Popen(
                [
                    "ip",
                    "netns",
                    "exec",
                    node,
                    *own,
                    "bash",
                    "-ec",
                    POWER_ON,
                    node,
                    str(RAY),
                    "start",
                    *role,
                    *words,
                ],
                env={**self.environment, "NODE": node, "STATE": str(state)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def pull(self, node: str) -> None:
        ip("link", "set", node, "down")

    def plug(self, node: str) -> None:
        ip("link", "set", node, "up")

    def power_off(self, node: str) -> None:
        """All its processes are gone at once."""
        self.nodes[node].kill()

    def processes(self, node: str, words: str) -> list[psutil.Process]:
        """The living ones of a machine whose command line holds these words."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.Error):
                if words in " ".join(process.info["cmdline"] or []) and process.environ().get("NODE") == node:
                    found.append(process)
        return found

    def close(self) -> None:
        for node, process in self.nodes.items():
            process.kill()
            process.wait()
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("link", "del", node)
            ip("netns", "del", node)


def await_that(condition: Callable[[], object], what: str, seconds: float) -> None:
    await_truth(lambda: bool(condition()), what, seconds)


@pytest.fixture(scope="module")
def cluster(open_home: Path) -> Iterator[Cluster]:  # noqa: F811
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: Ray makes sockets below it
    folder.chmod(0o755)
    (folder / "ray").mkdir()
    own = {"RAY_TMPDIR": str(folder / "ray"), "HURRY_FILE": str(folder / "hurry"), "EPOCH_SECONDS": "1"}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPTSELECT_", "MLFLOW_"))
    }
    ip("link", "add", SWITCH, "type", "bridge")
    ip("addr", "add", f"{NET}.1/24", "dev", SWITCH)
    ip("link", "set", SWITCH, "up")
    made = Cluster(folder, {**kept, **QUICK, **own, "OPTSELECT_LEASE_SECONDS": "3", "PYTHONUNBUFFERED": "1"})
    try:
        made.join("head", "--num-cpus=1", "--num-gpus=1")
        await_that(lambda: takes_jobs(), "the head takes jobs", 120)
        made.join("first", "--num-cpus=1")
        yield made
    finally:
        made.close()
        ip("link", "del", SWITCH)
        shutil.rmtree(folder, ignore_errors=True)


def takes_jobs() -> bool:
    from ray.job_submission import JobSubmissionClient

    try:
        JobSubmissionClient(ADDRESS).list_jobs()
    except (ConnectionError, RuntimeError):
        return False
    return True


SUPERVISOR = "optselect worker study --slots 1"
ADDRESS = f"http://{NET}.10:8265"


@pytest.fixture
def database(open_home: Path) -> Iterator[Database]:  # noqa: F811
    """As all machines see it."""
    server = embedded.ensure_running(open_home, THROW_AWAY)
    with fresh_database(server, open_home, template=EMBEDDED_DATABASE) as database:
        yield replace(database, url=database.url.set(host=f"{NET}.1"))


@dataclass(frozen=True)
class Study:
    """A stored study, and the way to hand it to the cluster."""

    cluster: Cluster
    database: Database
    shell: Shell

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(connect(self.database.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def runs_on(self, node: str) -> bool:
        return bool(self.ask(MID_TRIAL, node))

    def launch(self, workers: int, gpus: float = 0.0, cpus: str = "1") -> launches.Launch:
        options = {
            "address": ADDRESS,
            "cpus": cpus,
            "python": sys.executable,
            "password-file": str(self.shell.folder / "password"),
            "home": str(self.cluster.folder / "ray" / "home"),  # each machine has its own there
        }
        engine = make_engine(self.database)
        study = studies.load_study(engine, "study")
        return start_workers(study, self.database, engine, None, workers, Placement("ray", gpus, options), ())


SPEC = f"""
problem = "steady.py"
name = "study"
optimizers = ["sgd"]
trials = {TRIALS}
epochs = {EPOCHS}
seeds = 0
goal = "best-config"

[space.SGD]
learning_rate = {{low = 1e-3, high = 1e-2, log = true}}  # none diverges
momentum = 0.0
nesterov = false
"""
MID_TRIAL = """
    SELECT 1 FROM optselect.ticket t JOIN optselect.worker w ON w.id = t.worker_id
     WHERE w.host = %s AND t.state = 'leased' AND t.lease_until > clock_timestamp() AND t.epochs > 1"""


@pytest.fixture
def study(cluster: Cluster, forked: Forks, database: Database, tmp_path: Path) -> Study:
    shutil.copy(steady.__file__, tmp_path)
    tmp_path.chmod(0o755)
    here = shell_of(database, tmp_path)
    (tmp_path / "study.toml").write_text(SPEC)
    stored = forked.run(here, "launch", "--spec", "study.toml", "--workers", "0", "--in-process")
    assert stored.returncode == 0, stored.stderr
    (cluster.folder / "hurry").unlink(missing_ok=True)
    return Study(cluster, database, here)


def test_a_study_survives_whatever_happens_to_its_cluster_with_an_exact_budget(
    study: Study,
) -> None:
    cluster = study.cluster
    launch = study.launch(workers=3)  # for which there is no room yet; and whoever submitted it is gone
    await_that(lambda: study.runs_on("head") and study.runs_on("first"), "both machines train", 120)
    cluster.join("second", "--num-cpus=2")

    (supervisor,) = cluster.processes("first", SUPERVISOR)
    killed = study.ask(WORKERS_OF, "first")
    # The task, of which the worker is a grandchild.
    psutil.Process(supervisor.ppid()).send_signal(signal.SIGKILL)
    await_that(
        lambda: len(study.ask(WORKERS)) > len(killed) + 2,
        "a worker is started in place of the killed one",
        60,
    )
    await_that(lambda: study.runs_on("second"), "the machine that joined trains", 120)

    await_that(lambda: study.runs_on("first"), "so does the one of the killed worker", 120)
    cluster.power_off("first")
    await_that(
        lambda: len(study.ask(WORKERS_OF, "second")) > 1,
        "the work of the lost machine goes on elsewhere",
        120,
    )

    await_that(
        lambda: study.runs_on("second") and not study.ask(WORN, "second"),
        "a trial is in its middle, of those that two lost workers did not have before: a third loss fails it",
        120,
    )
    held = study.ask(HELD_BY, "second")
    cluster.pull("second")
    await_that(lambda: study.ask(TAKEN_FROM_SECOND, held[0][0]), "its trial goes on elsewhere", 60)
    cluster.plug("second")

    (cluster.folder / "hurry").touch()
    local = study.shell.start("worker", "study", "--slots", "1")  # a mixed fleet
    words = local.communicate(timeout=120)[1]
    assert local.returncode == 0, words
    await_that(
        lambda: study.ask("SELECT 1 FROM optselect.launch WHERE executor = 'ray' AND ended_at IS NOT NULL"),
        "the job ends with the study",
        60,
    )
    demand_whole(study)

    shown = "\n".join(placing.read_logs("study", launch.id, 1000, False, make_engine(study.database)))
    assert "complete val_loss" in shown and "ended with 0" in shown


WORKERS = "SELECT id FROM optselect.worker"
WORKERS_OF = f"{WORKERS} WHERE host = %s"
HELD_BY = """
    SELECT t.id FROM optselect.ticket t JOIN optselect.worker w ON w.id = t.worker_id
     WHERE w.host = %s AND t.state = 'leased'"""
WORN = f"{HELD_BY} AND t.attempt > 2"
TAKEN_FROM_SECOND = """
    SELECT 1 FROM optselect.ticket t JOIN optselect.worker w ON w.id = t.worker_id
     WHERE t.id = %s AND w.host <> 'second'"""


def demand_whole(study: Study) -> None:
    """As many complete trials as were asked for, each with each epoch once."""
    assert study.ask("SELECT state FROM optselect.study") == [("finished",)]
    ended = study.ask("SELECT outcome, epochs FROM optselect.ticket")
    assert ended == [("complete", EPOCHS)] * TICKETS
    told = study.ask("SELECT count(*) FROM optuna.trials WHERE state = 'COMPLETE'")
    assert told == [(TICKETS,)]
    curves = study.ask("SELECT array_agg(epoch ORDER BY epoch) FROM optselect.epoch_log GROUP BY ticket_id")
    assert curves == [(list(range(1, EPOCHS + 1)),)] * TICKETS


def test_two_workers_share_a_gpu_and_are_scaled_and_stopped(study: Study) -> None:
    cluster = study.cluster
    engine = make_engine(study.database)
    study.launch(workers=1, gpus=0.5, cpus="0.5")
    await_that(lambda: cluster.processes("head", SUPERVISOR), "a worker is supervised", 120)
    scale("study", 2, None, engine, study.database.home)
    await_that(lambda: len(cluster.processes("head", SUPERVISOR)) == 2, "there is another one", 120)
    devices = {process.environ()["CUDA_VISIBLE_DEVICES"] for process in cluster.processes("head", SUPERVISOR)}
    assert devices == {"0"}
    password = str(study.database.url.password)
    seen = [str(p.cmdline()) + str(p.environ()) for p in cluster.processes("head", "")]
    assert len(seen) > 5 and not [text for text in seen if password in text]

    scale("study", 1, None, engine, study.database.home)
    await_that(lambda: len(cluster.processes("head", SUPERVISOR)) == 1, "one of them has drained", 120)
    stored = studies.load_study(engine, "study")
    studies.order_state(engine, stored.id, "stopped")
    assert stop_workers(engine, stored) == []
    assert not cluster.processes("head", SUPERVISOR)
    assert launches.live_launches(engine, stored.id) == []
