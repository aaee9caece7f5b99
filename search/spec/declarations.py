"""What can be said to a launch? Each setting, once.

Its flag, its key in study.toml, its checks, what is stored and written of it, its completion and its line on the site
follow from its line here. Whoever is to know of one more is handed a class that derives from LaunchSettings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optselect.search.spec.declaring import REQUIRED, setting

Tune = Literal["auto", "1", "all"]
Goal = Literal["verdict", "best-config"]
Sampler = Literal["learned", "tpe"]
Budget = Literal["small", "medium", "large"]
Jit = Literal["off", "auto", "on"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Executor = Literal["local", "slurm", "kubernetes", "ray"]

DEFAULT_TRIALS = 24
FINAL_SEEDS = 5
MOST_TRIALS = 1_000_000
MOST_SEEDS_ASKED = 200


# Whoever derives from it gets these methods: --help needs none, and would wait for each.
@dataclass(frozen=True, init=False, repr=False, eq=False)
class LaunchSettings:
    """Everything that `launch` can be told, in the order of its help."""

    problem: str = setting(
        "A problem file, or diabetes, fashion, digits, momentum.", REQUIRED, is_argument=True
    )
    spec: Path | None = setting(
        "A TOML file with these settings and ranges; flags win over it.", part="command"
    )
    name: str | None = setting("Name of the study; default: the problem's.", part="launch")
    optimizers: str | None = setting(
        "Comma-separated, such as sgd,rmsprop,adam, or all; a class of your own: my_optimizers.py:MyMomentum. "
        "Default: eight and the class you use now.",
        in_file=list[str] | Literal["all"],
        must='be a list of names, or "all"',
    )
    tune: Tune = setting("What to search of each: auto (by the budget), 1 or all.", "auto", is_stored=True)
    trials: int | None = setting("Search trials in all.", shown=str(DEFAULT_TRIALS), low=1, high=MOST_TRIALS)
    budget: Budget | None = setting(
        "Instead of --trials: small, medium or large, 10, 16 or 24 trials for each optimizer."
    )
    minutes: int | None = setting(
        "Instead of --trials: as much as fits, at the pace of the first runs.",
        low=1,
        high=100_000,
        is_stored=True,
    )
    goal: Goal = setting(
        "verdict compares optimizers fairly; best-config only looks for a good configuration.",
        "verdict",
        is_stored=True,
    )
    sampler: Sampler | None = setting(
        "Who proposes settings: learned (one model over all optimizers, taught by known tasks) or tpe (Optuna's, each "
        "optimizer by itself).",
        shown="learned",
        is_stored=True,
    )
    seeds: int = setting(
        "Fresh seeds on which the finalists are compared first; 0: no comparison.",
        FINAL_SEEDS,
        low=FINAL_SEEDS,
        high=MOST_SEEDS_ASKED,
        or_zero=True,
        is_stored=True,
    )
    switch: str | None = setting(
        "Also try changing the optimizer in mid-training: FIRST:SECOND, such as sgd:adam.",
        has_tables=True,
    )
    schedule: str | None = setting(
        "Let learning rates change: constant, cosine, linear, exponential; of several each trial gets one.",
        in_file=str | list[str],
        must="be one kind of schedule, or a list of several",
    )
    jit: Jit = setting(
        "off, on or auto (where it pays, by measurement): let XLA compile the trainings. Faster for small "
        "dense and recurrent models on CPU, but it rounds otherwise than fit.",
        "off",
        is_stored=True,
    )
    """What auto comes to is decided before the first trial and stored with the study's decisions."""
    precision: Precision | None = setting(
        "float32, mixed_float16 or mixed_bfloat16: Keras's dtype policy of all trainings, the baseline's too; "
        "default: what the problem file sets. Mixed ones are for GPUs; a CPU gets slower by them.",
        is_stored=True,
    )
    system_metrics: bool = setting(
        "Show in MLflow how busy processor, memory and GPU were, with each trial.", False, is_stored=True
    )
    epochs: int | None = setting(
        "Epochs of a trial; default: those of the problem's fit.", low=1, high=1_000_000
    )
    workers: int | None = setting(
        "Training processes on this machine; 0 only stores. Default: one per GPU, else per core.",
        part="launch",
        low=0,
    )
    gpus: str | None = setting(
        "One training process for each: all, numbers or UUIDs, comma-separated. Default: all there are.",
        part="command",
    )
    per_gpu: int = setting(
        "Processes that share a GPU, each with its part of the memory.", 1, part="command", low=1, high=32
    )
    executor: Executor = setting(
        "Who starts the workers: this machine, or an engine of many (docs/engines.md).",
        "local",
        part="command",
    )
    gpus_per_worker: float | None = setting(
        "With an engine: GPUs of each worker, 0, 1 or with Ray a part of one.",
        part="command",
        shown="0",
        low=0,
        high=8,
    )
    executor_option: list[str] | None = setting(
        "With an engine: an option of its own, such as partition=gpu or image=NAME; may be repeated.",
        part="command",
        metavar="NAME=VALUE",
    )
    seed: int = setting("Seed of the study.", 0, low=0, high=4_000_000, is_stored=True)
    """1000 * seed + k must stay below 2**32."""
    objective: str = setting(
        "A validation metric, with :min or :max where neither its class nor its name tells.", "val_loss"
    )
    storage: str | None = setting(
        "Address of a PostgreSQL server, postgresql://user@host/database; else OPTSELECT_STORAGE, else the "
        "embedded server of OPTSELECT_HOME. Password: OPTSELECT_STORAGE_PASSWORD_FILE or PGPASSFILE.",
        part="launch",
        is_secret=True,
    )
    tracking: str | None = setting(
        "Address of an MLflow server; else MLFLOW_TRACKING_URI, else MLflow's tables beside ours.",
        part="launch",
        is_secret=True,
    )
    checkpoints: str | None = setting(
        "Where checkpoints above 4 MB go: a folder that all machines share, or an address of fsspec such as "
        "s3://bucket/folder; default: OPTSELECT_HOME of each machine. Smaller ones are in the database.",
        part="launch",
    )
    detach: bool = setting("Train in the background.", False, part="launch", flag="--detach")
    in_process: bool = setting(
        "Train in this very process, to step through with a debugger.",
        False,
        part="command",
        flag="--in-process",
    )
    dry_run: bool = setting(
        "Print the script, manifest or job, and do nothing.", False, part="command", flag="--dry-run"
    )
    as_json: bool = setting("Print JSON.", False, part="command", flag="--json")
