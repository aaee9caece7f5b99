"""What does a training process do? Claim a ticket, ask or resume its trial, train, tell; until none is left.

All state lives in Postgres: the process may die at any line and loses nothing but the epochs since its last
write. Importing this file imports TensorFlow; joining.py has checked everything else by then.
"""

import logging
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.trial import Trial

from optselect.search.departure import Departure, kept_lease
from optselect.search.describing import stored_description
from optselect.search.exit_codes import WorkerExit
from optselect.search.phases import next_step
from optselect.search.pruner import FEWEST_TRIALS_TO_CUT, promoted, rungs
from optselect.search.space import suggest_optimizer
from optselect.search.spec import StudySpec
from optselect.search.study import (
    adopt,
    ask_for,
    ending_already_told,
    explosion,
    install_sampler,
    load_optuna_study,
    tell_ending,
    tell_orphans,
    tell_pruned,
)
from optselect.storage import curves, tickets, workers
from optselect.storage.database import Connection, Database, Engine, again
from optselect.storage.errors import LeaseLost
from optselect.storage.phases import plan_next
from optselect.storage.studies import StoredStudy, study_state
from optselect.storage.tickets import Ending, Lease, Orders, Ticket
from optselect.trials.configuration import BASELINE, Configuration, OptimizerConfig
from optselect.trials.outcome import Epoch, Outcome, Stop, TrialResult
from optselect.trials.problem import Problem, load_problem
from optselect.trials.trainer import run_trial

log = logging.getLogger(__name__)

TRIALS_PER_PROCESS = 1000
"""After so many trials a process asks for a fresh one: what leaks in a training process ends with it."""
IDLE_SECONDS = 0.5

Answer = TypeVar("Answer")


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


def work(assignment: Assignment, departure: Departure) -> int:
    """Train until nothing is left or the departure is wanted; returns the worker's exit code."""
    trainer = Trainer.prepare(assignment, departure)
    departure.begin()
    workers.register_worker(
        assignment.engine,
        assignment.study.id,
        trainer.worker_id,
        slot=assignment.slot,
        device=visible_device(),
    )
    code = trainer.work()
    workers.sign_off(assignment.engine, trainer.worker_id)
    return code


def visible_device() -> str:
    device = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"GPU {device}" if device else "CPU"


# --- the loop -----------------------------------------------------------------------------------------


@dataclass
class Trainer:
    """Everything one worker process holds while it serves one study."""

    assignment: Assignment
    spec: StudySpec
    problem: Problem
    optuna_study: optuna.Study
    departure: Departure
    worker_id: uuid.UUID = field(default_factory=uuid.uuid4)
    programs: dict[object, object] = field(
        default_factory=dict
    )  # of the trainer; it alone knows what they are

    @classmethod
    def prepare(cls, assignment: Assignment, departure: Departure) -> "Trainer":
        """Load the user's code last: our own imports are complete by then, and the user's modules may win."""
        optuna_study = load_optuna_study(assignment.database, assignment.study.name)
        spec = StudySpec.model_validate(assignment.study.spec)
        problem = load_problem(assignment.source, spec.epochs)
        return cls(assignment, spec, problem, optuna_study, departure)

    @property
    def engine(self) -> Engine:
        return self.assignment.engine

    @property
    def study(self) -> StoredStudy:
        return self.assignment.study

    def work(self) -> int:
        """Train until nothing is left; orphans are told before and after, when a worker may have died."""
        self.tell_orphans()
        code = self.train_tickets()
        self.tell_orphans()
        return code

    def tell_orphans(self) -> None:
        tell_orphans(self.optuna_study, lambda: tickets.read_holdings(self.engine, self.study.id))

    def train_tickets(self) -> int:
        trained = 0
        while not self.departure.wanted:
            if trained >= (self.assignment.max_trials or TRIALS_PER_PROCESS):
                return WorkerExit.DONE if self.assignment.max_trials else WorkerExit.RETRY
            ticket = self.claim()
            if ticket is not None:
                trained += self.train(ticket)
            elif self.nothing_left():
                return WorkerExit.DONE
            else:
                self.departure.wait(IDLE_SECONDS)
        return WorkerExit.INTERRUPTED if self.departure.interrupted else WorkerExit.RETRY

    def claim(self) -> Ticket | None:
        return patiently(
            lambda: tickets.claim_ticket(
                self.engine, self.study.id, self.worker_id, self.assignment.lease_seconds
            )
        )

    def nothing_left(self) -> bool:
        state = patiently(lambda: study_state(self.engine, self.study.id))
        undone = patiently(lambda: tickets.count_undone(self.engine, self.study.id))
        return state == "stopped" or undone == 0

    def train(self, ticket: Ticket) -> bool:
        """One ticket from claim to end; False where it was not ours to finish."""
        beat = kept_lease(
            lambda: tickets.renew_lease(self.engine, ticket.lease, self.assignment.lease_seconds),
            self.assignment.lease_seconds / 6,
        )
        with beat as lost, self.departure.giving_back(self.engine, ticket.lease):
            try:
                return self.train_claimed(ticket, lost)
            except LeaseLost as error:
                log.warning("%s", error)
                return False

    def train_claimed(self, ticket: Ticket, lost: threading.Event) -> bool:
        trial, ended = self.trial_of(ticket)
        if ended is not None:
            self.finish(ticket, ended, tell=lambda: None)
            return True
        assert trial is not None
        if ticket.attempts_exhausted:
            return self.give_up(ticket, trial)
        config = self.suggest(ticket, trial)
        patiently(lambda: tickets.restart_after(self.engine, ticket.lease, 0))
        log.info(
            "trial %d: %s, seed %d, attempt %d", trial.number, shown(config), ticket.seed, ticket.attempt
        )
        rungs = self.rungs_of(ticket)
        reporter = Reporter(self.engine, ticket.lease, self.assignment.lease_seconds, self.departure, lost)
        reporter.cut = lambda epoch: self.why_cut(replace(ticket, optimizer=config.optimizer), epoch, rungs)
        started = time.monotonic()
        result = self.run(config, ticket, reporter)
        reporter.reraise()
        cut_because = reporter.cut_because if result.outcome is Outcome.STOPPED else ""
        if result.outcome is Outcome.STOPPED and not cut_because:
            patiently(lambda: tickets.give_back(self.engine, ticket.lease))
            return False
        self.conclude(ticket, trial, result, time.monotonic() - started, cut_because)
        return True

    # --- the trial ---

    def trial_of(self, ticket: Ticket) -> tuple[Trial | None, Ending | None]:
        """The ticket's Optuna trial, or how it ended already."""
        install_sampler(self.optuna_study, ticket, self.spec)
        if ticket.trial_id is None:
            trial = ask_for(self.optuna_study, ticket)
            try:
                patiently(
                    lambda: tickets.bind_trial(self.engine, ticket.lease, trial._trial_id, trial.number)
                )
            except LeaseLost:
                self.disown(trial)
                raise
            return trial, None
        told = self.optuna_study._storage.get_trial(ticket.trial_id)
        if told.state.is_finished():
            curve = patiently(lambda: curves.read_curve(self.engine, ticket.id))
            return None, ending_already_told(told, len(curve))
        return adopt(self.optuna_study, ticket.trial_id), None

    def disown(self, trial: Trial) -> None:
        """No ticket knows this trial: it must not stay RUNNING."""
        tell_ending(trial, Ending("failed", 0, message="its ticket went to another worker"), None)

    def suggest(self, ticket: Ticket, trial: Trial) -> OptimizerConfig:
        problem = stored_description(self.study)
        steps = None if problem.steps_per_epoch is None else problem.steps_per_epoch * self.spec.epochs
        config = given_or_suggested(ticket, trial, self.spec, steps)
        shown_arguments = problem.baseline.arguments if config.optimizer == BASELINE else config.arguments
        trial.set_user_attr("optimizer_arguments", dict(shown_arguments))
        patiently(lambda: tickets.set_params(self.engine, ticket.lease, config.optimizer, shown_arguments))
        return config

    def run(self, config: OptimizerConfig, ticket: Ticket, reporter: "Reporter") -> TrialResult:
        return run_trial(
            self.problem,
            Configuration(config),
            ticket.seed,
            epochs=self.spec.epochs,
            programs=self.programs,
            batch_ends=(*self.rungs_of(ticket), self.spec.epochs),
            on_epochs=reporter,
            test=ticket.phase == "final",
        )

    def rungs_of(self, ticket: Ticket) -> tuple[int, ...]:
        """Where the trial may be cut: an evaluation never is, nor where each optimizer has a few trials only."""
        each = self.study.budget // len(self.spec.optimizers)
        few = each < FEWEST_TRIALS_TO_CUT or ticket.phase not in tickets.SEARCH_PHASES
        return () if few else rungs(self.spec.epochs)

    def why_cut(self, ticket: Ticket, epoch: Epoch, at: Sequence[int]) -> str:
        """Why a trial ends at this epoch, or nothing."""
        if epoch.number not in at:
            return ""
        metric = self.spec.objective
        others = patiently(lambda: curves.values_at(self.engine, ticket, self.study.id, epoch.number, metric))
        value, sign = epoch.metrics.get(metric, math.nan), 1.0 if self.spec.direction == "minimize" else -1.0
        if promoted(sign * value, [sign * other for other in others]):
            return ""
        trials = f"{len(others) + 1} trials of {ticket.optimizer}"
        return f"{metric} {value:.4g} at epoch {epoch.number} was not among the best third of {trials} there"

    # --- the end ---

    def give_up(self, ticket: Ticket, trial: Trial) -> bool:
        curve = patiently(lambda: curves.read_curve(self.engine, ticket.id))
        message = f"its process died {ticket.max_attempts} times (killed, out of memory or crashed); see the worker logs"
        ending = Ending("failed", len(curve), message=message)
        self.finish(ticket, ending, tell=lambda: tell_ending(trial, ending, None))
        return True

    def conclude(
        self, ticket: Ticket, trial: Trial, result: TrialResult, seconds: float, cut_because: str
    ) -> None:
        ending = ending_of(result, self.spec.objective, self.spec.direction, seconds)
        if cut_because:
            ending = replace(ending, outcome="pruned", message=cut_because)
            reached = result.curve[-1].metrics.get(self.spec.objective, math.nan)
            self.finish(ticket, ending, tell=lambda: tell_pruned(trial, ending, reached))
            log.info("trial %d: pruned, %s", trial.number, cut_because)
            return
        exploded = None
        if ending.outcome == "diverged":
            objective, direction = self.spec.objective, self.spec.direction
            exploded = explosion(objective, direction, result.initial, ending.epochs, self.spec.epochs)
        self.finish(ticket, ending, tell=lambda: tell_ending(trial, ending, exploded))
        value = "" if ending.value is None else f" {self.spec.objective} {ending.value:.6g}"
        log.info("trial %d: %s%s %s", trial.number, ending.outcome, value, ending.message)

    def finish(self, ticket: Ticket, ending: Ending, tell: Callable[[], None]) -> None:
        def whole() -> None:
            with tickets.finishing(self.engine, ticket.lease, ending, self.plan):
                tell()

        patiently(whole)

    def plan(self, connection: Connection, study_id: int) -> None:
        """Make the next phase's tickets where this was the last one of a phase."""
        plan_next(connection, study_id, lambda progress: next_step(self.spec, progress))


def given_or_suggested(
    ticket: Ticket, trial: Trial, spec: StudySpec, total_steps: int | None
) -> OptimizerConfig:
    """The configuration that the plan gave, else what Optuna suggests."""
    if ticket.arguments is None:
        return suggest_optimizer(trial, spec.space, total_steps, jointly=spec.goal == "best-config")
    if spec.goal == "verdict":  # for whoever reads Optuna's tables; a joint study has no such choice
        trial.suggest_categorical("optimizer", (*spec.space, BASELINE))
    return OptimizerConfig(ticket.optimizer, ticket.arguments)


def ending_of(result: TrialResult, objective: str, direction: str, seconds: float) -> Ending:
    """What the tables keep of a training: its last epoch's objective, for that is what `fit` leaves behind."""
    last = result.curve[-1] if result.curve else None
    value = last.metrics.get(objective) if last else None
    numbers: dict[str, float] = {"seconds": seconds}
    finite = [
        epoch.metrics[objective]
        for epoch in result.curve
        if math.isfinite(epoch.metrics.get(objective, math.nan))
    ]
    if finite:
        numbers[f"best_{objective}"] = min(finite) if direction == "minimize" else max(finite)
    numbers |= {f"initial_{name}": number for name, number in result.initial.items()}
    numbers |= {f"test_{name}": number for name, number in (result.test or {}).items()}
    outcome, message = result.outcome.value, result.reason
    if result.outcome is Outcome.COMPLETE and (value is None or not math.isfinite(value)):
        outcome, message = "diverged", f"{objective} is not finite at epoch {last.number if last else 0}"
    epochs = last.number if last else 0
    return Ending(outcome, epochs, value if outcome == "complete" else None, message, numbers)


def shown(config: OptimizerConfig) -> str:
    arguments = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in config.arguments.items()
    )
    return f"{config.optimizer}({arguments})"


# --- epochs -------------------------------------------------------------------------------------------


@dataclass
class Reporter:
    """What the trainer calls about once a second: writes the epochs and brings back the study's orders.

    Whatever goes wrong here ends the trial as stopped and is raised again afterwards, so that no trainer
    can take it for a failure of the user's code.
    """

    engine: Engine
    lease: Lease
    lease_seconds: float
    departure: Departure
    lost: threading.Event
    error: Exception | None = None
    cut: Callable[[Epoch], str] = field(default=lambda _epoch: "")
    cut_because: str = ""

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        rows = [curves.EpochRow(epoch.number, epoch.ended_ms, epoch.metrics) for epoch in epochs]
        try:
            orders = self.write(rows)
            self.cut_because = self.cut(epochs[-1]) if epochs else ""
        except Exception as error:  # noqa: BLE001  raised again by reraise()
            self.error = error
            return Stop("its epochs could not be written")
        if self.lost.is_set() or orders.leave or self.departure.wanted:
            self.cut_because = ""
            return Stop("told to leave")
        return Stop(self.cut_because) if self.cut_because else None

    def write(self, rows: Sequence[curves.EpochRow]) -> Orders:
        return patiently(lambda: curves.write_epochs(self.engine, self.lease, rows, self.lease_seconds))

    def reraise(self) -> None:
        if self.error is not None:
            raise self.error


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call the database, waiting out an outage with one visible line."""
    return again(call, on_wait=lambda error: log.warning("the database is away; waiting for it: %s", error))
