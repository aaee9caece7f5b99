"""Two machines share one Postgres: one loses its power, or its cable for a while, and no trial is lost or told twice.

A machine is a network namespace with an address and a host name of its own, and what reaches it is a cable that can be
pulled: packets vanish, no connection is closed.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from optselect.storage.server import embedded
from optselect.storage.server.database import EMBEDDED_DATABASE, Database
from tests.service.conftest import fresh_database
from tests.support.commands import Shell, await_that
from tests.support.forked import Forks, Started
from tests.support.homes import THROW_AWAY, throw_away_home
from tests.support.workplace import LEASE_SECONDS, Workplace, store_steady, workplace

pytestmark = pytest.mark.slow

COMPLETE = os.environ.get("OPTSELECT_TESTS") == "complete"  # then a missing package is a failure, not a skip
NETWORK = "198.18.0.0/15"  # kept for tests of networks: no real host has an address there


def can_make_machines() -> str:
    """Why machines cannot be made here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None:
        assert not COMPLETE, "a complete run needs Debian's package iproute2"
        return "network namespaces need Debian's package iproute2"
    probe = f"probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        return "this kernel or container allows no network namespaces"
    ip("netns", "del", probe)
    return ""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Machine:
    """A host beside this one, at the other end of a cable."""

    name: str
    cable: str  # our end of it
    server: str  # our address, as seen from there

    def pull(self) -> None:
        ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        ip("link", "set", self.cable, "up")


@contextlib.contextmanager
def machine(number: int) -> Iterator[Machine]:
    name, cable, net = f"os{number}-{os.getpid()}", f"os{number}-{os.getpid()}", f"198.18.{200 + number}"
    ip("netns", "add", name)
    try:
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{net}.1/30", "dev", cable)
        ip("link", "set", cable, "up")
        ip("-n", name, "addr", "add", f"{net}.2/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        yield Machine(name, cable, f"{net}.1")
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # it may not have come so far
            ip("link", "del", cable)
        ip("netns", "del", name)


# --- one server, two machines -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_home(prepared_cluster: Path) -> Iterator[Path]:
    """A home whose server listens to other machines too, as an administrator would let it."""
    if reason := can_make_machines():
        pytest.skip(reason)
    with throw_away_home(prepared=prepared_cluster) as home:
        data = embedded.server_state(home).data_directory
        assert data is not None
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("listen_addresses = '*'\n")
        with (data / "pg_hba.conf").open("a") as admitted:
            admitted.write(f"host all all {NETWORK} scram-sha-256\n")
        yield home


@pytest.fixture
def database(open_home: Path) -> Iterator[Database]:
    server = embedded.ensure_running(open_home, THROW_AWAY)
    with fresh_database(server, open_home, template=EMBEDDED_DATABASE) as database:
        yield database


@pytest.fixture
def here(forked: Forks, database: Database, tmp_path: Path) -> Iterator[Workplace]:
    store_steady(forked, database, tmp_path)
    with workplace(forked, database, tmp_path) as here:
        yield here


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    with machine(1) as first, machine(2) as second:
        yield first, second


def shell_on(machine: Machine, here: Workplace) -> Shell:
    """A shell there, with a home of its own: the database's address and its password are all that both share."""
    near = here.shell.environment
    far = {
        "OPTSELECT_STORAGE": near["OPTSELECT_STORAGE"].replace("127.0.0.1", machine.server),
        "OPTSELECT_HOME": str(here.shell.folder / machine.name),
        "OPTSELECT_LEASE_SECONDS": LEASE_SECONDS,
        "EPOCH_SECONDS": "0.3",
        "ON_MACHINE": machine.name,
    }
    home = here.shell.folder / machine.name
    return dataclasses.replace(here.shell, home=home, environment={**near, **far})


@contextlib.contextmanager
def worker_on(machine: Machine, here: Workplace) -> Iterator[Started]:
    with here.forks.start(shell_on(machine, here), "worker", "study") as started:
        yield started


def in_mid_trial(here: Workplace, machine: Machine) -> Callable[[], bool]:
    return lambda: bool(here.ask(MID_TRIAL, host=machine.name))


MID_TRIAL = """
    SELECT 1 FROM ticket t JOIN worker w ON w.id = t.worker_id
     WHERE w.host = :host AND t.state = 'leased' AND t.epochs BETWEEN 1 AND 8"""
SETTINGS = (
    "SELECT trial_number, params::text FROM ticket WHERE trial_number IS NOT NULL ORDER BY trial_number"
)
FINISHERS = "SELECT host FROM ticket t JOIN worker w ON w.id = t.worker_id ORDER BY ord"


@pytest.mark.timeout(300)
def test_a_machine_without_power_loses_no_trial_and_the_other_one_finishes(
    here: Workplace, machines: tuple[Machine, Machine]
) -> None:
    first, second = machines
    with worker_on(first, here) as doomed, worker_on(second, here) as other:
        await_that(in_mid_trial(here, first), "the first machine is in mid-trial")
        before = here.ask(SETTINGS)
        first.pull()  # first of all: a machine without power announces nothing
        doomed.signal(signal.SIGKILL)
        assert other.end() == 0, other.words()
    here.demand_whole()
    assert here.ask(SETTINGS)[: len(before)] == before
    assert here.ask(FINISHERS) == [(second.name,)] * 2


@pytest.mark.timeout(300)
def test_a_partition_longer_than_the_lease_ends_with_one_result_for_each_trial(
    here: Workplace, machines: tuple[Machine, Machine]
) -> None:
    first, second = machines
    with worker_on(first, here) as cut_off:
        await_that(in_mid_trial(here, first), "the first machine is in mid-trial")
        held = here.ask("SELECT id FROM ticket WHERE state = 'leased'")
        first.pull()
        with worker_on(second, here) as other:
            taken = "SELECT id FROM ticket WHERE state = 'leased' AND attempt = 2"
            await_that(lambda: here.ask(taken) == held, "the second machine goes on with its trial")
            first.plug()
            assert other.end() == 0, other.words()
        assert cut_off.end() == 0, cut_off.words()
    assert "now belongs to another worker" in cut_off.words()
    here.demand_whole()
    assert here.ask("SELECT count(*) FROM optuna.trials WHERE state = 'COMPLETE'") == [(2,)]
