"""What does a person ask before a launch?"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from optselect.search.cli.commands.declared import Typed, takes
from optselect.search.cli.commands.options import Json, context_of

AS_LAUNCH_HAS_IT = {
    "spec": "A TOML file, as launch reads it; flags win over it.",
    "optimizers": "As launch has it.",
    "epochs": "Epochs of a trial.",
    "budget": "Instead of --trials: small, medium or large, 10, 16 or 24 for each optimizer.",
    "seeds": "Fresh seeds on which the finalists are compared first.",
}
"""Shorter words, for whoever has not come to launch yet."""


def init(
    name: Annotated[
        str | None, typer.Option(help="Of the two files and the study.", show_default="my_problem")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="regression or classification.", show_default="regression")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A CSV file with a line of column names.", metavar="FILE", show_default=False),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Its column that is predicted; default: the last.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are here already.")] = False,
    as_json: Json = False,
) -> None:
    """Write a problem file and a spec that work as they are; asks at a terminal for what no option says."""
    from optselect.search.cli.starting import Start, write_start

    write_start(Start(name, task, data, target), force, as_json)


@takes(
    "problem", "spec", "optimizers", "epochs", "storage", "tracking", "as_json", otherwise=AS_LAUNCH_HAS_IT
)
def check(typed: Typed) -> int:
    """Try everything that a launch needs: database, MLflow, devices, the model, a few steps with each optimizer."""
    from optselect.search.cli.checking import check as check_problem
    from optselect.search.spec.requesting import merged

    asked = merged(typed)
    context = context_of(asked.storage, asked.tracking, asked.as_json)
    return check_problem(asked, as_typed(typed["problem"], typed["spec"]), context)


@takes(
    "problem",
    "spec",
    "name",
    "optimizers",
    "trials",
    "budget",
    "epochs",
    "seeds",
    "workers",
    "as_json",
    otherwise=AS_LAUNCH_HAS_IT,
)
def plan(typed: Typed) -> None:
    """What a launch would train, and how long that takes: timed on a few real batches, nothing is stored."""
    from optselect.search.cli.checking import plan as plan_study
    from optselect.search.spec.requesting import merged

    asked = merged(typed)
    words, context = as_typed(typed["problem"], typed["spec"]), context_of(None, None, asked.as_json)
    plan_study(asked, words, asked.name, asked.workers, context)


def as_typed(problem: str | None, spec: Path | None) -> str:
    """What the next command needs to mean the same problem.

    >>> as_typed("my net.py", None), as_typed(None, Path("wine.toml"))
    ("'my net.py'", '--spec wine.toml')
    """
    return shlex.join([*([problem] if problem else []), *(["--spec", str(spec)] if spec else [])])
