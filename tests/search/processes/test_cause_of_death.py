"""Why a process has died, and whether what it trained did it, is read from its end and the end of its log."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from optselect.search.processes.cause_of_death import Ended, cause_of_death, is_own_doing, telling_line
from optselect.search.processes.memory_kills import Kills, resident_bytes

BEGUN = "12:00:00 INFO trial 4: SGD(learning_rate=0.1), seed 1, attempt 2"


@pytest.mark.parametrize(
    ("ended", "own"),
    [
        (Ended(0), True),
        (Ended(64), True),
        (Ended(-signal.SIGSEGV), True),
        (Ended(-signal.SIGABRT), True),
        (Ended(-signal.SIGKILL), False),
        (Ended(-signal.SIGTERM), False),
        (Ended(-signal.SIGINT), False),
        (Ended(-signal.SIGKILL, "", True, 3_000, 1_000), True),
        (Ended(-signal.SIGKILL, "", True, 1_100, 1_000), False),
        (Ended(-signal.SIGKILL, "", True, 1_000, 3_000), False),
    ],
)
def test_whose_doing_a_death_is(ended: Ended, own: bool) -> None:
    assert is_own_doing(ended) is own


def test_the_last_words_are_those_of_the_last_trial_and_not_the_workers_own() -> None:
    log = [
        "E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit",
        "said by trial 3",
        BEGUN,
        "W0000 00:00:17:00 a remark of TensorFlow's",
        "12:00:01 INFO trained by step 2 of 4: why",
    ]
    assert telling_line("\n".join(log)) == ""
    assert (
        telling_line("\n".join([*log, "terminate called", "12:00:02 INFO it goes on", ""]))
        == "terminate called"
    )
    assert telling_line("") == ""


def test_a_real_signal_is_told_with_the_line_of_the_users_code(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("import faulthandler, os\nfaulthandler.enable()\ndef step():\n    os.abort()\nstep()\n")
    done = subprocess.run([sys.executable, str(script)], stderr=subprocess.PIPE, text=True, check=False)
    ended = Ended(done.returncode, telling_line(f"{BEGUN}\n{done.stderr}"))
    assert cause_of_death(ended) == "its process was killed (SIGABRT): Aborted (mine.py, line 4, in step)"


def test_what_a_library_says_before_a_signal_is_the_reason() -> None:
    dump = 'Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n  File "/v/site-packages/k.py", line 9 in run\n'
    mine = '  File "/home/ann/mine.py", line 3 in update_step\n\nExtension modules: numpy (total: 1)\n'
    assert (
        telling_line(f"{BEGUN}\ncheck failed: n > 0\n{dump}{mine}")
        == "check failed: n > 0 (mine.py, line 3, in update_step)"
    )


def test_a_kill_for_memory_is_told_by_the_count_of_the_first_group_that_has_one(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 1\noom_kill 1\n")
    kills = Kills((tmp_path / "none", counter))
    assert not kills.has_risen()
    counter.write_text("low 0\noom 2\noom_kill 2\n")
    assert kills.has_risen()
    assert not kills.has_risen()


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert resident_bytes(0) == 0
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert resident_bytes(done.pid) == 0
