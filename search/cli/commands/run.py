"""How is a study launched, continued, joined, paused and stopped?"""

from pathlib import Path
from typing import Annotated

import typer

from optselect.search.cli.commands.declared import Typed, takes
from optselect.search.cli.commands.options import (
    Detach,
    DryRun,
    ExecutorName,
    ExecutorOption,
    Gpus,
    GpusPerWorker,
    Json,
    LaunchNumber,
    PerGpu,
    Storage,
    Study,
    Tracking,
    UseLocal,
    Workers,
    context_of,
    study_names,
)
from optselect.search.spec.declarations import DEFAULT_TRIALS, FINAL_SEEDS, MOST_SEEDS_ASKED, MOST_TRIALS


@takes()
def launch(typed: Typed) -> int:
    """Search the optimizer for a Keras model: create a study, or attach to it, and train."""
    from optselect.search.cli.running import TerminalView, print_preview, print_served
    from optselect.search.engines.placing import read_placement
    from optselect.search.names import study_name
    from optselect.search.processes.devices import Wish
    from optselect.search.spec.requesting import merged
    from optselect.search.studies.launching import Workforce
    from optselect.search.studies.launching import launch as launch_study
    from optselect.trials.terms.bundled import resolve_problem

    asked = merged(typed)
    context = context_of(asked.storage, asked.tracking, asked.as_json, asked.checkpoints)
    placement = read_placement(asked.executor, asked.gpus_per_worker, asked.executor_option)
    wish = Wish(asked.gpus, asked.per_gpu)
    workforce = Workforce(asked.workers, asked.detach, asked.in_process, wish, placement)
    if asked.dry_run:
        name = study_name(asked.name, resolve_problem(asked.problem))
        return print_preview(name, context, workforce)
    view = TerminalView(quiet=asked.as_json)
    return print_served(launch_study(asked, asked.name, context, workforce, view), context)


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
    executor: ExecutorName = "local",
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
    more = Further(
        further("trials", trials, MOST_TRIALS, DEFAULT_TRIALS),
        further("seeds", seeds, MOST_SEEDS_ASKED, FINAL_SEEDS),
    )
    placement = read_placement(executor, gpus_per_worker, executor_option)
    workforce = Workforce(workers, detach, wish=Wish(gpus, per_gpu), placement=placement)
    if dry_run:
        return print_preview(study, context, workforce, use_local)
    view = TerminalView(quiet=as_json)
    return print_served(resume_study(study, more, context, workforce, use_local, view), context)


def further(key: str, text: str | None, most: int, example: int) -> int:
    """What stands behind a plus."""
    from optselect.search.errors import InvalidSetting, flag_of

    if text is None:
        return 0
    digits = text[1:]
    if not (text.startswith("+") and digits.isascii() and digits.isdigit() and 0 < int(digits) <= most):
        must, hint = f"say how many more, from +1 to +{most}", f" Write {flag_of(key)} +{example}."
        raise InvalidSetting(key, must, f'"{text}"', hint)
    return int(digits)


StudyOrAll = Annotated[
    str | None,
    typer.Argument(
        help="Name of a study; default: all that run and will run.",
        show_default=False,
        autocompletion=study_names,
    ),
]
Slots = Annotated[
    str | None,
    typer.Option(
        help="Supervise so many training processes instead of training here; without STUDY 1.",
        show_default=False,
    ),
]
MaxTrials = Annotated[
    int | None, typer.Option(min=1, help="Leave after so many trials of STUDY.", show_default=False)
]
MaxIdle = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Without STUDY: leave after so many seconds without work; default: stay until SIGTERM.",
        metavar="SECONDS",
        show_default=False,
    ),
]
OnlyBundles = Annotated[
    str | None,
    typer.Option(
        help="Run only studies whose source has one of these hashes, comma-separated.",
        metavar="SHA256,...",
        show_default=False,
    ),
]
TrustFile = Annotated[
    Path | None,
    typer.Option(help="The same, a hash on each line of a file.", metavar="FILE", show_default=False),
]


def worker(
    study: StudyOrAll = None,
    slots: Slots = None,
    max_trials: MaxTrials = None,
    max_idle: MaxIdle = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = 1,
    storage: Storage = None,
    tracking: Tracking = None,
    use_local: UseLocal = False,
    only_bundles: OnlyBundles = None,
    trust: TrustFile = None,
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
