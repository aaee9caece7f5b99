"""How does a ticket become an Optuna trial, and what is Optuna told at its end?

Optuna is driven by ask and tell: study.optimize, Optuna's heartbeat and its queue lose trials when workers
die. The trial is created with its ticket's marks in one transaction, so that no unmarked orphan can remain.
"""

import contextlib
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from optselect.search.spec.objective import Objective
from optselect.storage.optuna_tables.storage import PatientStorage, optuna_storage
from optselect.storage.records.tickets import Ticket, TrialEnding
from optselect.storage.server.database import Connection, Database, Engine, outage_seconds


def create_optuna_study(storage: PatientStorage, name: str, objective: Objective) -> None:
    """Make the Optuna study where it is missing; its pages call the value by the objective's name."""
    quiet_optuna()
    # Optuna's own load_if_exists ends a transaction of which this is a part.
    make = partial(optuna.create_study, direction=objective.direction)
    make_or_load = optuna.load_study if storage.has_study(name) else make
    study = make_or_load(study_name=name, storage=storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.name])


def load_optuna_study(database: Database, name: str, engine: Engine | None = None) -> optuna.Study:
    """The Optuna study of that name, on a storage that waits out a lost database.

    `engine` lends its connections; without one the storage has its own.
    """
    quiet_optuna()
    storage = optuna_storage(database, engine=engine, patience_seconds=outage_seconds(os.environ))
    return optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())


def quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


# --- ask ----------------------------------------------------------------------------------------------


def ask_for(study: optuna.Study, ticket: Ticket) -> Trial:
    """A new trial that bears its ticket's marks from its first moment.

    Like `study.ask` with a template: its public form would set the marks afterwards, and a worker killed
    between the two would leave an orphan that nobody can attribute.
    """
    marks = optuna.trial.create_trial(
        state=TrialState.RUNNING,
        user_attrs={
            "ticket": ticket.id,
            "token": str(ticket.token),
            "phase": ticket.phase,
            "seed": ticket.seed,
        },
        system_attrs={"fixed_params": dict(ticket.fixed_params)},
    )
    study._thread_local.cached_all_trials = None
    trial_id = study._storage.create_new_trial(study._study_id, template_trial=marks)
    return Trial(study, trial_id)


def adopt(study: optuna.Study, trial_id: int) -> Trial:
    """The trial that an earlier worker asked for; `suggest` returns what is stored and samples the rest."""
    study._thread_local.cached_all_trials = None
    # Suggesting looks the trial up in this process's cache, which only a full read fills.
    study.get_trials(deepcopy=False)
    return Trial(study, trial_id)


# --- tell ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explosion:
    """What Optuna must know of a diverged training: the earlier it exploded, the worse it ranks."""

    epoch: int
    epochs: int
    cap: float
    """A finite stand-in for the objective, for plots; the constraint decides the rank."""

    @property
    def violation(self) -> float:
        return 1.0 + (self.epochs - self.epoch) / self.epochs


def explosion(objective: Objective, initial: Mapping[str, float], epoch: int, epochs: int) -> Explosion:
    """Losses are capped at L0 + 10 |L0|, scores at the untrained model's value."""
    cap = objective.stand_in(initial.get(objective.name, math.nan))
    return Explosion(epoch=max(1, epoch), epochs=epochs, cap=cap)


@contextlib.contextmanager
def told_within(study: optuna.Study, connection: Connection) -> Iterator[None]:
    """Let what Optuna is told in the block be written by an open transaction, or not at all."""
    with study._storage._backend.part_of(connection):  # type: ignore[attr-defined]  # of Optuna's cache
        yield


OPTUNAS_NOTES = frozenset({"step", "step_reason", "cause"})
"""What Optuna's tables get of a training's notes, as user attributes."""


def tell_ending(trial: Trial, ending: TrialEnding, exploded: Explosion | None) -> None:
    """Tell Optuna how a trial ended; safe to repeat, for the first answer stays.

    A diverged training is PRUNED with a violated constraint, not FAIL: samplers do not see failed trials
    and would walk off the same cliff again.
    """
    study, number = trial.study, trial.number
    trial.set_user_attr("outcome", ending.outcome)
    for name in OPTUNAS_NOTES & ending.notes.keys():
        trial.set_user_attr(name, ending.notes[name])
    if ending.outcome == "complete":
        study.tell(trial, ending.value, skip_if_finished=True)
    elif ending.outcome == "failed" and exploded is None:
        trial.set_user_attr("failure", ending.message)
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    else:
        if exploded is not None:
            report(trial, exploded.cap, exploded.epoch)
            trial.set_constraint("diverged", exploded.violation)
            trial.set_user_attr("diverged_epoch", exploded.epoch)
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)


def tell_passed_over(trial: Trial, ending: TrialEnding, worst: Explosion) -> None:
    """Tell Optuna of a place that was not tried because it is known to be bad."""
    trial.set_user_attr("failure", ending.message)
    tell_ending(trial, ending, worst)


def tell_pruned(trial: Trial, ending: TrialEnding, reached: float) -> None:
    """Tell Optuna of a trial that was cut at a rung; samplers rank it by how far it came, then by its value."""
    if not math.isnan(reached):
        report(trial, reached, ending.epochs)
    tell_ending(trial, ending, None)


def report(trial: Trial, value: float, epoch: int) -> None:
    """Like `trial.report`, which would not repeat what it believes to be written."""
    trial.study._storage.set_trial_intermediate_value(trial._trial_id, epoch, value)


def tell_orphans(study: optuna.Study, numbers: Sequence[int]) -> None:
    """Tell FAIL for trials that belong to no ticket: they must not stay RUNNING."""
    for number in numbers:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def ending_already_told(told: FrozenTrial, epochs: int) -> TrialEnding:
    """The ending of a trial whose worker died between telling Optuna and marking the ticket."""
    default = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return TrialEnding(
        outcome=str(told.user_attrs.get("outcome", default[told.state])),
        epochs=epochs,
        value=told.value if told.state == TrialState.COMPLETE else None,
        message=str(told.user_attrs.get("failure", "")),
        notes={name: told.user_attrs[name] for name in OPTUNAS_NOTES & told.user_attrs.keys()},
    )
