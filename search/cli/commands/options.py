"""Which options do several commands share, and where do they say that things are?"""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from optselect.search.cli.commands.declared import parameter_info
from optselect.search.spec.declarations import Executor, LaunchSettings
from optselect.search.spec.declaring import settings_of

if TYPE_CHECKING:
    from optselect.search.context import Context


def study_names(incomplete: str) -> list[str]:
    """What a shell offers at the press of a key."""
    from optselect.storage.server.study_names import completed_names

    return completed_names(incomplete, os.environ)


INFO = {one.name: parameter_info(one) for one in settings_of(LaunchSettings)}
"""What Typer is to know of the settings of `launch`, some of which other commands take, too."""

Study = Annotated[
    str, typer.Argument(help="Name of a study.", show_default=False, autocompletion=study_names)
]
Storage = Annotated[str | None, INFO["storage"]]
Tracking = Annotated[str | None, INFO["tracking"]]
Workers = Annotated[int | None, INFO["workers"]]
Gpus = Annotated[str | None, INFO["gpus"]]
PerGpu = Annotated[int, INFO["per_gpu"]]
ExecutorName = Annotated[Executor, INFO["executor"]]
GpusPerWorker = Annotated[float | None, INFO["gpus_per_worker"]]
ExecutorOption = Annotated[list[str] | None, INFO["executor_option"]]
DryRun = Annotated[bool, INFO["dry_run"]]
Json = Annotated[bool, INFO["as_json"]]
Detach = Annotated[bool, INFO["detach"]]
LaunchNumber = Annotated[
    int | None,
    typer.Option(
        "--launch",
        help="Number of a launch, as status shows it, where there are several.",
        show_default=False,
    ),
]
UseLocal = Annotated[
    bool,
    typer.Option("--use-local", help="Train the local problem file even if it differs from the study's."),
]


def context_of(
    storage: str | None, tracking: str | None, as_json: bool, checkpoints: str | None = None
) -> "Context":
    from optselect.search.context import Context
    from optselect.storage.server.home import default_home

    own_tracking = tracking or os.environ.get("MLFLOW_TRACKING_URI") or None
    return Context(storage, default_home(os.environ), own_tracking, as_json, checkpoints)
