"""How is a study made, or found to be the same one?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from optselect.search.bundles.same_files import demand_same_files, demand_same_weights, has_pretrained
from optselect.search.bundles.source import bundle_hash, local_hash, read_bundle
from optselect.search.context import Context
from optselect.search.describing.child import Describer
from optselect.search.describing.crowd import Crowd
from optselect.search.errors import InvalidInput
from optselect.search.names import demand_apart
from optselect.search.spec.custom import knows_all, notes, resolved
from optselect.search.spec.objective import Objective, difference_today, settled
from optselect.search.spec.stored import stored_description, stored_spec
from optselect.search.spec.study_spec import SPEC_VERSION, Request, StudySpec, differences
from optselect.search.studies.in_process import InProcessDescriber
from optselect.search.voice import note
from optselect.storage.records import studies
from optselect.storage.records.checkpoint_files import check_place
from optselect.storage.records.studies import NewStudy, StoredStudy
from optselect.storage.records.trial_files import folder_of_trial
from optselect.storage.server.database import Database, Engine
from optselect.trials.terms.bundled import is_bundled
from optselect.trials.terms.description import ProblemDescription


def find_or_create(
    request: Request,
    name: str,
    problem: Path,
    describer: Describer | Crowd | InProcessDescriber,
    database: Database,
    engine: Engine,
    context: Context,
) -> StoredStudy:
    """The study of that name where it is the same one, else a new one; raises InvalidInput where it is another."""
    bundled = is_bundled(request.problem)
    stored = studies.find_study(engine, name)
    if stored is not None:
        return attached(stored, request, problem, describer, bundled)
    demand_apart(name, studies.study_names(engine))
    description = describer.result()
    spec = resolved(request, description, bundled)
    bundle = read_bundle(problem, description.modules, spec.custom)
    warnings = (
        *description.warnings,
        description.seeds_note,
        description.modules_note,
        *notes(spec, description.optimizers),
        spec.few_trials,
    )
    for warning in filter(None, warnings):
        note(warning)
    study = create(new_study(name, spec, description, bundle, context), spec, database, engine)
    if description.moved:
        place_of_files = folder_of_trial(study, database.home, "NUMBER")
        note(files_line(description.moved, place_of_files))
    return study


def files_line(callbacks: Sequence[str], folder: Path) -> str:
    """Where the callbacks that write files write them.

    >>> files_line(["CSVLogger", "ModelCheckpoint"], Path("/home/me/files/digits-1/trial-NUMBER"))
    'CSVLogger and ModelCheckpoint write below a folder of each trial: /home/me/files/digits-1/trial-NUMBER'
    """
    return f"{' and '.join(callbacks)} write below a folder of each trial: {folder}"


def is_described(stored: StoredStudy, request: Request, problem: Path) -> bool:
    """Whether the source and the classes that a request names are those of a stored study."""
    spec = stored_spec(stored)
    same = local_hash(problem, stored.bundle, spec.custom) == stored.bundle_sha256
    return same and knows_all(request, stored_description(stored).optimizers)


def tells_direction(stored: StoredStudy, typed: str) -> bool:
    """Whether the stored description is enough to judge an objective; an older one knows metrics by their names only."""
    is_said = typed.strip() != stored.objective or stored.objective == "val_loss"
    return is_said or bool(stored_description(stored).known_metrics)


def attached(
    stored: StoredStudy,
    request: Request,
    problem: Path,
    describer: Describer | Crowd | InProcessDescriber,
    bundled: bool,
) -> StoredStudy:
    """Refuse another study and other files; of the same one say where a launch of today would do otherwise."""
    typed = request.objective
    sampler = request.sampler or stored_spec(stored).sampler  # whoever says none takes that of the study
    request = replace(request, objective=settled(typed, Objective.of(stored)), sampler=sampler)
    is_same = is_described(stored, request, problem)  # then there is no need to build the model
    is_described_anew = not is_same or not tells_direction(stored, typed) or has_pretrained(stored)
    description = describer.result() if is_described_anew else stored_description(stored)
    # A stored study keeps its description: what is looked at since then is no difference of the spec.
    spec = resolved(request, stored_description(stored) if is_same else description, bundled)
    own = (
        stored.bundle_sha256
        if is_same
        else bundle_hash(read_bundle(problem, description.modules, spec.custom))
    )
    refuse_another(stored, spec, own)
    if typed.strip() == stored.objective:  # else the direction was said
        note_direction(stored, description)
    demand_same_files(stored, problem)
    if is_described_anew:
        demand_same_weights(stored, description)
    describer.close()
    return stored


def note_direction(stored: StoredStudy, description: ProblemDescription) -> None:
    """Say where today's direction is not that of the stored study."""
    if today := difference_today(Objective.of(stored), description.known_metrics):
        note(f"study {stored.name} keeps {today}.")


def new_study(
    name: str, spec: StudySpec, problem: ProblemDescription, bundle: dict[str, str], context: Context
) -> NewStudy:
    return NewStudy(
        name=name,
        spec=spec.model_dump(mode="json"),
        spec_version=SPEC_VERSION,
        problem=problem.to_json(),
        bundle=bundle,
        bundle_sha256=bundle_hash(bundle),
        data_hash=problem.data_hash,
        versions=dict(problem.versions),
        objective=spec.objective,
        direction=spec.direction,
        tracking_uri=context.tracking,
        checkpoints=None if context.checkpoints is None else check_place(context.checkpoints),
    )


def create(study: NewStudy, spec: StudySpec, database: Database, engine: Engine) -> StoredStudy:
    """Store the study and its first tickets; where another launcher was faster, its study must be the same."""
    # Optuna and SciPy cost a second: only where they are needed.
    from optselect.search.strategy.asking import create_optuna_study
    from optselect.search.strategy.choosing import first_step
    from optselect.storage.optuna_tables.storage import optuna_storage

    storage = optuna_storage(database, engine=engine)  # it asks for its tables: before the transaction
    with studies.creating(engine) as connection:
        stored = studies.find_study(connection, study.name)
        if stored is None:
            with storage.part_of(connection):
                create_optuna_study(storage, study.name, Objective.of(spec))
            step = first_step(spec)
            decisions = () if step.decision is None else (step.decision,)
            return studies.insert_study(connection, study, step.tickets, spec.trials, decisions)
    refuse_another(stored, spec, study.bundle_sha256)
    return stored


def refuse_another(stored: StoredStudy, wanted: StudySpec, wanted_hash: str) -> None:
    changes = list(differences(stored_spec(stored), wanted))
    if wanted_hash != stored.bundle_sha256:
        changes.append(f"the problem's source {stored.bundle_sha256[:12]} -> {wanted_hash[:12]}")
    if changes:
        raise InvalidInput(
            f'Study "{stored.name}" exists with another spec: {"; ".join(changes)}. '
            f"Launch this one under another --name, or go on with the stored one: optselect resume {stored.name}"
        )
