"""The supervisor keeps its children alive by the table of exit codes (real processes, no training)."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from optselect.search.processes import local
from optselect.search.processes.devices import Seat, Wish, seats
from optselect.search.processes.local import Action, Exit, Supervisor, after_exit, worker_slots
from tests.support.fake_nvml import machine


@pytest.mark.parametrize(
    ("end", "fast", "action"),
    [
        (Exit(0, 1.0, announced=True), 0, Action.CLOSE),
        (Exit(130, 1.0, announced=True), 0, Action.CLOSE),
        (Exit(64, 1.0, announced=True), 0, Action.FAIL),
        (Exit(75, 1.0, announced=True), 50, Action.RESTART),
        (Exit(-9, 60.0, announced=False), 0, Action.RESTART),
        (Exit(1, 1.0, announced=False), 3, Action.RESTART),
        (Exit(1, 1.0, announced=False), 4, Action.FAIL),
        (Exit(1, 1.0, announced=False, was_of_use=True), 4, Action.RESTART),
        (Exit(1, 60.0, announced=False), 4, Action.RESTART),
        *((Exit(code, 60.0, announced=False), 0, Action.RESTART) for code in (0, 64, 75, 130)),
        *((Exit(code, 1.0, announced=False), 4, Action.FAIL) for code in (0, 64, 75, 130)),
    ],
)
def test_what_follows_an_exit(end: Exit, fast: int, action: Action) -> None:
    assert after_exit(end, fast).action is action


def test_a_worker_that_wants_a_restart_within_seconds_waits_longer_each_time() -> None:
    pauses = [after_exit(Exit(75, 1.0, announced=True), fast).pause_seconds for fast in range(8)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == local.LONGEST_PAUSE_SECONDS


def team(tmp_path: Path, script: str, count: int = 1) -> Supervisor:
    return Supervisor(
        command=[sys.executable, "-c", script],
        environment=dict(os.environ),
        slots=worker_slots(count, [], tmp_path),
        on_death=lambda death: (tmp_path / "deaths").open("a").write(f"{death.cause}\n") == 0,
        exit_files=tmp_path / "exit_files",
    )


SAYS = "from optselect.search.processes.announced_exit import announce_exit; import os, sys; "
"""What a worker does at its end; see ends()."""


def ends(code: int) -> str:
    """The end of a worker that leaves by itself."""
    return f"{SAYS}announce_exit({code}); sys.exit({code})"


def run(supervisor: Supervisor, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while supervisor.alive and time.monotonic() < end:
        supervisor.poll()
        time.sleep(0.02)
    assert not supervisor.alive


def test_children_that_end_well_are_not_started_again(tmp_path: Path) -> None:
    script = f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); {ends(0)}"
    supervisor = team(tmp_path, script, count=2)
    run(supervisor)
    assert (tmp_path / "starts").read_text() == "xx"
    assert supervisor.exit_code() == 0


def test_a_killed_child_is_started_again_and_its_death_is_reported(tmp_path: Path) -> None:
    mark = tmp_path / "once"
    script = f"import os, pathlib; m = pathlib.Path({str(mark)!r}); m.exists() or (m.touch(), os.kill(os.getpid(), 9)); {ends(0)}"
    supervisor = team(tmp_path, script)
    run(supervisor)
    assert (
        tmp_path / "deaths"
    ).read_text() == "its process was killed (SIGKILL: by somebody, or for memory)\n"
    assert supervisor.exit_code() == 0


def test_a_misconfigured_child_is_not_started_again_and_its_last_words_are_kept(tmp_path: Path) -> None:
    supervisor = team(tmp_path, f"import sys; print('no such study', file=sys.stderr); {ends(64)}")
    run(supervisor)
    assert supervisor.exit_code() == 64
    assert supervisor.last_lines() == "no such study"


def test_more_and_fewer_children_are_kept_when_others_are_wanted(tmp_path: Path) -> None:
    mark = f"open({str(tmp_path / 'starts')!r}, 'a').write('x')"
    supervisor = team(tmp_path, f"import time; {mark}; time.sleep(60)", count=1)
    supervisor.poll()
    supervisor.resize(3, [], tmp_path)
    supervisor.poll()
    assert [(slot.number, slot.process is not None) for slot in supervisor.slots] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    while not (tmp_path / "starts").exists() or (tmp_path / "starts").read_text() != "xxx":
        time.sleep(0.02)
    supervisor.resize(1, [], tmp_path)
    while not supervisor.slots[1].closed or not supervisor.slots[2].closed:
        supervisor.poll()
        time.sleep(0.02)
    assert supervisor.slots[0].process is not None and not supervisor.slots[0].closed
    supervisor.stop()
    run(supervisor)
    assert (tmp_path / "starts").read_text() == "xxx", "nobody was started in place of those who left"


def test_a_supervisor_that_is_told_to_stop_lets_its_children_drain(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time, pathlib\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(tmp_path / 'drained')!r}).touch(), sys.exit(75)))\n"
        f"pathlib.Path({str(tmp_path / 'up')!r}).touch()\n"
        "time.sleep(60)"
    )
    supervisor = team(tmp_path, script)
    supervisor.poll()
    await_file(tmp_path / "up")
    supervisor.stop()
    run(supervisor)
    assert (tmp_path / "drained").exists()
    assert supervisor.exit_code() == 75


def test_a_child_that_does_not_leave_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    script = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'up')!r}).touch(); time.sleep(60)"
    )
    supervisor = team(tmp_path, script)
    supervisor.poll()
    await_file(tmp_path / "up")
    supervisor.stop(grace_seconds=0.3)
    run(supervisor)
    assert supervisor.slots[0].last_code == -signal.SIGKILL


def await_file(path: Path) -> None:
    end = time.monotonic() + 10
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists()


def test_slots_take_the_seats_in_turn(tmp_path: Path) -> None:
    one, other = Seat("a"), Seat("b", 500)
    assert [slot.seat for slot in worker_slots(3, [one, other], tmp_path)] == [one, other, one]
    assert [slot.seat for slot in worker_slots(2, [], tmp_path)] == [Seat(), Seat()]


PRINTS = f"import os, sys; print(*(os.environ.get(n) for n in sys.argv[1].split(',')), flush=True); {ends(0)}"


def test_each_process_is_started_on_its_own_device_by_uuid(tmp_path: Path) -> None:
    names = "CUDA_VISIBLE_DEVICES,CUDA_DEVICE_ORDER,OPTSELECT_GPU_MEGABYTES"
    own = seats(Wish("0,2", per_gpu=2), {}, machine("gpu,gpu,gpu"))
    supervisor = Supervisor(
        [sys.executable, "-c", PRINTS, names],
        dict(os.environ),
        worker_slots(4, own, tmp_path),
        lambda death: False,
        tmp_path / "exit_files",
    )
    run(supervisor)
    logs = [(tmp_path / f"worker-{number}.log").read_text().split() for number in range(4)]
    limit = str(own[0].most_megabytes)
    assert logs == [[f"GPU-{device}", "PCI_BUS_ID", limit] for device in (0, 0, 2, 2)]


@pytest.mark.parametrize("there", [True, False])
def test_a_lost_device_is_tried_again_only_while_it_is_there(tmp_path: Path, there: bool) -> None:
    script = (
        f"import sys; file = open({str(tmp_path / 'starts')!r}, 'a+'); file.write('x'); file.seek(0); "
        f"code = 0 if len(file.read()) > 1 else 70; {SAYS}announce_exit(code); sys.exit(code)"
    )
    supervisor = Supervisor(
        [sys.executable, "-c", script], dict(os.environ), worker_slots(1, [Seat("GPU-7")], tmp_path),
        lambda death: False, tmp_path / "exit_files", has_device=lambda device: there and device == "GPU-7",
    )  # fmt: skip
    run(supervisor)
    assert (tmp_path / "starts").read_text() == ("xx" if there else "x")
    assert supervisor.exit_code() == (0 if there else 70)


def test_a_child_that_ends_with_zero_and_no_farewell_has_died(tmp_path: Path) -> None:
    mark = tmp_path / "once"
    script = f"import os, pathlib; m = pathlib.Path({str(mark)!r}); m.exists() or (m.touch(), print('bye', flush=True), os._exit(0)); {ends(0)}"
    supervisor = team(tmp_path, script)
    run(supervisor)
    assert (tmp_path / "deaths").read_text() == "its process ended with code 0: bye\n"
    assert supervisor.exit_code() == 0


@pytest.mark.parametrize("code", [0, 64, 75, 130])
def test_a_code_of_the_contract_without_a_farewell_never_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(local, "MOST_FAST_CRASHES", 1)
    supervisor = team(tmp_path, f"import os; os._exit({code})")
    run(supervisor)
    assert supervisor.exit_code() == 1
    assert supervisor.last_lines() == f"its process ended with code {code}"


def test_deaths_that_are_of_use_are_no_crash_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST_FAST_CRASHES", 2)
    starts = tmp_path / "starts"
    script = (
        f"f = open({str(starts)!r}, 'a+'); f.write('x'); f.flush(); f.seek(0); n = len(f.read()); {SAYS}"
        "n < 4 and os._exit(3); announce_exit(0)"
    )
    supervisor = team(tmp_path, script)
    supervisor.on_death = lambda death: True
    run(supervisor)
    assert starts.read_text() == "xxxx"
    assert supervisor.exit_code() == 0
    supervisor = team(tmp_path, "import os; os._exit(3)")
    run(supervisor)
    assert supervisor.exit_code() == 3


def test_who_was_told_to_leave_from_outside_is_not_done(tmp_path: Path) -> None:
    supervisor = team(tmp_path, ends(130))
    run(supervisor)
    assert supervisor.exit_code() == 130
