"""What does each command print to --json? Every document field by field; docs/reference/json.md is made of this file.

mypy holds the functions that build a document to its type, at no cost while a command runs; tests hold what the
commands print to the JSON Schemas that Pydantic makes of the same types.
"""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict  # Pydantic reads typing's own from Python 3.12 on

from optselect.trials.terms.configuration import ArgumentValue

SCHEMA: Literal[1] = 1
"""A field that goes, or means something else, needs a new number; one that is added does not."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document_text(document: "Document") -> str:
    """JSON as every reader takes it: a number that is not finite is null."""
    return json.dumps(with_nulls(document), indent=2, allow_nan=False)


def with_nulls(value: Any) -> Any:
    """Replace what JSON lacks, at any depth.

    >>> with_nulls({"mean": float("nan"), "ci": [0.5, float("inf")]})
    {'mean': None, 'ci': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: with_nulls(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_nulls(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_schema(command: str) -> dict[str, Any]:
    """The JSON Schema of what a command prints to --json."""
    made = TypeAdapter(DOCUMENTS[command]).json_schema()
    return {"$schema": DIALECT, **made, "title": f"optselect {command} --json"}


def says(meaning: str, *values: str) -> Any:
    """The meaning of a field, which the reference repeats, and the only values of a string that has few."""
    return Field(description=meaning, json_schema_extra={"enum": list(values)} if values else None)


# --- of what documents are made -----------------------------------------------------------------------


@with_config(ConfigDict(extra="forbid"))
class Part(TypedDict):
    """An object without unknown fields."""


class Document(Part):
    """What a command prints."""

    schema: Annotated[Literal[1], says("Version of these documents.")]


TWO = Field(min_length=2, max_length=2)
# As in verdict/judging.py, which costs SciPy's import.
Outcome = Literal["winner", "tie", "not_enough_evidence"]
StudyName = Annotated[str, says("Name of the study.")]
State = Annotated[str, says("State of the study.", "running", "paused", "stopped", "finished")]
Objective = Annotated[str, says("The metric by which trials are judged, in Keras's words.")]
Direction = Annotated[str, says("Which values of it are better.", "minimize", "maximize")]
Optimizer = Annotated[
    str, says("Keras's class, the user's own class, or baseline: the user's own optimizer.")
]
TrialNumber = Annotated[int | None, says("Optuna's number of the trial; null while it waits.")]
Executor = Annotated[str, says("Who starts the workers.", "local", "slurm", "kubernetes", "ray")]
Arguments = Annotated[dict[str, ArgumentValue], says("Keras's constructor arguments by name.")]
Interval = Annotated[
    list[float | None], TWO, says("Where the mean lies with 95% confidence, from and to; null: unbounded.")
]
Mean = Annotated[float | None, says("Mean over the seeds, in values of the verdict's metric.")]
Seeds = Annotated[int, says("Seeds behind these figures.")]


# --- status, launch, resume ---------------------------------------------------------------------------


class Counts(Part):
    """Trials by state."""

    waiting: Annotated[int, says("Not begun, or given back by a worker that died.")]
    running: Annotated[int, says("A worker trains them now.")]
    complete: Annotated[int, says("Trained to their end.")]
    pruned: Annotated[int, says("Stopped early, by comparison with others of the same optimizer.")]
    diverged: Annotated[int, says("The training loss is not finite or exploded: a result.")]
    failed: Annotated[int, says("They could not be trained: an error.")]


class OptimizerCounts(Counts):
    """Search trials of one optimizer."""

    best: Annotated[float | None, says("Best value of a complete one; null: none yet.")]
    defaults: Annotated[float | None, says("Value of its one run at its defaults; null: none.")]


class Best(Part):
    """The best complete search trial: a single run, so no verdict."""

    trial: TrialNumber
    optimizer: Optimizer
    value: Annotated[float | None, says("Its value of the objective.")]
    params: Arguments


class Worker(Part):
    """A training process that has not signed off."""

    id: Annotated[str, says("UUID of the worker.")]
    host: Annotated[str, says("Name of its machine.")]
    pid: Annotated[int, says("Its process there.")]
    slot: Annotated[int | None, says("Its place below a supervisor; null: it has none.")]
    device: Annotated[str, says("cpu, or the GPU that it has.")]
    seconds_silent: Annotated[float, says("Since its last beat; after a minute it counts as dead.")]
    usage: Annotated[
        dict[str, float],
        says(
            "How busy it was at a recent beat: cpu_percent, memory_bytes, with a GPU gpu_percent, gpu_used_bytes, "
            "gpu_memory_bytes; what is not known is left out."
        ),
    ]
    trials_done: Annotated[int, says("Trials that it has ended.")]
    trials_per_minute: Annotated[float | None, says("Its pace since it began; null before its first trial.")]


class PlacedLaunch(Part):
    """Workers that were asked for together and may still run."""

    launch: Annotated[int, says("Number of the launch, as --launch takes it.")]
    executor: Executor
    external_id: Annotated[str, says("What that engine calls them.")]
    host: Annotated[str, says("The machine from which they were asked for.")]
    workers: Annotated[int, says("How many are wanted.")]
    logs: Annotated[str, says("The engine's own command that shows what they say.")]


class Status(Document):
    """How far a study is."""

    study: StudyName
    state: State
    objective: Objective
    direction: Direction
    budget: Annotated[int, says("Search trials in all; 0 while --minutes has not decided it.")]
    trials: Annotated[Counts, says("Search trials by state.")]
    evaluation: Annotated[dict[str, Counts], says("All other runs by state, for each phase.")]
    by_optimizer: Annotated[dict[str, OptimizerCounts], says("Search trials by state, for each optimizer.")]
    set_aside: Annotated[
        dict[str, str],
        says(
            "Optimizers that were given up because their trials ended their processes, each with the reason."
        ),
    ]
    best: Annotated[Best | None, says("The best search trial; null: none is complete.")]
    programs_built: Annotated[int, says("Programs that the ended trials had compiled.")]
    workers: Annotated[list[Worker], says("Workers on all machines.")]
    launches: Annotated[list[PlacedLaunch], says("Launches whose workers may still run.")]
    storage: Annotated[str, says("Address of the database, without its password.")]
    tracking: Annotated[str | None, says("The study's page in MLflow; null: no server is known.")]


class Launched(Status):
    """How far a study is, and at its end the verdict."""

    verdict: NotRequired[
        Annotated[
            "Verdict | WithoutVerdict",
            says("What report --json prints; absent where nobody was to train here."),
        ]
    ]


# --- trials, show -------------------------------------------------------------------------------------


class Trial(Part):
    """One training."""

    trial: TrialNumber
    phase: Annotated[str, says("What it is for: baseline, quota, survivors, joint, elimination or final.")]
    optimizer: Optimizer
    state: Annotated[str, says("What has become of it.", *Counts.__annotations__)]
    value: Annotated[float | None, says("Value of the objective; null: none yet, or it is not finite.")]
    epochs: Annotated[int, says("Epochs that are written.")]
    params: Annotated[dict[str, ArgumentValue], says("Keras's arguments, each as OPTIMIZER.ARGUMENT.")]
    attempts: Annotated[int, says("How often it was begun: more than once where workers died.")]
    mlflow_run_id: Annotated[str | None, says("Its run in MLflow; null: none yet.")]
    message: Annotated[str | None, says("Why it was pruned, diverged or failed.")]
    step: Annotated[int | None, says("By which of four ways it was trained, 1 being the fastest.")]
    step_reason: Annotated[str | None, says("Why by no faster way.")]
    programs_built: Annotated[int | None, says("Programs compiled for it; null before its end.")]
    cause: Annotated[str | None, says("oom: it ran out of memory.")]


class Trials(Document):
    """The trials of a study, or those that were asked for."""

    trials: Annotated[list[Trial], says("In the order that --sort names.")]


class ShownStudy(Document):
    """What a study does."""

    study: StudyName
    state: State
    bundle_sha256: Annotated[
        str, says("Hash of the problem's source, as --only-bundles and --trust take it.")
    ]
    spec: Annotated[
        dict[str, Any],
        says(
            "Every choice of the study, as it is stored: the keys of a spec file, ranges in what is sampled."
        ),
    ]


class Checkpoint(Part):
    """The newest state of a training."""

    epoch: Annotated[int, says("The epoch after which it was taken.")]
    bytes: Annotated[int, says("Its size.")]
    uri: Annotated[str | None, says("Where it lies; null: in the database.")]


class ShownTrial(Document, Trial):
    """One training with its curve."""

    seed: Annotated[int, says("Of weights, order of rows, and dropout.")]
    why: Annotated[str, says("One sentence on how it ended.")]
    mlflow_url: Annotated[str | None, says("Its page in MLflow; null: no server is known.")]
    checkpoint: Annotated[Checkpoint | None, says("From where it would go on; null: there is none.")]
    curve: Annotated[
        list[dict[str, float | None]],
        says("For each epoch its number as epoch, and each metric by Keras's name; null: not finite."),
    ]


# --- report -------------------------------------------------------------------------------------------


class BesideLeader(Part):
    """A finalist beside the leader, seed by seed."""

    mean: Annotated[float | None, says("Mean difference in cost: above 0 where it is worse than the leader.")]
    ci: Annotated[
        list[float | None],
        TWO,
        says("The interval that decides: where the difference lies; null: unbounded."),
    ]
    confidence: Annotated[
        float, says("With which ci holds, such as 0.985; 1: nothing bounds it, for the seeds are too few.")
    ]
    p: Annotated[
        float | None, says("Two-sided p-value, not corrected: below 1 - confidence where ci leaves out 0.")
    ]
    relation: Annotated[
        Literal["beaten", "equivalent", "ahead", "undecided"],
        says(
            "Read off ci, seen from the leader: beaten or ahead where it leaves out 0 and the mean is not below the "
            "margin, equivalent where it lies within the margin."
        ),
    ]
    seeds: Seeds
    lost_on: Annotated[int, says("Seeds on which it was worse than the leader.")]


class Finalist(Part):
    """One configuration of the finals."""

    optimizer: Optimizer
    mean: Mean
    ci: Interval
    median: Annotated[float | None, says("Median over the seeds, likewise.")]
    p_best: Annotated[float, says("How often it is best when seeds are drawn again: no posterior.")]
    seeds: Seeds
    diverged_share: Annotated[float, says("Share of the seeds on which it diverged.")]
    params: Arguments
    vs_leader: Annotated[BesideLeader | None, says("Beside the leader; null for the leader itself.")]


class Gain(Part):
    """The best tuned optimizer beside the user's own, seed by seed."""

    optimizer: Optimizer
    share: Annotated[
        float, says("What is gained, as a share of what the user's own costs; below 0: it is worse.")
    ]
    ci: Interval
    seeds: Seeds


class Baseline(Part):
    """The user's own optimizer: as a finalist where it ran in the finals."""

    optimizer: Annotated[str, says("Its class.")]
    mean: NotRequired[Mean]
    ci: NotRequired[Interval]
    median: NotRequired[Annotated[float | None, says("Median over the seeds, likewise.")]]
    p_best: NotRequired[Annotated[float, says("How often it is best when seeds are drawn again.")]]
    seeds: NotRequired[Seeds]
    diverged_share: NotRequired[Annotated[float, says("Share of the seeds on which it diverged.")]]
    params: Arguments
    vs_leader: NotRequired[Annotated[BesideLeader | None, says("Beside the leader; null where it leads.")]]
    called: Annotated[str, says("As sentences call it, such as SGD(0.01).")]
    gain: Annotated[Gain | None, says("What tuning has gained; null where it or every tuned one has no run.")]
    code: Annotated[str, says("Its constructor as code.")]


class BesideDefaults(Part):
    """An optimizer at its defaults beside what was tuned of it."""

    optimizer: Optimizer
    default: Annotated[float, says("At its defaults: the mean over the seeds, or the value of one run.")]
    tuned: Annotated[float | None, says("Tuned, likewise, or of the best trial; null: none came to a value.")]
    better: Annotated[Literal["defaults", "tuned"], says("Which of the two is better.")]
    share: Annotated[
        float | None,
        says("What tuning gained of what the defaults cost, below 0: it lost; null: single runs."),
    ]
    ci: Annotated[list[float | None] | None, says("Where that lies with 95% confidence; null: single runs.")]
    seeds: Annotated[
        int,
        says("Fresh seeds of both, judged by the verdict's metric; 0: single runs, judged by the objective."),
    ]


class Verdict(Document):
    """What the finals say."""

    study: StudyName
    outcome: Annotated[
        Outcome,
        says(
            "winner: it beats all others. tie: who is not beaten is equal to the leader. Else not_enough_evidence."
        ),
    ]
    winner: Annotated[str | None, says("Of the ranking, the one that beats all; null: none does.")]
    tie: Annotated[
        list[str], says("Of the ranking, the leader and those who are equal to it; everyone else is beaten.")
    ]
    leader: Annotated[str, says("Of the ranking, the one with the lowest mean cost.")]
    keep: Annotated[
        str,
        says(
            "Of the ranking, the one to use: without enough evidence baseline, unless the leader beats the user's own."
        ),
    ]
    margin: Annotated[float, says("Within which two are equal, as a share of the leader's mean cost.")]
    bound: Annotated[
        float | None,
        says(
            "No other one is better than the leader by more than this share of its cost, by the intervals of the "
            "ranking; null: the seeds do not tell."
        ),
    ]
    metric: Annotated[str, says("What the figures are of: the objective, or test loss.")]
    direction: Direction
    tested: Annotated[bool, says("Whether they come from data that no choice has seen.")]
    ranking: Annotated[list[Finalist], says("The leader first.")]
    defaults: Annotated[list[BesideDefaults], says("Each optimizer that was trained at its defaults.")]
    baseline: Annotated[Baseline, says("The user's own optimizer.")]
    dropped: Annotated[
        dict[str, str], says("Optimizers that were given up on the way, each with the reason.")
    ]
    answer: Annotated[str, says("The verdict in words.")]
    evidence: Annotated[list[str], says("On what it rests, in sentences.")]
    warnings: Annotated[list[str], says("What to mind, in sentences.")]
    to_settle: Annotated[list[str], says("What would settle an open question, in sentences with commands.")]
    code: Annotated[
        str,
        says(
            "The optimizer to use, as code; without enough evidence the leader, with a comment that says so."
        ),
    ]


class WithoutVerdict(Document):
    """Why there is no verdict."""

    study: StudyName
    outcome: Annotated[None, says("Always null.")]
    winner: Annotated[None, says("Always null.")]
    tie: Annotated[list[str], says("Always empty.")]
    ranking: Annotated[list[Finalist], says("Always empty.")]
    answer: Annotated[str, says("The reason, in words.")]


# --- compare, studies ---------------------------------------------------------------------------------


class BestOfSide(Part):
    """The best complete search trial: a single run."""

    trial: TrialNumber
    optimizer: Optimizer
    value: Annotated[float | None, says("Its value of the objective.")]


class ComparedStudy(Part):
    """One of two studies."""

    study: StudyName
    state: State
    budget: Annotated[int, says("Search trials in all.")]
    trials: Annotated[int, says("Search trials that have ended.")]
    objective: Objective
    problem: Annotated[str, says("Name of its problem file.")]
    data_sha256: Annotated[str, says("Hash of its data, behind first-batch: where only that was read.")]
    best: Annotated[BestOfSide | None, says("The best search trial; null: none is complete.")]
    outcome: Annotated[Outcome | None, says("Of its verdict; null: it has none.")]
    keep: Annotated[str | None, says("The one to use by its verdict.")]
    answer: Annotated[str, says("Its verdict in words, or why there is none.")]


class Distance(Part):
    """How far apart the two choices are, in cost."""

    mean: Annotated[float | None, says("Mean difference: above 0 where the second study's choice is worse.")]
    ci: Interval
    share: Annotated[float | None, says("The same as a share of what the first study's choice costs.")]
    p: Annotated[float | None, says("Two-sided p-value of the difference.")]
    seeds: Annotated[
        int, says("Seeds common to both; 0: they have none, and the runs are compared as they are.")
    ]


class ComparedPair(Document):
    """Two studies side by side."""

    studies: Annotated[list[ComparedStudy], TWO, says("In the order that was typed.")]
    differences: Annotated[list[str], says("What differs, each as NAME OLD -> NEW.")]
    comparable: Annotated[bool, says("Whether their values measure the same.")]
    obstacles: Annotated[list[str], says("Why they do not; empty where they do.")]
    together: Annotated[str, says("What may be said of both, in words.")]
    distance: Annotated[Distance | None, says("Null where they are not comparable, or both say the same.")]


class ListedStudy(Part):
    """One study of the database."""

    name: StudyName
    state: State
    budget: Annotated[int, says("Search trials in all; 0 while --minutes has not decided it.")]
    done: Annotated[int, says("Search trials that have ended.")]
    best: Annotated[float | None, says("Best value of a complete one; null: none yet.")]
    objective: Objective
    created_at: Annotated[str, says("When it was launched first, by ISO 8601.")]


class Studies(Document):
    """All studies of the database."""

    studies: Annotated[list[ListedStudy], says("The oldest first.")]


# --- optimizers ---------------------------------------------------------------------------------------


class Range(Part):
    """What is searched of one constructor argument."""

    keyword: Annotated[
        str, says("Keras's constructor argument, or warmup_fraction, which becomes warmup_steps.")
    ]
    scale: Annotated[
        Literal["log", "linear", "integer", "integer log", "complement", "choice", "fixed"],
        says("How it is sampled; complement: the logarithm of 1 - x."),
    ]
    low: Annotated[float, says("Lowest sampled value, of 1 - x where the scale is complement; 0 of choices.")]
    high: Annotated[float, says("Highest sampled value, likewise.")]
    choices: Annotated[list[ArgumentValue], says("The values of a choice; empty: it is a range.")]


Ranges = list[Range]
FirstTier = Annotated[Ranges, says("What is searched first.")]
SecondTier = Annotated[Ranges, says("What is searched with more trials.")]


class CatalogueEntry(Part):
    """One optimizer of the catalogue."""

    optimizer: Annotated[str, says("Keras's class.")]
    default: Annotated[bool, says("Whether a study tries it unless told otherwise.")]
    tier_1: FirstTier
    tier_2: SecondTier
    source: Annotated[str, says("Where the ranges come from.")]
    remark: Annotated[str, says("What to know of it; may be empty.")]


class Parameter(Part):
    """One argument of a class's constructor."""

    default: Annotated[ArgumentValue, says("Its default; null also where that is no plain value.")]
    shown: Annotated[str, says("The default as Python writes it; empty: there is none.")]
    is_required: Annotated[bool, says("Whether it must be given.")]


class OwnClass(Part):
    """A class of the user's own."""

    optimizer: Annotated[str, says("Its name.")]
    reference: Annotated[str, says("FILE:CLASS or MODULE:CLASS, as --optimizers takes it.")]
    parameters: Annotated[dict[str, Parameter], says("Its constructor's arguments by name.")]
    tier_1: FirstTier
    tier_2: SecondTier
    search_space: Annotated[Ranges, says("What the class itself says of its ranges.")]
    source: Annotated[str, says("Where the ranges come from.")]


class Optimizers(Document):
    """What can be searched."""

    optimizers: Annotated[
        list[CatalogueEntry | OwnClass], says("The catalogue, or the one that was asked for.")
    ]


# --- pause, stop, scale -------------------------------------------------------------------------------


class Ordered(Document):
    """What pause or stop has changed."""

    study: StudyName
    state: State
    state_before: Annotated[str, says("State before; the same one where nothing had to change.")]
    running: Annotated[int, says("Trials that run at this moment.")]


class Scaled(Document):
    """What scale has changed."""

    study: StudyName
    launch: Annotated[int, says("Number of the launch.")]
    executor: Executor
    workers: Annotated[int, says("How many are wanted now.")]
    workers_before: Annotated[int, says("How many were wanted before.")]


# --- sync, delete, db status --------------------------------------------------------------------------


class Sent(Document):
    """What sync has sent to MLflow."""

    study: StudyName
    runs: Annotated[int, says("Runs that were ended there.")]
    points: Annotated[int, says("Points of curves that were sent.")]
    left: Annotated[int, says("Trials that have not ended: theirs follow.")]
    refused: Annotated[list[str], says("What MLflow refuses of which trial, a sentence each.")]


class SyncCheck(Document):
    """What sync --check has compared."""

    study: StudyName
    same: Annotated[bool, says("Whether MLflow has every point of Postgres.")]
    runs: Annotated[int, says("Runs that were compared.")]
    points: Annotated[int, says("Points that were compared.")]
    difference: Annotated[str | None, says("The first difference in words; null: none.")]


class Deleted(Document):
    """What is gone."""

    study: StudyName
    mlflow: Annotated[bool, says("Whether its experiment went to MLflow's trash.")]
    trials: Annotated[int, says("Trials that had begun.")]
    epochs: Annotated[int, says("Their epochs.")]
    checkpoints: Annotated[int, says("Their checkpoints.")]
    checkpoint_bytes: Annotated[int, says("Size of these.")]
    workers: Annotated[int, says("Workers that served it: always 0, for delete refuses otherwise.")]


Versions = Annotated[
    dict[str, str],
    says("What made the tables: revision, optselect, optuna, ...; empty: no tables, or no server runs."),
]


class EmbeddedDatabase(Document):
    """The database of OPTSELECT_HOME."""

    embedded: Annotated[Literal[True], says("Always true.")]
    home: Annotated[str, says("OPTSELECT_HOME.")]
    running: Annotated[bool, says("Whether its server runs.")]
    address: Annotated[str | None, says("Address of the server; null while it does not run.")]
    data_directory: Annotated[str | None, says("Its folder; null before its first start.")]
    version: Annotated[str | None, says("PostgreSQL's version.")]
    size_bytes: Annotated[int, says("Size of the folder.")]
    versions: Versions


class ServerDatabase(Document):
    """A database of a server that --storage or OPTSELECT_STORAGE names."""

    embedded: Annotated[Literal[False], says("Always false.")]
    running: Annotated[Literal[True], says("Always true: a server that does not answer is a failure.")]
    url: Annotated[str, says("Its address, without the password.")]
    versions: Versions


# --- init, check, plan --------------------------------------------------------------------------------


class Written(Document):
    """What init has written."""

    files: Annotated[list[str], says("The problem file and the spec file.")]


class CheckedThing(Part):
    """One thing that a launch needs."""

    name: Annotated[
        str, says("database, MLflow, devices, model and data, objective, seeds, or an optimizer.")
    ]
    is_ok: Annotated[bool, says("Whether it is as it must be.")]
    detail: Annotated[str, says("What was found, or what is wrong and how to mend it.")]


class Checks(Document):
    """Whether a launch would work here."""

    problem: Annotated[str, says("The problem as it was named.")]
    is_ok: Annotated[bool, says("Whether everything is; else the exit code is not 0.")]
    checks: Annotated[list[CheckedThing], says("In the order in which they were tried.")]


class PlannedOptimizer(Part):
    """One optimizer's part of the budget."""

    optimizer: Annotated[
        str, says("Its class; baseline; survivors: whoever is still in the race; any: one for all.")
    ]
    defaults: Annotated[int, says("Runs at its defaults.")]
    search: Annotated[int, says("Search trials.")]
    seconds_per_epoch: Annotated[float | None, says("Projected from a few batches; null: not measured.")]
    seconds_begin: Annotated[float, says("Until a first epoch has ended: building and compiling.")]


class Plan(Document):
    """What a launch would do and cost."""

    study: StudyName
    trials: Annotated[int, says("Search trials; 0 where --minutes decides.")]
    epochs: Annotated[int, says("Of each trial, at most.")]
    objective: Objective
    direction: Direction
    workers: Annotated[int, says("Training processes that share the work.")]
    optimizers: Annotated[list[PlannedOptimizer], says("The user's own first.")]
    evaluation_runs: Annotated[
        Annotated[list[int], TWO] | None,
        says("Runs on fresh seeds, the fewest and the most; null where --minutes decides."),
    ]
    seconds: Annotated[
        Annotated[list[float], TWO] | None,
        says("The shortest and the longest way to a verdict; null: not known."),
    ]
    memory_bytes: Annotated[int, says("Of each worker.")]


DOCUMENTS: Mapping[str, Any] = MappingProxyType(
    {
        "init": Written,
        "check": Checks,
        "plan": Plan,
        "launch": Launched,
        "resume": Launched,
        "scale": Scaled,
        "pause": Ordered,
        "stop": Ordered,
        "report": Verdict | WithoutVerdict,
        "status": Status,
        "trials": Trials,
        "show": ShownStudy | ShownTrial,
        "compare": ComparedPair,
        "studies": Studies,
        "optimizers": Optimizers,
        "sync": Sent | SyncCheck,
        "delete": Deleted,
        "db status": EmbeddedDatabase | ServerDatabase,
    }
)
"""The document of each command that has --json, in the order of their help; of several it prints one."""
