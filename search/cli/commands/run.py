"""How is a study launched, continued, joined, paused and stopped?"""

from pathlib import Path
from typing import Annotated

import typer

from optselect.search.cli.commands.options import (
    Detach,
    DryRun,
    Executor,
    ExecutorOption,
    Gpus,
    GpusPerWorker,
    Json,
    LaunchNumber,
    NewName,
    PerGpu,
    Problem,
    Storage,
    Study,
    Tracking,
    Trials,
    UseLocal,
    Workers,
    context_of,
    study_names,
)


def launch(
    problem: Problem = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with these settings and ranges; flags win over it.", show_default=False
        ),
    ] = None,
    name: NewName = None,
    optimizers: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated, such as sgd,rmsprop,adam, or all; a class of your own: my_optimizers.py:MyMomentum. "
            "Default: eight and the class you use now.",
            show_default=False,
        ),
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(help="What to search of each: auto (by the budget), 1 or all.", show_default="auto"),
    ] = None,
    trials: Trials = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Instead of --trials: small, medium or large, 10, 16 or 24 trials for each optimizer.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        int | None,
        typer.Option(
            help="Instead of --trials: as much as fits, at the pace of the first runs.", show_default=False
        ),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            help="verdict compares optimizers fairly; best-config only looks for a good configuration.",
            show_default="verdict",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Fresh seeds on which the finalists are compared first; 0: no comparison.", show_default="5"
        ),
    ] = None,
    switch: Annotated[
        str | None,
        typer.Option(
            help="Also try changing the optimizer in mid-training: FIRST:SECOND, such as sgd:adam.",
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Let learning rates change: constant, cosine, linear, exponential; of several each trial gets one.",
            show_default=False,
        ),
    ] = None,
    jit: Annotated[
        str | None,
        typer.Option(
            help="off, on or auto (where it pays, by measurement): let XLA compile the trainings. Faster for small "
            "dense and recurrent models on CPU, but it rounds otherwise than fit.",
            show_default="off",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, mixed_float16 or mixed_bfloat16: Keras's dtype policy of all trainings, the baseline's too; "
            "default: what the problem file sets. Mixed ones are for GPUs; a CPU gets slower by them.",
            show_default=False,
        ),
    ] = None,
    system_metrics: Annotated[
        bool, typer.Option(help="Show in MLflow how busy processor, memory and GPU were, with each trial.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of a trial; default: those of the problem's fit.", show_default=False),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    executor: Executor = "local",
    gpus_per_worker: GpusPerWorker = None,
    executor_option: ExecutorOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the study.", show_default="0")] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="A validation metric, with :min or :max where neither its class nor its name tells.",
            show_default="val_loss",
        ),
    ] = None,
    storage: Storage = None,
    tracking: Tracking = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="Where checkpoints above 4 MB go: a folder that all machines share, or an address of fsspec such as "
            "s3://bucket/folder; default: OPTSELECT_HOME of each machine. Smaller ones are in the database.",
            show_default=False,
        ),
    ] = None,
    detach: Detach = False,
    in_process: Annotated[
        bool,
        typer.Option("--in-process", help="Train in this very process, to step through with a debugger."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Search the optimizer for a Keras model: create a study, or attach to it, and train."""
    from optselect.search.cli.running import TerminalView, print_preview, print_served
    from optselect.search.engines.placing import read_placement
    from optselect.search.names import study_name
    from optselect.search.processes.devices import Wish
    from optselect.search.spec.requesting import Flags, merged
    from optselect.search.studies.launching import Workforce
    from optselect.search.studies.launching import launch as launch_study
    from optselect.trials.terms.bundled import resolve_problem

    flags = Flags(
        problem=problem,
        name=name,
        optimizers=optimizers,
        tune=tune,
        trials=trials,
        epochs=epochs,
        seed=seed,
        objective=objective,
        goal=goal,
        budget=budget,
        minutes=minutes,
        seeds=seeds,
        jit=jit,
        precision=precision,
        system_metrics=system_metrics,
        workers=workers,
        storage=storage,
        tracking=tracking,
        checkpoints=checkpoints,
        switch=switch,
        schedule=schedule,
        detach=detach,
    )
    asked = merged(flags, spec)
    context = context_of(asked.flags.storage, asked.flags.tracking, as_json, asked.flags.checkpoints)
    placement = read_placement(executor, gpus_per_worker, executor_option)
    workforce = Workforce(asked.flags.workers, asked.flags.detach, in_process, Wish(gpus, per_gpu), placement)
    if dry_run:
        name = study_name(asked.flags.name, resolve_problem(asked.request.problem))
        return print_preview(name, context, workforce)
    view = TerminalView(quiet=as_json)
    return print_served(launch_study(asked.request, asked.flags.name, context, workforce, view), context)


def resume(
    study: Study,
    trials: Annotated[
        str | None, typer.Option(help="+N: search N further trials.", metavar="+N", show_default=False)
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="+N: compare the finalists on N more seeds.", metavar="+N", show_default=False),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    executor: Executor = "local",
    gpus_per_worker: GpusPerWorker = None,
    executor_option: ExecutorOption = None,
    storage: Storage = None,
    tracking: Tracking = None,
    use_local: UseLocal = False,
    detach: Detach = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Go on with a study, by name alone, on any machine."""
    from optselect.search.cli.running import TerminalView, print_preview, print_served
    from optselect.search.engines.placing import read_placement
    from optselect.search.processes.devices import Wish
    from optselect.search.studies.launching import Further, Workforce
    from optselect.search.studies.launching import resume as resume_study

    context = context_of(storage, tracking, as_json)
    more = Further(further("--trials", trials, 1_000_000, 24), further("--seeds", seeds, 200, 5))
    placement = read_placement(executor, gpus_per_worker, executor_option)
    workforce = Workforce(workers, detach, wish=Wish(gpus, per_gpu), placement=placement)
    if dry_run:
        return print_preview(study, context, workforce, use_local)
    view = TerminalView(quiet=as_json)
    return print_served(resume_study(study, more, context, workforce, use_local, view), context)


def further(flag: str, text: str | None, most: int, example: int) -> int:
    """What stands behind a plus."""
    from optselect.search.errors import InvalidInput

    if text is None:
        return 0
    digits = text[1:]
    if not (text.startswith("+") and digits.isascii() and digits.isdigit() and 0 < int(digits) <= most):
        raise InvalidInput(
            f'{flag} must say how many more, from +1 to +{most}. Received: "{text}". Write {flag} +{example}.'
        )
    return int(digits)


def worker(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Name of a study; default: all that run and will run.",
            show_default=False,
            autocompletion=study_names,
        ),
    ] = None,
    slots: Annotated[
        str | None,
        typer.Option(
            help="Supervise so many training processes instead of training here; without STUDY 1.",
            show_default=False,
        ),
    ] = None,
    max_trials: Annotated[
        int | None, typer.Option(min=1, help="Leave after so many trials of STUDY.", show_default=False)
    ] = None,
    max_idle: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Without STUDY: leave after so many seconds without work; default: stay until SIGTERM.",
            metavar="SECONDS",
            show_default=False,
        ),
    ] = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    storage: Storage = None,
    tracking: Tracking = None,
    use_local: UseLocal = False,
    only_bundles: Annotated[
        str | None,
        typer.Option(
            help="Run only studies whose source has one of these hashes, comma-separated.",
            metavar="SHA256,...",
            show_default=False,
        ),
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option(help="The same, a hash on each line of a file.", metavar="FILE", show_default=False),
    ] = None,
    slot: Annotated[int | None, typer.Option(hidden=True)] = None,
    gives_way: Annotated[bool, typer.Option("--gives-way", hidden=True)] = False,
) -> int:
    """Join a study, or without STUDY every running one and those to come, from any machine that reaches the database."""
    from optselect.search.bundles.trust import Trust
    from optselect.search.cli.following import progress_view
    from optselect.search.processes.devices import Wish
    from optselect.search.studies.joining import Joining, join

    wish, trusted = Wish(gpus, per_gpu), Trust.read(only_bundles, trust)
    asked = Joining(slots, max_trials, max_idle, slot, use_local, gives_way, wish, trusted)
    return join(study, asked, context_of(storage, tracking, False), lambda: progress_view(quiet=False))


def scale(
    study: Study,
    workers: Annotated[
        int, typer.Argument(min=1, help="How many workers it is to have.", show_default=False)
    ],
    launch: LaunchNumber = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Change the number of workers of a launch that runs, from any machine. None at all: stop."""
    from optselect.search.cli.looking import scale_launch

    scale_launch(study, workers, launch, context_of(storage, None, as_json))


def pause(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """Start no trial any more, on any machine; those that run end as usual. Go on: resume."""
    from optselect.search.cli.running import print_order

    print_order(study, "paused", context_of(storage, None, as_json))


def stop(study: Study, storage: Storage = None, as_json: Json = False) -> None:
    """Start no trial and end those that run, on every machine, each with a checkpoint. Go on: resume."""
    from optselect.search.cli.running import print_order

    print_order(study, "stopped", context_of(storage, None, as_json))
