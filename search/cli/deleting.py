"""How is a study deleted? What goes is shown, then asked for, then done in an order that may be repeated."""

import shutil
import sys

import typer

from optselect.search.cli.terminal import print_document
from optselect.search.documents import SCHEMA, Deleted
from optselect.search.errors import InvalidInput
from optselect.search.processes.supervising import log_folder
from optselect.search.surroundings import Surroundings
from optselect.storage import deletion
from optselect.storage.deletion import Holdings
from optselect.storage.errors import InUse, Unreachable
from optselect.storage.records.studies import StoredStudy, load_study
from optselect.storage.records.workers import bury_dead_neighbours
from optselect.storage.server.database import Database, Engine, make_engine
from optselect.storage.tracking.address import find_tracking
from optselect.storage.tracking.batches import cause_in_short, is_refusal


def delete(name: str, agreed: bool, with_mlflow: bool, place: Surroundings) -> None:
    """Delete a study with its trials, checkpoints and curves; raises InvalidInput where nobody can be asked."""
    database = place.open()
    engine = make_engine(database)
    study = load_study(engine, name)
    with_mlflow = with_mlflow and study.mlflow_experiment_id is not None
    bury_dead_neighbours(engine, study.id)
    holdings = deletion.read_holdings(engine, study.id)
    refuse_while_served(study, holdings)
    if not agreed:
        ask(study, holdings, with_mlflow)
    deletion.close_study(engine, study)
    delete_everything(study, database, engine, with_mlflow, place)
    if place.as_json:
        print_document(deleted_json(name, with_mlflow, holdings))
    else:
        print(f"deleted: {', '.join(what_goes(holdings, with_mlflow))} of study {name}")


def deleted_json(name: str, with_mlflow: bool, gone: Holdings) -> Deleted:
    return {
        "schema": SCHEMA,
        "study": name,
        "mlflow": with_mlflow,
        "trials": gone.trials,
        "epochs": gone.epochs,
        "checkpoints": gone.checkpoints,
        "checkpoint_bytes": gone.checkpoint_bytes,
        "workers": gone.workers,
    }


def refuse_while_served(study: StoredStudy, holdings: Holdings) -> None:
    if holdings.workers:
        raise InUse(
            f"No worker may serve {study.name} while it is deleted. Received: {holdings.workers}. First: optselect "
            f"stop {study.name}; one that is dead counts no more after a minute."
        )


def ask(study: StoredStudy, holdings: Holdings, with_mlflow: bool) -> None:
    print(f"study {study.name}, {study.state}: this goes for good", file=sys.stderr)
    for line in what_goes(holdings, with_mlflow):
        print(f"  {line}", file=sys.stderr)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(
            "delete must be agreed to, and there is no terminal to ask. Received: no --yes. To delete all of this: "
            f"optselect delete {study.name} --yes"
        )
    typer.confirm("Delete it?", abort=True, err=True)


def what_goes(holdings: Holdings, with_mlflow: bool) -> list[str]:
    """What a person reads before and after.

    >>> what_goes(Holdings(24, 480, 2, 3_100_000, 0), with_mlflow=True)
    ['24 trials with 480 epochs', '2 checkpoints (3.1 MB)', 'the logs on this machine', 'the experiment in MLflow (to its trash)']
    """
    lines = [f"{holdings.trials} trials with {holdings.epochs} epochs"]
    if holdings.checkpoints:
        lines.append(f"{holdings.checkpoints} checkpoints ({holdings.checkpoint_bytes / 1e6:.1f} MB)")
    lines.append("the logs on this machine")
    return [*lines, *(["the experiment in MLflow (to its trash)"] if with_mlflow else [])]


def delete_everything(
    study: StoredStudy, database: Database, engine: Engine, with_mlflow: bool, place: Surroundings
) -> None:
    """MLflow first: what may refuse comes while everything is still there to try again."""
    if with_mlflow:
        try:
            deletion.delete_experiment(study, find_tracking(database, study, place.tracking))
        except Exception as error:
            if not is_refusal(error):
                raise
            raise Unreachable(
                f"MLflow must let the experiment of {study.name} go. Received: {cause_in_short(error)}. "
                "Nothing was deleted. To leave the experiment where it is: --keep-curves"
            ) from error
    deletion.delete_files(study, database)
    deletion.delete_rows(engine, database, study)
    # A study of the same name begins with none.
    shutil.rmtree(log_folder(database, study), ignore_errors=True)
