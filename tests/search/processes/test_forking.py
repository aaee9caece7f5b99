"""A real zygote forks processes that load TensorFlow from it; however they or it die, nobody is left (no training)."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from optselect.search.describing.child import Describer
from optselect.search.processes.devices import Seat
from optselect.search.processes.forking import ForkedChild, Zygote, can_fork
from optselect.search.processes.local import Forks, Supervisor, training_environment, worker_slots, zygote_of
from optselect.trials.terms.errors import ProblemError

IS_FORK = 'b"optselect.search.cli.zygote" in pathlib.Path("/proc/self/cmdline").read_bytes()'
HANGS_AFTER_A_FORK = f"""
import pathlib, time
import tensorflow as tf
def hang(*given, **named):
    time.sleep(600)
if {IS_FORK}:
    tf.function = hang  # as its first operation may
else:
    raise ValueError("loaded by a spawned process")
def model():
    pass
def data():
    return tuple((tf.ones((2, 1)), tf.ones(2)) for _ in range(2))
"""
TAKES_ITS_TIME = f"""
import pathlib, time
time.sleep(1)
def model():
    time.sleep(2.5)
    raise ValueError("in a fork" if {IS_FORK} else "in another process")
def data():
    time.sleep(1)
    import numpy
    return tuple((numpy.ones((2, 1)), numpy.ones(2)) for _ in range(2))
"""

pytestmark = pytest.mark.skipif(not can_fork([]), reason="forks are made on Linux only")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = zygote_of("forking", {**os.environ, "CUDA_VISIBLE_DEVICES": ""}, ())
    assert zygote is not None
    yield zygote
    zygote.close()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes connections and never answers: a worker hangs there, long before it holds a ticket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://me@127.0.0.1:{server.getsockname()[1]}/nothing"


def hanging_worker(zygote: Zygote, address: str, folder: Path) -> ForkedChild:
    environment = {**os.environ, **training_environment(Seat(), os.getpid()), "OPTSELECT_STORAGE": address}
    environment["OPTSELECT_HOME"] = str(folder)
    child = zygote.fork(
        "worker", ["worker", "forking", "--slot", "7"], environment, folder / "log", name="hang-7"
    )
    await_that(
        lambda: child.poll() is None and child.process is not None and child.process.name() == "hang-7"
    )
    return child


def is_gone(child: ForkedChild) -> bool:
    """Whether its process has ended, whoever may have to reap it."""
    try:
        return child.process is not None and child.process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def await_that(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def supervised(supervisor: Supervisor, until: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        supervisor.poll()
        time.sleep(0.02)


EXIT_FILE = 'echo -n "$$ ends with 0" > "$OPTSELECT_EXIT_FILE"'


def team(folder: Path, forks: Forks, environment: dict[str, str]) -> Supervisor:
    """Whose spawned children say so and have nothing to do."""
    spawned = ["/bin/sh", "-c", f"echo spawned >> '{folder / 'spawned'}'; {EXIT_FILE}"]
    return Supervisor(
        spawned, environment, worker_slots(1, [], folder), lambda death: False, folder / "exit_files", forks
    )


def test_a_fork_ends_with_the_code_and_the_last_words_of_the_command(zygote: Zygote, tmp_path: Path) -> None:
    supervisor = team(tmp_path, Forks(zygote, ["worker", "--nonsense"]), dict(os.environ))
    supervised(supervisor, lambda: not supervisor.alive)
    assert supervisor.exit_code() == 64
    assert "No such option: --nonsense" in supervisor.last_lines()
    assert not (tmp_path / "spawned").exists()


def test_a_fork_that_hangs_is_ended_by_its_watchdog_with_the_place_in_its_log(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text(HANGS_AFTER_A_FORK)
    arguments = [str(tmp_path / "hangs.py"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(zygote, "watchdog_seconds", 0.5)
    child = zygote.fork("describe", arguments, os.environ, tmp_path / "log")
    assert child.wait() == 1
    assert 'hangs.py", line 5' in (tmp_path / "log").read_text()


def test_the_watchdog_leaves_the_users_code_all_its_time(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow.py").write_text(TAKES_ITS_TIME)
    monkeypatch.setattr(zygote, "watchdog_seconds", 2.0)  # on a busy machine our own steps take a second
    describer = Describer.start(tmp_path / "slow.py", zygote)
    with contextlib.closing(describer), pytest.raises(ProblemError, match="in a fork"):
        describer.result()


def test_what_a_fork_cannot_describe_a_spawned_process_does(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text(HANGS_AFTER_A_FORK)
    monkeypatch.setattr(zygote, "watchdog_seconds", 0.5)
    describer = Describer.start(tmp_path / "hangs.py", zygote)
    with pytest.raises(ProblemError, match="loaded by a spawned process"):
        describer.result()
    describer.close()


def test_after_a_crash_the_slot_is_spawned_and_after_a_kill_it_is_forked_again(
    zygote: Zygote, silent_server: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "OPTSELECT_STORAGE": silent_server, "OPTSELECT_HOME": str(tmp_path)}
    supervisor = team(tmp_path, Forks(zygote, ["worker", "forking"]), environment)
    (slot,) = supervisor.slots
    supervised(supervisor, lambda: slot.process is not None and slot.process.pid > 0)
    assert slot.process is not None
    first = slot.process.pid
    os.kill(first, signal.SIGKILL)
    supervised(supervisor, lambda: slot.process is not None and slot.process.pid not in (0, first))
    assert not (tmp_path / "spawned").exists()
    os.kill(slot.process.pid, signal.SIGABRT)
    supervised(supervisor, lambda: not supervisor.alive)
    assert (tmp_path / "spawned").read_text() == "spawned\n"


def test_a_child_that_nobody_wants_any_more_before_it_began_is_gone_at_once(
    zygote: Zygote, silent_server: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "OPTSELECT_STORAGE": silent_server, "OPTSELECT_HOME": str(tmp_path)}
    child = zygote.fork("worker", ["worker", "forking"], environment, tmp_path / "log")
    child.send_signal(signal.SIGTERM)
    assert child.poll() == -signal.SIGTERM
    # By now the zygote has answered for the first as well.
    other = hanging_worker(zygote, silent_server, tmp_path)
    assert child.process is not None
    await_that(lambda: is_gone(child))
    assert other.poll() is None
    other.send_signal(signal.SIGKILL)
    assert other.wait() == -signal.SIGKILL


def test_children_of_a_killed_zygote_leave_and_another_zygote_serves_the_next(
    zygote: Zygote, silent_server: str, tmp_path: Path
) -> None:
    child = hanging_worker(zygote, silent_server, tmp_path)
    assert child.process is not None
    parent = psutil.Process(child.process.ppid())
    assert not parent.net_connections()
    parent.kill()
    assert child.wait() == -signal.SIGKILL
    assert "the supervisor is gone; leaving" in (tmp_path / "log").read_text()
    assert zygote.usable

    second = hanging_worker(zygote, silent_server, tmp_path)
    assert second.process is not None and second.process.ppid() != parent.pid
    zygote.close()  # as when its supervisor is killed: its input ends
    await_that(lambda: is_gone(second))


def test_forks_are_made_on_linux_and_without_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_fork([])
    assert not can_fork([Seat("0")])
    assert zygote_of("forking", {}, [Seat("0")]) is None
    monkeypatch.setattr("sys.platform", "darwin")
    assert not can_fork([])


def test_no_password_stands_in_the_environment_of_a_zygote() -> None:
    zygote = zygote_of(
        "forking", {"OPTSELECT_STORAGE": "postgresql://me:secret@host/db", "PGPASSWORD": "secret"}, ()
    )
    assert zygote is not None
    assert "secret" not in str(zygote.environment)
