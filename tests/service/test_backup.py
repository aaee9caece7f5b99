"""A backup holds all studies and their curves, and never overwrites one."""

import stat
import tarfile
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from optselect.storage.errors import InvalidAddress, Unreachable
from optselect.storage.schema.backup import backup, restore
from optselect.storage.schema.initialise import mlflow_url
from optselect.storage.server.database import Database
from tests.service.conftest import copy_database, execute, fresh_database

STUDY = """
INSERT INTO optselect.study (name, optuna_study_name, spec, spec_version, problem, bundle, bundle_sha256, data_hash,
                             versions, objective, direction, budget)
VALUES ('kept', 'kept', '{}', 1, '{}', '{}', '', '', '{}', 'val_loss', 'minimize', 1)"""
OPTUNA_STUDY = "INSERT INTO optuna.studies (study_name) VALUES ('kept')"
EXPERIMENT = """
INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time, workspace)
VALUES ('optselect/kept', '/tmp', 'active', 0, 0, 'default')"""


def test_a_backup_moves_studies_and_curves_to_an_empty_database(
    tracked_database: Database, server: URL, template: str, tracked_template: Database, tmp_path: Path
) -> None:
    execute(tracked_database.url, STUDY)
    execute(tracked_database.url, OPTUNA_STUDY)
    execute(mlflow_url(tracked_database), EXPERIMENT)
    backup(tracked_database, tmp_path / "a backup.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["a backup.tar"]

    with fresh_database(server, tracked_database.home, template) as target:
        copy_database(server, str(mlflow_url(tracked_template).database), str(mlflow_url(target).database))
        restore(target, tmp_path / "a backup.tar")
        assert execute(target.url, "SELECT name FROM optselect.study") == [("kept",)]
        assert execute(target.url, "SELECT study_name FROM optuna.studies") == [("kept",)]
        assert execute(mlflow_url(target), "SELECT name FROM experiments") == [("optselect/kept",)]
        execute(target.url, STUDY.replace("kept", "next"))  # the identity goes on behind the restored rows
        with pytest.raises(InvalidAddress, match=r"only where no study is stored; .* holds 2"):
            restore(target, tmp_path / "a backup.tar")


def test_without_mlflow_tables_the_backup_holds_ours_alone(
    initialised_database: Database, server: URL, tmp_path: Path
) -> None:
    execute(initialised_database.url, STUDY)
    backup(initialised_database, tmp_path / "backup.tar")
    with tarfile.open(tmp_path / "backup.tar") as tar:
        assert tar.getnames() == ["manifest.json", "optselect.dump"]
    with fresh_database(server, initialised_database.home) as target:  # not even initialised
        restore(target, tmp_path / "backup.tar")
        assert execute(target.url, "SELECT name FROM optselect.study") == [("kept",)]


def test_a_backup_is_private(initialised_database: Database, tmp_path: Path) -> None:
    backup(initialised_database, tmp_path / "backup.tar")
    assert stat.S_IMODE((tmp_path / "backup.tar").stat().st_mode) == 0o600


def test_a_database_without_tables_has_nothing_to_save(database: Database, tmp_path: Path) -> None:
    with pytest.raises(InvalidAddress, match="nothing to save"):
        backup(database, tmp_path / "backup.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no tar at all"])
def test_a_file_that_is_no_backup_is_refused(database: Database, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "backup.tar").write_bytes(content)
    with pytest.raises(InvalidAddress, match="is not a backup made by `optselect db backup`"):
        restore(database, tmp_path / "backup.tar")


def test_a_missing_file_or_folder_is_named(initialised_database: Database, tmp_path: Path) -> None:
    with pytest.raises(InvalidAddress, match=f"There is no {tmp_path}/none"):
        restore(initialised_database, tmp_path / "none")
    with pytest.raises((InvalidAddress, Unreachable), match="no folder"):
        backup(initialised_database, tmp_path / "no folder" / "backup.tar")
