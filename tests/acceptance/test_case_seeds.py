"""Seeds that change nothing give no verdict, and a file that model() reads is never another one half-way."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Shell
from tests.support.forked import Ended, Forks

CASES = Path(__file__).parent / "cases"
ONE_TRIAL = ("--optimizers", "sgd", "--trials", "1", "--seeds", "0", "--in-process")


def bring(here: Shell, name: str) -> str:
    """Copy a case into the shell's folder; returns its file's name."""
    shutil.copy(CASES / f"{name}.py", here.folder)
    return f"{name}.py"


def refused(ended: Ended, code: int, words: str) -> None:
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("optselect: "))
    assert ended.returncode == code and re.search(words, line), ended.stderr


def test_runs_that_no_seed_changes_are_one_run_and_give_no_verdict(at_home: Shell, forked: Forks) -> None:
    file = bring(at_home, "seed_in_model")
    launched = forked.run(
        at_home, "launch", file, "--optimizers", "adam", "--trials", "1", "--epochs", "1", "--in-process"
    )
    assert launched.returncode == 0, launched.stderr
    assert "note: Seeds change nothing: " in launched.stderr
    sentence = (
        "No verdict: the runs of your present optimizer on 5 seeds are one and the same run, and so are those"
    )
    assert sentence in " ".join(launched.stdout.split()) and "lost on" not in launched.stdout
    told = forked.json(at_home, "report", "seed_in_model")
    assert told["outcome"] is None and told["answer"].startswith(sentence)
    page = forked.run(at_home, "report", "seed_in_model", "--html", "page.html")
    refused(page, 2, "one and the same run")
    assert not (at_home.folder / "page.html").exists()


def test_a_changed_file_is_refused_by_name_on_launch_resume_and_worker(at_home: Shell, forked: Forks) -> None:
    file, base = bring(at_home, "pretrained"), at_home.folder / "base.weights.h5"
    assert forked.run_script(at_home, file).returncode == 0
    launched = forked.run(at_home, "launch", file, *ONE_TRIAL)
    assert launched.returncode == 0 and "note: Seeds" not in launched.stderr, launched.stderr
    assert forked.run_script(at_home, file).returncode == 0  # another base
    changed = (
        r"base\.weights\.h5 must be the file .*sha256 .*Received: /.*sha256 .*launch under another --name"
    )
    refused(forked.run(at_home, "launch", file, *ONE_TRIAL), 2, changed)
    more = ("resume", "pretrained", "--trials", "+1")
    refused(forked.run(at_home, *more), 2, changed)
    assert forked.run(at_home, *more, "--workers", "0").returncode == 0, "others train"
    refused(forked.run(at_home, "worker", "pretrained"), 64, changed)
    other = base.rename(base.with_name("other"))
    (at_home.folder / file).rename(at_home.folder / "pretrained.txt")  # the bundle is unpacked
    refused(
        forked.run(at_home, "worker", "pretrained"), 64, r"base\.weights\.h5 .*no such file in /.*bundles"
    )
    other.rename(base)
    used = forked.run(at_home, "worker", "pretrained", "--use-local")
    assert used.returncode == 0, used.stderr
    assert forked.json(at_home, "status", "pretrained")["state"] == "finished"


@pytest.mark.slow
def test_other_weights_are_noticed_where_no_file_was_seen(at_home: Shell, forked: Forks) -> None:
    file, kernel = bring(at_home, "weights_by_tensorflow"), at_home.folder / "kernel.bin"
    kernel.write_bytes(np.array([0.5, -1.0, 2.0], "float32").tobytes())
    launched = forked.run(at_home, "launch", file, *ONE_TRIAL)
    assert launched.returncode == 0 and "note: Seeds change nothing" in launched.stderr
    assert forked.run(at_home, "launch", file, *ONE_TRIAL).returncode == 0, "the same once more"
    kernel.write_bytes(np.array([0.5, -1.0, 2.001], "float32").tobytes())
    others = r"must begin with the weights that it was launched with\. Received: others in .*kernel"
    refused(forked.run(at_home, "launch", file, *ONE_TRIAL), 2, others)
    more = ("resume", "weights_by_tensorflow", "--trials", "+1")
    refused(forked.run(at_home, *more), 2, others)
    assert forked.run(at_home, *more, "--workers", "0").returncode == 0
    refused(forked.run(at_home, "worker", "weights_by_tensorflow"), 64, "others in .*kernel")
