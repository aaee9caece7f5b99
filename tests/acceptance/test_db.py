"""The database can be seen, saved, restored elsewhere and stopped, and no command shows its password."""

import os
from pathlib import Path

from optselect.storage.schema.initialise import REVISION
from optselect.storage.server.database import make_engine, open_database
from tests.service.conftest import execute
from tests.support.commands import shell
from tests.support.forked import Forks
from tests.support.homes import throw_away_home
from tests.support.studies import store_study


def test_a_database_goes_from_its_first_status_to_a_restored_backup(tmp_path: Path, forked: Forks) -> None:
    with throw_away_home("one") as first, throw_away_home("two") as second:
        one, two = shell(first, tmp_path), shell(second, tmp_path)
        before = forked.json(one, "db", "status")
        assert (before["running"], before["embedded"], before["versions"]) == (False, True, {})

        upgraded = forked.run(one, "db", "upgrade")
        assert upgraded.returncode == 0, upgraded.stderr
        assert {"revision", "optuna", "mlflow"} <= set(upgraded.stdout.split())
        assert forked.json(one, "db", "status")["versions"]["revision"] == REVISION

        store_study(make_engine(open_database(None, first, os.environ)), name="mine")
        saved = forked.run(one, "db", "backup", "saved.tar")
        assert (saved.returncode, saved.stderr) == (0, "")
        execute(open_database(None, first, os.environ).url, "CREATE VIEW optselect.mine AS SELECT 1")
        noted = forked.run(one, "db", "backup", "odd.tar")
        assert noted.returncode == 0 and "VIEW optselect.mine stands among the tables" in noted.stderr
        odd = forked.run(two, "db", "restore", "odd.tar")
        assert odd.returncode == 2 and "Received: VIEW optselect.mine" in odd.stderr
        assert odd.stderr.count("\n") == 1
        restored = forked.run(two, "db", "restore", "saved.tar")
        assert restored.returncode == 0, restored.stderr
        assert forked.json(two, "status", "mine")["trials"]["waiting"] == 3
        refused = forked.run(two, "db", "restore", "saved.tar")
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1

        shown, masked = (
            forked.run(one, "db", "url", "--show-password").stdout,
            forked.run(one, "db", "url").stdout,
        )
        named = forked.json(one, "db", "status", "--storage", shown.strip())
        assert (named["embedded"], named["url"]) == (False, masked.strip())
        assert "***" in masked and "***" not in shown
        assert "/mlflow" in forked.run(one, "db", "url", "--mlflow").stdout
        assert "optuna" in forked.run(one, "db", "url", "--optuna").stdout

        assert forked.run(one, "db", "stop").stdout.startswith("stopped")
        assert forked.json(one, "db", "status")["running"] is False
        assert forked.run(one, "db", "stop").stdout.startswith("no embedded server")


def test_the_catalogue_is_printed_for_people_and_for_programs(tmp_path: Path, forked: Forks) -> None:
    here = shell(tmp_path / "home", tmp_path)
    table = forked.run(here, "optimizers").stdout
    assert "ScheduleFreeAdamW" in table and "0.001 .. 0.99" in table
    entries = forked.json(here, "optimizers")["optimizers"]
    assert len(entries) == 14
    assert next(entry["optimizer"] for entry in entries if entry["default"]) == "SGD"
    assert not (tmp_path / "home").exists()
