"""What does a person ask before a launch?"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from optselect.search.cli.commands.options import (
    Json,
    NewName,
    Problem,
    Storage,
    Tracking,
    Trials,
    Workers,
    context_of,
)

Spec = Annotated[
    Path | None,
    typer.Option(help="A TOML file, as launch reads it; flags win over it.", show_default=False),
]
Optimizers = Annotated[str | None, typer.Option(help="As launch has it.", show_default=False)]
Epochs = Annotated[int | None, typer.Option(help="Epochs of a trial.", show_default=False)]


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


def check(
    problem: Problem = None,
    spec: Spec = None,
    optimizers: Optimizers = None,
    epochs: Epochs = None,
    storage: Storage = None,
    tracking: Tracking = None,
    as_json: Json = False,
) -> int:
    """Try everything that a launch needs: database, MLflow, devices, the model, a few steps with each optimizer."""
    from optselect.search.cli.checking import check as check_problem
    from optselect.search.spec.requesting import Flags, merged

    flags = Flags(problem=problem, optimizers=optimizers, epochs=epochs, storage=storage, tracking=tracking)
    asked = merged(flags, spec)
    context = context_of(asked.flags.storage, asked.flags.tracking, as_json)
    return check_problem(asked.request, as_typed(problem, spec), context)


def plan(
    problem: Problem = None,
    spec: Spec = None,
    name: NewName = None,
    optimizers: Optimizers = None,
    trials: Trials = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Instead of --trials: small, medium or large, 10, 16 or 24 for each optimizer.",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Fresh seeds on which the finalists are compared first.", show_default="5"),
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """What a launch would train, and how long that takes: timed on a few real batches, nothing is stored."""
    from optselect.search.cli.checking import plan as plan_study
    from optselect.search.spec.requesting import Flags, merged

    flags = Flags(
        problem=problem,
        name=name,
        optimizers=optimizers,
        trials=trials,
        budget=budget,
        epochs=epochs,
        seeds=seeds,
        workers=workers,
    )
    asked = merged(flags, spec)
    typed, context = as_typed(problem, spec), context_of(None, None, as_json)
    plan_study(asked.request, typed, asked.flags.name, asked.flags.workers, context)


def as_typed(problem: str | None, spec: Path | None) -> str:
    """What the next command needs to mean the same problem.

    >>> as_typed("my net.py", None), as_typed(None, Path("wine.toml"))
    ("'my net.py'", '--spec wine.toml')
    """
    return shlex.join([*([problem] if problem else []), *(["--spec", str(spec)] if spec else [])])
