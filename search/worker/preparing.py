"""What must be ready before a training process claims its first ticket? The problem, its rows, weights and programs."""

import logging
import math
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from optselect.search.bundles.same_files import reading_folders
from optselect.search.bundles.source import find_classes
from optselect.search.spec.stored import stored_description, stored_spec
from optselect.search.spec.study_spec import TRIALS_EACH, StudySpec
from optselect.search.strategy.choosing import strategy_of
from optselect.search.strategy.seeds import search_seed, seeds_beside
from optselect.search.worker.same_data import demand_same_data
from optselect.storage.records.phases import decide_once
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Database, Engine, patiently
from optselect.storage.server.environment import number_in
from optselect.trials.data.fingerprint import hash_data
from optselect.trials.data.kept_rows import KeptRows, folder_of_rows
from optselect.trials.data.loading import Loading
from optselect.trials.describing.first_operation import run_first_operation
from optselect.trials.problem.initial_weights import Values
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.problem.user_files import hash_named
from optselect.trials.programs.jit import choose_jit
from optselect.trials.programs.shared_rows import share_rows
from optselect.trials.terms.listed_code import ListedCode
from optselect.trials.training.device import limit_memory
from optselect.trials.weights.weight_files import Origin, WeightFiles, made_by_children

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """What a training process was given to do."""

    database: Database
    engine: Engine
    study: StoredStudy
    source: Path  # the problem file
    lease_seconds: float
    max_trials: int | None = None
    slot: int | None = None
    use_local: bool = False  # whatever data() gives here is trained
    gives_way: bool = False  # to studies that are worse off
    weights: Path | None = None  # where initial weights are kept; None: made in this very process
    rows: Path | None = None  # where what data() gave is kept; None: it is called in this very process
    rows_since: float = 0.0  # when the command began that wants its rows seen to be what data() gives
    stuck_seconds: float = math.inf  # for ever: under a debugger a training may stand still
    listed: ListedCode | None = None  # the only code that may run besides what is installed; None: any


def prepared_problem(assignment: Assignment, spec: StudySpec) -> Problem:
    """The problem as the study's trainings want it; raises ProblemError, InvalidInput, WeightsChanged."""
    if most := int(number_in(os.environ, "OPTSELECT_GPU_MEGABYTES", 0)):
        limit_memory(most)
    rows = rows_of(assignment)
    problem = load_problem(
        assignment.source,
        spec.epochs,
        find_classes(assignment.study, assignment.source, assignment.database.home),
        jit=spec.jit == "on",
        precision=spec.precision,
        listed=assignment.listed,
        rows=rows,
        loading=Loading(log.info),
    )
    run_first_operation()
    if not assignment.use_local:
        demand_same_data(problem, assignment.study)
    if assignment.weights is not None:
        data_hash = hash_of_data(assignment, problem)
        find = kept_weights(assignment, problem, data_hash, assignment.weights, rows)
        problem.initial_weights = problem.initial_weights.found_by(find)
    if assignment.rows is not None:
        folder = folder_of_rows(assignment.rows, hash_of_data(assignment, problem))
        problem.data = share_rows(problem.data, folder, problem.validation_batch_size)
    if spec.jit == "auto":
        problem.decide_jit(jit_of(assignment, spec, problem))
    return problem


def rows_of(assignment: Assignment) -> KeptRows | None:
    """Where the study's rows are kept on this machine; under --use-local they are whatever data() gives."""
    if assignment.rows is None or assignment.use_local:
        return None
    return KeptRows.of(assignment.rows, assignment.study.data_hash, assignment.rows_since)


def hash_of_data(assignment: Assignment, problem: Problem) -> str:
    return hash_data(problem.data) if assignment.use_local else assignment.study.data_hash


def kept_weights(
    assignment: Assignment, problem: Problem, data_hash: str, folder: Path, rows: KeptRows | None
) -> Callable[[int], Values]:
    """Find initial weights in files, for seeding TensorFlow would spoil this process."""
    modules = assignment.study.bundle
    files = WeightFiles.of(folder, problem.path, modules, data_hash, origin_of(assignment, problem))
    find = made_by_children(files, problem.path, seeds_beside, problem.precision, rows, assignment.listed)
    if not files.is_begun:  # on another machine: it must begin as the study does, before a trial is claimed
        find(search_seed(stored_spec(assignment.study).seed, 0))
    return find


def origin_of(assignment: Assignment, problem: Problem) -> Origin:
    """What the weights of the study come from; under --use-local, from whatever is here now."""
    stored = stored_description(assignment.study)
    if not assignment.use_local:
        return Origin(stored.files, stored.weights)
    folders = reading_folders(assignment.study, problem.path)
    may_be_read = stored.weights is None or stored.weights.kept  # from a file that nobody has seen
    token = uuid.uuid4().hex if may_be_read else ""
    return Origin(hash_named({*stored.files, *problem.files}, folders), token=token)


def jit_of(assignment: Assignment, spec: StudySpec, problem: Problem) -> bool:
    """Whether XLA compiles this study's trainings: measured once, by the first process that asks."""
    budget = assignment.study.budget or TRIALS_EACH["medium"] * len(spec.optimizers)
    trials, seed = budget + strategy_of(spec).evaluation_runs(budget), search_seed(spec.seed, 0)

    def measure() -> dict[str, object]:
        choice = choose_jit(problem, seed, spec.epochs, trials, len(spec.optimizers))
        log.info("XLA %s: %s", "is taken" if choice.jit else "is not taken", choice.reason)
        return {"jit": choice.jit, "because": choice.reason}

    decision = patiently(lambda: decide_once(assignment.engine, assignment.study.id, "jit", measure))
    return bool(decision["jit"])
