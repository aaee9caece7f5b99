"""How is a study deleted? In an order that may be repeated, once it is known what goes."""

import shutil
from dataclasses import dataclass

from optselect.search.context import Context
from optselect.search.processes.supervising import log_folder
from optselect.storage import deletion
from optselect.storage.deletion import Holdings
from optselect.storage.errors import InUse, Unreachable
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.records.workers import release_dead_neighbours
from optselect.storage.server.database import Database, Engine
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.batches import cause_in_short, is_refusal


@dataclass(frozen=True)
class Deletion:
    """A study that is to go, with all that goes with it."""

    study: StoredStudy
    holdings: Holdings
    with_mlflow: bool
    database: Database
    engine: Engine
    tracking: str | None

    @classmethod
    def of(cls, name: str, with_mlflow: bool, context: Context) -> "Deletion":
        """Look what there is; raises InUse where a worker serves the study."""
        database, engine = context.connect()
        study = load_study(engine, name)
        release_dead_neighbours(engine, study.id)
        holdings = deletion.read_holdings(engine, study.id)
        refuse_while_served(study, holdings)
        has_curves = study.mlflow_experiment_id is not None
        return cls(study, holdings, with_mlflow and has_curves, database, engine, context.tracking)

    def run(self) -> None:
        """Delete all of it; MLflow first: what may refuse comes while everything is still there to try again."""
        deletion.close_study(self.engine, self.study)
        if self.with_mlflow:
            self._delete_experiment()
        deletion.delete_files(self.study, self.database)
        deletion.delete_rows(self.engine, self.database, self.study)
        # A study of the same name begins with none.
        shutil.rmtree(log_folder(self.database, self.study), ignore_errors=True)

    def _delete_experiment(self) -> None:
        try:
            deletion.delete_experiment(self.study, find_tracking(self.database, self.study, self.tracking))
        except Exception as error:
            if not is_refusal(error):
                raise
            raise Unreachable(
                f"MLflow must let the experiment of {self.study.name} go. Received: {cause_in_short(error)}. "
                "Nothing was deleted. To leave the experiment where it is: --keep-curves"
            ) from error


def refuse_while_served(study: StoredStudy, holdings: Holdings) -> None:
    if holdings.workers:
        raise InUse(
            f"No worker may serve {study.name} while it is deleted. Received: {holdings.workers}. First: optselect "
            f"stop {study.name}; one that is dead counts no more after a minute."
        )
