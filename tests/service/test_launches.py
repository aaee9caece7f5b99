"""A launch is a row that any machine can go on with; SLURM's programs are stand-ins that really run the script."""

import contextlib
import dataclasses
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, text

from optselect.search.engines import placing
from optselect.search.engines.placing import (
    Placement,
    preview,
    read_placement,
    scale,
    scaled_line,
    start_workers,
    stop_workers,
)
from optselect.search.errors import InvalidInput
from optselect.search.processes.own_launch import PLACED_BY, announced_launch
from optselect.storage.errors import InvalidRow, NotFound
from optselect.storage.records import launches
from optselect.storage.records.launches import Launch
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Database, without_password
from tests.search.engines.test_slurm import STUB
from tests.support import fake_slurm
from tests.support.fake_slurm import state_of


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A SLURM of which the third task and all later ones wait, and a worker that stays until SIGTERM."""

    folder: Path
    database: Database
    engine: Engine
    study: StoredStudy

    def launch(self, workers: int) -> Launch:
        options = {"python": str(self.folder / "worker"), "logs": str(self.folder / "logs")}
        placement = Placement("slurm", options=options)
        return start_workers(self.study, self.database, self.engine, None, workers, placement, ())

    def tasks(self) -> dict[str, str]:
        return {task.name: state_of(task) for task in (self.folder / "state").glob("*_*")}

    def processes(self) -> list[psutil.Process]:
        pids = [int(file.read_text()) for file in (self.folder / "state").glob("*_*/pid")]
        found: list[psutil.Process] = []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end at any moment
                process = psutil.Process(pid)
                found += [process, *process.children(recursive=True)]
        return found

    def await_tasks(self, **states: str) -> None:
        await_that(lambda: {name: self.tasks()[name[1:]] for name in states} == states)


def await_that(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def cluster(
    tmp_path: Path,
    initialised_database: Database,
    engine: Engine,
    study: StoredStudy,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cluster]:
    for name, value in {**fake_slurm.install(tmp_path), "WAIT_FROM": "2"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "codes").write_text("stay\n" * 9)
    (tmp_path / "worker").write_text(STUB)
    (tmp_path / "worker").chmod(0o755)
    database = dataclasses.replace(initialised_database, home=tmp_path / "home")
    here = Cluster(tmp_path, database, engine, study)
    yield here
    for process in here.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # one task's end may be another one's
            process.kill()


def test_an_array_is_scaled_both_ways_and_stopped_by_name_alone(cluster: Cluster) -> None:
    launch = cluster.launch(workers=3)
    assert (launch.executor, launch.external_id, launch.workers) == ("slurm", "4711", 3)
    assert cluster.tasks() == {"4711_0": "RUNNING", "4711_1": "RUNNING", "4711_2": "PENDING"}
    await_that((cluster.folder / "waits").exists)

    done = scale("study", 4, None, cluster.engine, cluster.database.home)
    assert scaled_line(done) == "study: launch 1 (slurm), workers wanted: 4, before: 3"
    assert cluster.tasks()["4712_0"] == "RUNNING"
    scale("study", 1, launch.id, cluster.engine, cluster.database.home)
    cluster.await_tasks(_4711_0="RUNNING", _4711_1="", _4711_2="", _4712_0="")
    (now,) = launches.live_launches(cluster.engine, cluster.study.id)
    assert (now.external_id, now.workers) == ("4711 4712", 1)

    assert stop_workers(cluster.engine, cluster.study) == []
    cluster.await_tasks(_4711_0="")
    assert launches.live_launches(cluster.engine, cluster.study.id) == []
    with pytest.raises(NotFound, match="study has no launch that runs"):
        scale("study", 2, None, cluster.engine, cluster.database.home)


def test_a_script_that_somebody_wrote_into_the_row_is_not_handed_in(cluster: Cluster) -> None:
    cluster.launch(workers=1)
    with cluster.engine.begin() as connection:
        changed = "jsonb_set(settings, '{options,setup}', '\"touch /tmp/planted\"')"
        connection.execute(text(f"UPDATE launch SET settings = {changed}"))
    with pytest.raises(InvalidInput, match="it must be the one that this account handed in"):
        scale("study", 2, None, cluster.engine, cluster.database.home)
    assert list(cluster.tasks()) == ["4711_0"]


def test_who_has_not_launched_it_makes_it_smaller_only(cluster: Cluster, tmp_path: Path) -> None:
    cluster.launch(workers=2)
    with pytest.raises(InvalidInput, match="Scale it where it was launched"):
        scale("study", 3, None, cluster.engine, tmp_path / "another")
    scale("study", 1, None, cluster.engine, tmp_path / "another")
    cluster.await_tasks(_4711_0="RUNNING", _4711_1="")


@pytest.mark.parametrize(
    ("executor", "name"),
    [
        ("kubernetes", "namespace/default"),
        ("kubernetes", "--all"),
        ("kubernetes", "job.batch/optselect-x y"),
        ("slurm", "4711 --me"),
        ("ray", "../jobs"),
    ],
)
def test_an_engine_is_asked_of_nothing_that_it_has_not_named_for_us(
    cluster: Cluster, executor: str, name: str
) -> None:
    cluster.launch(workers=1)
    with cluster.engine.begin() as connection:
        values = {"executor": executor, "name": name}
        connection.execute(text("UPDATE launch SET executor = :executor, external_id = :name"), values)
    with pytest.raises(InvalidRow, match=r"must be one that .* gives to workers of ours"):
        scale("study", 0, None, cluster.engine, cluster.database.home)
    (left,) = stop_workers(cluster.engine, cluster.study)
    assert "is left to itself" in left


def test_the_logs_of_a_launch_are_found_by_the_name_of_its_study(
    cluster: Cluster,
) -> None:
    (cluster.folder / "codes").write_text("64\n64\n")
    (cluster.folder / "worker").write_text("#!/bin/sh\necho here is worker $SLURM_ARRAY_TASK_ID\nexit 64\n")
    launch = cluster.launch(workers=2)
    cluster.await_tasks(_4711_0="", _4711_1="")
    shown = "\n".join(placing.read_logs("study", None, 20, False, cluster.engine))
    assert "here is worker 0" in shown and "here is worker 1" in shown
    assert "4711-*.log" in placing.launch_line(launch)


def test_no_password_is_in_the_script_a_command_line_or_an_environment(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = str(cluster.database.url.password)
    monkeypatch.setenv("PGPASSWORD", password)
    launch = cluster.launch(workers=1)
    await_that((cluster.folder / "waits").exists)
    seen = []
    for process in cluster.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            seen.append(" ".join(process.cmdline()) + str(process.environ()))
    assert len(seen) >= 2
    seen += [file.read_text() for file in (cluster.folder / "state").rglob("*") if file.is_file()]
    seen += [str(launch.settings)]
    assert not [text for text in seen if password in text]
    kept = Path(launch.settings["environment"]["PGPASSFILE"])
    assert password in kept.read_text() and stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_what_is_shown_beforehand_is_what_is_handed_in_and_stores_nothing(cluster: Cluster) -> None:
    url, home = cluster.database.url, cluster.database.home
    placement = Placement("slurm", options={"logs": "/shared/logs"})
    shown = preview("study", url.render_as_string(hide_password=False), home, None, 2, placement, ())
    assert f"export OPTSELECT_STORAGE='{without_password(url.set(drivername='postgresql'))}'\n" in shown
    assert f"export PGPASSFILE={home}/launches/study/pgpass\n" in shown
    assert "#SBATCH --array=0-1\n" in shown and str(url.password) not in shown
    assert cluster.tasks() == {} and not home.exists()
    assert launches.find_launch(cluster.engine, cluster.study.id, None) is None


def test_a_refused_submission_leaves_no_launch_behind(cluster: Cluster) -> None:
    (cluster.folder / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n"
    )
    with pytest.raises(InvalidInput, match="exit code 1: sbatch: error: invalid partition"):
        cluster.launch(workers=1)
    assert launches.find_launch(cluster.engine, cluster.study.id, None) is None


def test_an_engine_that_cannot_be_told_is_named_and_the_study_is_stopped_all_the_same(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.launch(workers=1)
    monkeypatch.setenv("PATH", str(cluster.folder))
    (line,) = stop_workers(cluster.engine, cluster.study)
    assert line.startswith("launch 1 (slurm 4711) is left to itself: squeue must be on PATH")


def test_the_embedded_server_is_no_place_for_workers_of_other_machines(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs a PostgreSQL server that its machines reach"):
        preview("study", None, tmp_path, None, 1, Placement("slurm"), ())


@pytest.mark.parametrize(
    ("executor", "gpus", "options", "words"),
    [("local", 1.0, None, "are for --executor slurm"), ("slurm", None, ["=gpu"], "must be name=value")],
)
def test_options_that_mean_nothing_are_refused(executor: str, gpus: Any, options: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_placement(executor, gpus, options)


# --- this machine -------------------------------------------------------------------------------------


def test_a_supervisor_hears_how_many_workers_are_wanted(
    engine: Engine, study: StoredStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "BEAT_SECONDS", 0.0)
    with announced_launch(engine, study, 2, tmp_path, {}) as own:
        assert own.change() is None
        scale("study", 3, None, engine, tmp_path)
        assert (own.change(), own.change()) == (3, None)
        (launch,) = launches.live_launches(engine, study.id)
        assert (launch.executor, launch.external_id) == ("local", f"pid {os.getpid()}")
    assert launches.live_launches(engine, study.id) == []


def test_a_supervisor_that_an_engine_placed_is_no_launch_of_its_own(
    engine: Engine, study: StoredStudy, tmp_path: Path
) -> None:
    with announced_launch(engine, study, 1, tmp_path, {PLACED_BY: "slurm"}) as own:
        assert own.change() is None
        assert launches.find_launch(engine, study.id, None) is None


def test_which_of_two_launches_is_meant_must_be_said(
    engine: Engine, study: StoredStudy, tmp_path: Path
) -> None:
    with announced_launch(engine, study, 1, tmp_path, {}), announced_launch(engine, study, 1, tmp_path, {}):
        with pytest.raises(InvalidInput, match=r"--launch must say which one is meant.*1 \(local, pid"):
            scale("study", 2, None, engine, tmp_path)
        scale("study", 2, 2, engine, tmp_path)


def test_a_supervisor_without_a_sign_of_life_is_no_launch_that_runs(
    engine: Engine, study: StoredStudy, tmp_path: Path
) -> None:
    with announced_launch(engine, study, 1, tmp_path, {}):
        with engine.begin() as connection:
            connection.execute(text("UPDATE launch SET seen_at = seen_at - interval '2 minutes'"))
        assert launches.live_launches(engine, study.id) == []
