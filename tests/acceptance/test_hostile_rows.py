"""Whoever writes the database does not own the machines that work for it: rows by SQL, workers as they are started."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Shell, query, shell, tell
from tests.support.forked import Ended, Forks
from tests.support.homes import throw_away_home

SMALL = (
    "--optimizers",
    "sgd",
    "--trials",
    "3",
    "--seeds",
    "0",
    "--goal",
    "best-config",
    "--workers",
    "0",
    "--in-process",
)
PROBLEM = """
import keras
import numpy as np

from helper import WIDTH

try:
    import stray
except ImportError:
    stray = None

def model():
    net = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse")
    return net

def data():
    x = np.load("numbers.npy")
    return (x[:30], x[:30, :1]), (x[30:], x[30:, :1])

fit = {"epochs": 2, "batch_size": 10}
"""
EVIL = """
import keras
from pathlib import Path
Path({mark!r}).touch()

class Foo(keras.optimizers.SGD):
    pass
"""
OWN = {"reference": "", "file": "", "parameters": {}, "takes_more": False, "search_space": None, "notes": []}


NAME_CHECKPOINTS = """
    INSERT INTO optselect.checkpoint(ticket_id, epoch, seconds, bytes, sha256, uri)
    SELECT t.id, 0, 0, 9, repeat('0', 64), %s FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE s.name = %s"""


@pytest.fixture(scope="module")
def own_home(prepared_cluster: Path) -> Iterator[Path]:
    with throw_away_home(prepared=prepared_cluster) as home:
        yield home


class Attacker:
    """Somebody who writes rows, and has a folder of files on this machine."""

    def __init__(self, here: Shell, forks: Forks, folder: Path) -> None:
        self.here, self.forks, self.folder, self.mark = here, forks, folder, folder / "it-ran"
        statement = "SELECT name, bundle_sha256, spec, problem FROM optselect.study ORDER BY id DESC LIMIT 1"
        self.name, self.listed, *self.first = query(here, statement)[0]

    def work(self, *arguments: str) -> Ended:
        """A worker that lists the source, with a working folder and a PYTHONPATH that hold code."""
        path = os.pathsep.join(["", ".", str(self.folder)])
        words = ("worker", self.name, "--only-bundles", self.listed, "--max-trials", "1", *arguments)
        return self.forks.run(self.here, *words, PYTHONPATH=path)

    def work_for_all(self) -> Ended:
        """A worker that trusts whatever the database holds."""
        return self.forks.run(self.here, "worker", self.name, "--max-trials", "1")

    def write(self, spec: dict[str, object] | None = None, problem: dict[str, object] | None = None) -> None:
        """The row as it was launched, but for this."""
        values = ({**self.first[0], **(spec or {})}, {**self.first[1], **(problem or {})})
        statement = "UPDATE optselect.study SET spec = %s, problem = %s WHERE name = %s"
        tell(self.here, statement, *map(json.dumps, values), self.name)

    def name_checkpoints(self, uri: str) -> None:
        """A checkpoint of every ticket, which lies there."""
        tell(self.here, NAME_CHECKPOINTS, uri, self.name)

    def bring(self, reference: str, file: str = "") -> None:
        """A class of the study's own."""
        name = reference.rpartition(":")[2]
        self.write(
            {"custom": {name: {"reference": reference, "required": []}}},
            {"optimizers": {name: {**OWN, "reference": reference, "file": file}}},
        )


@pytest.fixture
def attacker(own_home: Path, tmp_path: Path, forked: Forks) -> Iterator[Attacker]:
    """A launched study, and code in every place that a row may point to or an import may look into."""
    work, evil = tmp_path / "work", tmp_path / "evil"
    for folder in (work, evil):
        folder.mkdir()
        (folder / "net.py").write_text(PROBLEM)
        (folder / "helper.py").write_text("WIDTH = 3\n")
    here = shell(own_home, work)
    np.save(work / "numbers.npy", np.arange(120.0).reshape(40, 3) / 120)
    launched = forked.run(here, "launch", "net.py", "--name", tmp_path.name[-40:], *SMALL)
    assert launched.returncode == 0, launched.stderr
    for folder in (work, evil):
        for name in ("evil.py", "stray.py"):
            (folder / name).write_text(EVIL.format(mark=str(evil / "it-ran")))
    (evil / "evil.py").write_text(PROBLEM + EVIL.format(mark=str(evil / "it-ran")))
    np.save(evil / "numbers.npy", np.ones((40, 3)))
    attacker = Attacker(here, forked, evil)
    yield attacker
    tell(here, "DELETE FROM optselect.study WHERE name = %s", attacker.name)


def test_rows_make_a_worker_of_listed_sources_run_no_other_code(attacker: Attacker) -> None:
    evil = attacker.folder
    for reference in (f"{evil}/evil.py:Foo", "evil:Foo"):
        attacker.bring(reference)
        refused = attacker.work()
        assert (refused.returncode, attacker.mark.exists()) == (64, False), (reference, refused.stderr)

    attacker.write({"problem": f"{evil}/evil.py", "folder": str(evil)})
    attacker.name_checkpoints(f"{evil}/evil.npz")
    before = everything_in(evil)
    trained = attacker.work()
    assert trained.returncode == 0, trained.stderr
    assert "trial 0: complete" in trained.stderr and not attacker.mark.exists()
    assert everything_in(evil) == before, "what rows name as checkpoints stays where it is"

    attacker.write()
    trained = attacker.work_for_all()
    assert trained.returncode == 0, trained.stderr
    assert attacker.mark.exists(), "where all is trusted, the working folder's modules are found as before"


def test_a_study_whose_name_is_a_path_is_neither_deleted_nor_served(attacker: Attacker) -> None:
    evil, way = attacker.folder, os.path.relpath(attacker.folder, attacker.here.home / "logs")
    before = everything_in(evil)
    for name in (way, "--storage=x"):
        tell(attacker.here, "UPDATE optselect.study SET name = %s WHERE name = %s", name, attacker.name)
        attacker.name = name
        deleted = attacker.forks.run(attacker.here, "delete", "--yes", "--keep-curves", "--", name)
        assert (deleted.returncode, everything_in(evil)) == (2, before), deleted.stderr
        assert "The name of a stored study must begin with a letter or digit" in deleted.stderr
        served = attacker.forks.run(attacker.here, "worker", "--max-idle", "1")
        assert served.returncode == 0, served.stderr
        assert f"{name} is left to other machines. The name of a stored study must" in served.stderr


def everything_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("trusts", [True, False], ids=["listed", "all"])
def test_no_way_of_naming_a_file_or_a_module_leads_out_of_the_bundle(
    attacker: Attacker, trusts: bool
) -> None:
    evil = attacker.folder
    for name in ("evil.py", "stray.py"):
        (attacker.here.folder / name).unlink()  # found by whoever trusts all
    work = attacker.work if trusts else attacker.work_for_all
    for reference, file in (
        (f"{evil}/evil.py:Foo", ""),
        (f"{evil}/evil.py:Foo", "evil.py"),
        (f"{evil}/evil.py:Foo", f"{evil}/evil.py"),
        (f"{evil}/evil.py:Foo", "../../../evil.py"),
        (f"{evil}/evil.py:Foo", "helper.py"),
        ("subprocess:Popen", ""),
        ("keras:Model", ""),
        ("../evil:Foo", ""),
        (".evil:Foo", ""),
        ("evil/evil.py:Foo", ""),
        ("/:Foo", ""),
    ):
        attacker.bring(reference, file)
        refused = work()
        assert (refused.returncode, attacker.mark.exists()) == (64, False), (reference, file, refused.stderr)
        assert "a bug of ours" not in refused.stderr
    if not trusts:
        os.rename(attacker.here.folder / "net.py", attacker.here.folder / "gone")
    for path in ("evil.py", f"{evil}/evil.py", "..", "/", "helper.py/../evil.py"):
        attacker.write(problem={"path": path})
        refused = work()
        assert (refused.returncode, attacker.mark.exists()) == (64, False), (path, refused.stderr)
