"""Which options do several commands share, and where do they say that things are?"""

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from optselect.search.context import Context


def study_names(incomplete: str) -> list[str]:
    """What a shell offers at the press of a key."""
    from optselect.storage.server.study_names import completed_names

    return completed_names(incomplete, os.environ)


Study = Annotated[
    str, typer.Argument(help="Name of a study.", show_default=False, autocompletion=study_names)
]
Problem = Annotated[
    str | None,
    typer.Argument(help="A problem file, or diabetes, fashion, digits, momentum.", show_default=False),
]
NewName = Annotated[
    str | None, typer.Option(help="Name of the study; default: the problem's.", show_default=False)
]
Trials = Annotated[int | None, typer.Option(help="Search trials in all.", show_default="24")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Address of a PostgreSQL server, postgresql://user@host/database; else OPTSELECT_STORAGE, else the "
        "embedded server of OPTSELECT_HOME. Password: OPTSELECT_STORAGE_PASSWORD_FILE or PGPASSFILE.",
        show_default=False,
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option(
        help="Address of an MLflow server; else MLFLOW_TRACKING_URI, else MLflow's tables beside ours.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Training processes on this machine; 0 only stores. Default: one per GPU, else per core.",
        show_default=False,
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option(
        help="One training process for each: all, numbers or UUIDs, comma-separated. Default: all there are.",
        show_default=False,
    ),
]
PerGpu = Annotated[
    int, typer.Option(min=1, max=32, help="Processes that share a GPU, each with its part of the memory.")
]
Executor = Annotated[
    Literal["local", "slurm", "kubernetes", "ray"],
    typer.Option(help="Who starts the workers: this machine, or an engine of many (docs/engines.md)."),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=8,
        help="With an engine: GPUs of each worker, 0, 1 or with Ray a part of one.",
        show_default="0",
    ),
]
ExecutorOption = Annotated[
    list[str] | None,
    typer.Option(
        help="With an engine: an option of its own, such as partition=gpu or image=NAME; may be repeated.",
        metavar="NAME=VALUE",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the script, manifest or job, and do nothing.")]
LaunchNumber = Annotated[
    int | None,
    typer.Option(
        "--launch",
        help="Number of a launch, as status shows it, where there are several.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background.")]
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
