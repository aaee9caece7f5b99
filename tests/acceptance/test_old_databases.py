"""A database that an earlier version made is lifted by one command, and its studies go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from optselect.storage.schema.initialise import REVISION
from optselect.storage.server import embedded
from optselect.storage.server.database import EMBEDDED_DATABASE
from tests.service.conftest import execute
from tests.support.commands import Shell, query, shell
from tests.support.forked import Forks
from tests.support.homes import THROW_AWAY, throw_away_home

OLD = Path(__file__).parents[1] / "service" / "data" / "revision_0001.sql"


@pytest.fixture
def old_home(prepared_cluster: Path, tmp_path: Path) -> Iterator[Shell]:
    """A home whose database is as revision 0001 left it."""
    with throw_away_home(prepared=prepared_cluster) as home:
        server = embedded.ensure_running(home, THROW_AWAY)
        database = server.set(database=EMBEDDED_DATABASE)
        execute(database, "DROP SCHEMA optuna, optselect CASCADE")
        execute(database, OLD.read_text("utf-8"))
        yield shell(home, tmp_path)


@pytest.mark.timeout(300)
def test_a_database_of_the_first_revision_is_upgraded_and_its_studies_resume(
    old_home: Shell, forked: Forks
) -> None:
    refused = forked.run(old_home, "worker", "halfway")
    assert refused.returncode == 64
    assert "revision 0001" in refused.stderr and "optselect db upgrade" in refused.stderr
    before = trials_of(old_home)
    upgraded = forked.run(old_home, "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert f"{REVISION}   (was 0001)" in upgraded.stdout
    ended = forked.json(old_home, "status", "ended")
    assert (ended["state"], ended["trials"]["complete"]) == ("finished", 4)

    worked = forked.run(old_home, "worker", "halfway")  # in this process: a worker that anybody may start
    assert worked.returncode == 0, worked.stderr
    resumed = forked.run(old_home, "resume", "halfway")  # carries the curves to MLflow
    assert resumed.returncode == 0, resumed.stderr
    status = forked.json(old_home, "status", "halfway")
    assert (status["state"], status["trials"]["complete"], status["trials"]["running"]) == ("finished", 6, 0)
    after = trials_of(old_home)
    # The one that was killed keeps its settings.
    assert {number: after[number] for number in before} == before
    assert len({row[0] for row in query(old_home, CURVES)}) == len(after)


def trials_of(here: Shell) -> dict[int, object]:
    """The settings of every trial that was asked for, by its number, as Optuna's own tables hold them."""
    return {number: params for number, params in query(here, PARAMS)}


PARAMS = """
    SELECT number, (SELECT json_object_agg(param_name, param_value ORDER BY param_name)
                      FROM optuna.trial_params p WHERE p.trial_id = t.trial_id)::text
      FROM optuna.trials t JOIN optuna.studies s ON s.study_id = t.study_id WHERE study_name = 'halfway'"""
CURVES = """
    SELECT trial_number FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
      JOIN optselect.outbox o ON o.ticket_id = t.id
     WHERE name = 'halfway' AND t.epochs = 6 AND o.finished
       AND 6 = (SELECT count(*) FROM optselect.epoch_log WHERE ticket_id = t.id)"""
