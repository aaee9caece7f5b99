"""What does delete show and ask, and what does it say afterwards?"""

import sys

import typer

from optselect.search.cli.terminal import print_document
from optselect.search.context import Context
from optselect.search.documents import SCHEMA, Deleted
from optselect.search.errors import InvalidInput
from optselect.search.studies.deleting import Deletion
from optselect.storage.deletion import Holdings
from optselect.storage.records.studies import StoredStudy


def delete(name: str, agreed: bool, with_mlflow: bool, context: Context) -> None:
    """Show what goes, ask, delete; raises InvalidInput where nobody can be asked."""
    deletion = Deletion.of(name, with_mlflow, context)
    if not agreed:
        ask(deletion.study, deletion.holdings, deletion.with_mlflow)
    deletion.run()
    if context.as_json:
        print_document(deleted_json(name, deletion.with_mlflow, deletion.holdings))
    else:
        print(f"deleted: {', '.join(what_goes(deletion.holdings, deletion.with_mlflow))} of study {name}")


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
