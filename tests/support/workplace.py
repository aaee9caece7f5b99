"""A stored study and real workers of it, which a test may kill, suspend or cut off; a worker is a fork without imports."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from optselect.storage.records import studies
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Database, make_engine
from tests.support import steady
from tests.support.commands import Shell, await_that, shell
from tests.support.forked import Ended, Forks, Started

EPOCHS = 16
LEASE_SECONDS = "3"
FLAGS = ("--name", "study", "--optimizers", "sgd", "--trials", "1", "--seeds", "0", "--goal", "best-config")


@dataclass(frozen=True)
class Workplace:
    """A database with one study of two tickets, a search trial and the user's own optimizer."""

    forks: Forks
    shell: Shell
    engine: Engine
    study: StoredStudy

    def work(self, *arguments: str, **environment: str) -> Ended:
        """A worker that has the study for itself, until nothing is left."""
        return self.forks.run(self.shell, "worker", "study", *arguments, **environment)

    @contextmanager
    def worker(self, **environment: str) -> Iterator[Started]:
        """A worker whose trials take a few seconds, from its second report of a trial on."""
        slow = {"EPOCH_SECONDS": "0.2", "OPTSELECT_LEASE_SECONDS": LEASE_SECONDS, **environment}
        with self.forks.start(self.shell, "worker", "study", **slow) as worker:
            try:
                await_that(self.is_in_mid_trial, "a trial is in its middle")
            except AssertionError as error:
                raise AssertionError(f"{error}; the worker said: {worker.words()}") from None
            yield worker

    def is_in_mid_trial(self) -> bool:
        return bool(self.ask(IN_MID_TRIAL)[0][0])

    def ask(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement; returns what rows there are."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def demand_whole(self) -> None:
        """The budget is exact, each trial is complete with one row for each epoch, and none runs any more."""
        assert studies.study_state(self.engine, self.study.id) == "finished"
        tickets = self.ask("SELECT outcome, trial_id, epochs FROM ticket ORDER BY ord")
        assert [(outcome, epochs) for outcome, _, epochs in tickets] == [("complete", EPOCHS)] * 2
        curves = self.ask("SELECT array_agg(epoch ORDER BY epoch) FROM epoch_log GROUP BY ticket_id")
        assert curves == [(list(range(1, EPOCHS + 1)),)] * 2
        told = {
            trial_id: state for trial_id, state in self.ask("SELECT trial_id, state::text FROM optuna.trials")
        }
        assert {told.pop(trial_id) for _, trial_id, _ in tickets} == {"COMPLETE"}
        assert set(told.values()) <= {"FAIL"}, "an orphan is told FAIL"


@contextmanager
def workplace(forks: Forks, database: Database, folder: Path) -> Iterator[Workplace]:
    """The study that `store_steady` left in the database."""
    engine = make_engine(database, pooled=False)
    yield Workplace(forks, shell_of(database, folder), engine, studies.load_study(engine, "study"))
    engine.dispose()


def store_steady(forks: Forks, database: Database, folder: Path) -> None:
    """Store the study; no worker has begun."""
    shutil.copy(steady.__file__, folder)
    size = ("--epochs", str(EPOCHS), "--workers", "0", "--in-process")
    stored = forks.run(shell_of(database, folder), "launch", "steady.py", *FLAGS, *size)
    assert stored.returncode == 0, stored.stderr


def shell_of(database: Database, folder: Path) -> Shell:
    """A shell whose address names the database and whose password lies in a file."""
    (folder / "password").write_text(str(database.url.password))
    plain, url = shell(folder / "home", folder), database.url
    settings = {
        "OPTSELECT_STORAGE": f"postgresql://{url.username}@{url.host}:{url.port}/{url.database}",
        "OPTSELECT_STORAGE_PASSWORD_FILE": str(folder / "password"),
    }
    return dataclasses.replace(plain, environment={**plain.environment, **settings})


IN_MID_TRIAL = f"""
    SELECT count(*) FROM ticket t WHERE state = 'leased' AND lease_until > clock_timestamp()
       AND epochs BETWEEN 2 AND {EPOCHS // 2} AND EXISTS (SELECT FROM checkpoint WHERE ticket_id = t.id)"""
