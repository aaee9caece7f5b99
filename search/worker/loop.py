"""What does a training process do? Claim a ticket, ask or resume its trial, train, tell; until none is left.

All state lives in Postgres: the process may die at any line and loses nothing but the epochs since its last
write. Importing this file imports TensorFlow; studies/joining.py has checked everything else by then.
"""

import contextlib
import dataclasses
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

import optuna
from optuna.trial import Trial

from optselect.search.exit_codes import WorkerExit
from optselect.search.notes import LAST_RATE, RATE_SET_TWICE, notes_of
from optselect.search.processes.announced_exit import announce_exit
from optselect.search.processes.sharing import TimeSlice, gives_way
from optselect.search.spec.objective import Objective
from optselect.search.spec.settings import FOUND_RATE, Length, configuration_of, in_order, with_epoch
from optselect.search.spec.space import Settings, suggest_optimizer
from optselect.search.spec.stored import stored_description, stored_spec
from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.asking import (
    adopt,
    ask_for,
    ending_already_told,
    explosion,
    load_optuna_study,
    tell_ending,
    tell_orphans,
    tell_passed_over,
    tell_pruned,
    told_within,
)
from optselect.search.strategy.choosing import next_slice, next_step, strategy_of
from optselect.search.strategy.protocol import Strategy
from optselect.search.strategy.pruner import Halving, says_nothing_yet
from optselect.search.strategy.results import ARGUMENTS, CLASS, UNTRAINED
from optselect.search.strategy.rungs import promoted
from optselect.search.worker.departure import Beat, Departure, Holding, kept_lease
from optselect.search.worker.preparing import (
    Assignment,
    prepared_problem,
)
from optselect.search.worker.reporting import Reporter, Writer
from optselect.search.worker.usage import Gauge
from optselect.search.worker.wear import Wear
from optselect.storage.errors import LeaseLost
from optselect.storage.records import checkpoints, curves, model_files, tickets, unsent, workers
from optselect.storage.records.checkpoints import Checkpoint
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.deaths import set_aside
from optselect.storage.records.leases import SILENT
from optselect.storage.records.phases import plan_next, read_decisions
from optselect.storage.records.studies import StoredStudy, order_state, read_shares, study_state
from optselect.storage.records.tickets import Orders, Ticket, TrialEnding
from optselect.storage.records.trial_files import folder_of_trial
from optselect.storage.records.unsent import Unsent
from optselect.storage.server.database import Connection, Engine, patiently
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.errors import DeviceLost, SnapshotError, WeightsChanged
from optselect.trials.terms.outcome import Epoch, Outcome, TrialResult
from optselect.trials.training.trainer import OnModel, run_trial

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5


def work(assignment: Assignment, departure: Departure) -> int:
    """Train until nothing is left or the departure is wanted; returns the worker's exit code."""
    trainer = Trainer.of(assignment, departure)
    departure.begin()
    register = partial(
        workers.register_worker,
        assignment.engine,
        assignment.study.id,
        trainer.worker_id,
        slot=assignment.slot,
        device=visible_device(),
        usage=trainer.gauge.read(),
    )
    patiently(register)
    log.info("ready to train, after %.1f CPU seconds", time.process_time())
    try:
        code = trainer.work()
    # The supervisor looks whether the device comes back; another worker goes on with the trial.
    except DeviceLost as error:
        log.error("the device is lost: %s", error)
        code = int(WorkerExit.DEVICE_LOST)
    patiently(lambda: workers.sign_off(assignment.engine, trainer.worker_id))
    return code


def visible_device() -> str:
    device = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"GPU {device}" if device else "CPU"


@dataclass(frozen=True)
class Trained:
    """What came of one training, over all attempts."""

    result: TrialResult
    seconds: float
    cut_because: str  # where its pruner ended it
    notes: Mapping[str, Any]  # how it was trained


# --- the loop -----------------------------------------------------------------------------------------


@dataclass
class Trainer:
    """Everything one worker process holds while it serves one study."""

    assignment: Assignment
    spec: StudySpec
    problem: Problem
    optuna_study: optuna.Study
    departure: Departure
    time_slice: TimeSlice
    worker_id: uuid.UUID = field(default_factory=uuid.uuid4)
    programs: Programs = field(default_factory=Programs)
    wear: Wear = field(default_factory=Wear)
    gauge: Gauge = field(default_factory=Gauge)
    run_trial: Callable[..., TrialResult] = run_trial  # benchmarks put a simulated training in its place

    @classmethod
    def of(cls, assignment: Assignment, departure: Departure) -> "Trainer":
        """Load the user's code last: our own imports are complete by then, and the user's modules may win."""
        optuna_study = load_optuna_study(assignment.database, assignment.study.name, assignment.engine)
        spec = stored_spec(assignment.study)
        problem = prepared_problem(assignment, spec)
        return cls(assignment, spec, problem, optuna_study, departure, TimeSlice.of(os.environ))

    @property
    def engine(self) -> Engine:
        return self.assignment.engine

    @cached_property
    def strategy(self) -> Strategy:
        return strategy_of(self.spec)

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
        orphans = patiently(lambda: tickets.find_orphans(self.engine, self.study.id))
        tell_orphans(self.optuna_study, orphans)

    def train_tickets(self) -> int:
        trained = 0
        while not self.departure.wanted:
            if trained >= (self.assignment.max_trials or math.inf):
                return WorkerExit.DONE
            if self.wear.reason:
                log.info("a fresh process goes on: %s", self.wear.reason)
                return WorkerExit.RETRY
            ticket = self.claim()
            if ticket is not None:
                trained += self.train(ticket)
            elif self.nothing_left():
                return WorkerExit.DONE
            else:
                self.departure.wait(IDLE_SECONDS)
            if self.is_to_give_way(idle=ticket is None):
                return WorkerExit.DONE
        return WorkerExit.INTERRUPTED if self.departure.interrupted else WorkerExit.RETRY

    def claim(self) -> Ticket | None:
        return patiently(
            lambda: tickets.claim_ticket(
                self.engine,
                self.study.id,
                self.worker_id,
                self.assignment.lease_seconds,
                held=self.programs.optimizers,
                usage=self.gauge.read_if_due(),
            )
        )

    def nothing_left(self) -> bool:
        state = patiently(lambda: study_state(self.engine, self.study.id))
        undone = patiently(lambda: tickets.count_undone(self.engine, self.study.id))
        return state != "running" or undone == 0

    def is_to_give_way(self, idle: bool) -> bool:
        """Whether another study needs this slot more, asked between trials and not at every one."""
        if not self.assignment.gives_way or not self.time_slice.is_over(idle):
            return False
        left = gives_way(self.study.name, patiently(lambda: read_shares(self.engine)), idle)
        if left:
            log.info("another study is worse off; giving way")
        return left

    def train(self, ticket: Ticket) -> bool:
        """One ticket from claim to end; False where it was not ours to finish."""
        lease_seconds = self.assignment.lease_seconds
        beat = Beat(
            lambda: tickets.renew_lease(self.engine, ticket.lease, lease_seconds, self.gauge.read_if_due()),
            lease_seconds / 6,
            self.assignment.stuck_seconds,
            lambda seconds: self.end_stuck(ticket, seconds),
        )
        with kept_lease(beat) as holding, self.departure.giving_back(self.engine, ticket.lease):
            try:
                return self.train_claimed(ticket, holding)
            except LeaseLost as error:
                log.warning("%s", error)
                return False
            except WeightsChanged:  # while the study ran: another machine may still have what it needs
                patiently(lambda: tickets.give_back(self.engine, ticket.lease))
                raise
            except DeviceLost as error:
                cause = f"its device was lost: {error}"
                patiently(lambda: tickets.expire_lease(self.engine, ticket.lease, cause))
                raise

    def end_stuck(self, ticket: Ticket, seconds: float) -> NoReturn:
        """End this process from another thread: nothing else ends a training that hangs. It counts as an attempt."""
        cause = f"stuck: no batch ended within {seconds:.0f} s"
        log.error("the training is %s; ending its process", cause)
        with contextlib.suppress(Exception):  # else the lease runs out by itself
            tickets.expire_lease(self.engine, ticket.lease, cause)
        logging.shutdown()
        announce_exit(WorkerExit.RETRY)
        os._exit(WorkerExit.RETRY)

    def train_claimed(self, ticket: Ticket, holding: Holding) -> bool:
        trial, ended = self.trial_of(ticket)
        if ended is not None:
            self.finish(ticket, ended, tell=lambda: None)
            return True
        assert trial is not None
        if ticket.attempts_exhausted:
            return self.give_up(ticket, trial)
        settings = self.suggest(ticket, trial)
        if ticket.phase == "joint" and (reason := self.why_set_aside(settings.optimizer)):
            self.pass_over(ticket, trial, f"{settings.optimizer} is {reason}")
            return True
        log.info(
            "trial %d: %s, seed %d, attempt %d", trial.number, shown(settings), ticket.seed, ticket.attempt
        )
        ticket = dataclasses.replace(ticket, trial_number=trial.number)
        trained = self.train_from_newest(settings, ticket, holding)
        if trained.result.outcome is Outcome.STOPPED and not trained.cut_because:
            patiently(lambda: tickets.give_back(self.engine, ticket.lease))
            return False
        self.conclude(ticket, trial, trained)
        if trained.result.ends_study:
            self.end_study(trained.result.reason)
        self.wear.note_trial(trained.result.is_out_of_memory)
        return True

    # --- the trial ---

    def trial_of(self, ticket: Ticket) -> tuple[Trial | None, TrialEnding | None]:
        """The ticket's Optuna trial, or how it ended already."""
        self.optuna_study.sampler = self.strategy.sampler(ticket)
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
            return None, ending_already_told(told, len(self.curve(ticket)))
        return adopt(self.optuna_study, ticket.trial_id), None

    def disown(self, trial: Trial) -> None:
        """No ticket knows this trial: it must not stay RUNNING."""
        tell_ending(trial, TrialEnding("failed", 0, message="its ticket went to another worker"), None)

    def suggest(self, ticket: Ticket, trial: Trial) -> Settings:
        settings = given_or_suggested(ticket, trial, self.strategy, self.length.steps)
        is_baseline = settings.optimizer == BASELINE
        own = stored_description(self.study).baseline
        arguments = own.arguments if is_baseline else settings.arguments
        if is_baseline:
            trial.set_user_attr(CLASS, own.optimizer)
        trial.set_user_attr(ARGUMENTS, dict(arguments))
        patiently(lambda: tickets.set_params(self.engine, ticket.lease, settings.optimizer, arguments))
        return settings

    @property
    def length(self) -> Length:
        return Length(self.spec.epochs, stored_description(self.study).steps_per_epoch)

    @property
    def objective(self) -> Objective:
        """By which a training is judged."""
        return Objective.of(self.spec)

    # --- the training ---

    def train_from_newest(self, settings: Settings, ticket: Ticket, holding: Holding) -> "Trained":
        """Train from the newest state that can be restored, or from the start; the result has the whole curve."""
        for start in self.starts(ticket):
            try:
                return self.train_from(start, settings, ticket, holding)
            except SnapshotError as error:  # raised before any training
                log.warning("the checkpoint cannot be restored, trying the one before: %s", error)
        return self.train_from(None, settings, ticket, holding)

    def starts(self, ticket: Ticket) -> Iterator[Checkpoint]:
        """What an earlier attempt left, newest first."""
        if ticket.trial_id is None:  # nobody has trained it
            return
        kept = patiently(lambda: unsent.take(self.engine, self.unsent_folder, ticket.id))
        if kept is not None:
            self.send(ticket, kept.rows, kept.checkpoint)
            patiently(lambda: tickets.forgive_attempt(self.engine, ticket.lease))
            unsent.forget(self.unsent_folder, ticket.id)
        yield from checkpoints.whole_checkpoints(self.engine, ticket.id, self.checkpoint_folder)

    def train_from(
        self, start: Checkpoint | None, settings: Settings, ticket: Ticket, holding: Holding
    ) -> "Trained":
        earlier: Sequence[Epoch] = ()
        if ticket.trial_id is not None:
            epoch = start.epoch if start else 0
            patiently(lambda: tickets.restart_after(self.engine, ticket.lease, epoch))
            earlier = self.curve(ticket)
            log.info("it goes on after epoch %d", epoch)
        reporter = Reporter(
            Writer(lambda rows, checkpoint: self.send(ticket, rows, checkpoint)),
            self.spec.epochs,
            self.departure,
            holding,
            keep=lambda state: self.keep(ticket, state),
            sample=self.gauge.system_metrics if self.spec.system_metrics else lambda: None,
            seconds_before=start.seconds if start else 0.0,
        )
        at, built = self.strategy.rungs(ticket, self.study.budget), self.programs.built
        halving = Halving(
            reporter,
            at,
            lambda first, epoch: self.why_cut(ticket, settings.optimizer, first, epoch),
            first=earlier[0] if earlier else None,
        )
        result = self.run_trial(
            self.problem,
            configuration_of(self.spec, settings.optimizer, settings.arguments, self.length),
            ticket.seed,
            epochs=self.spec.epochs,
            programs=self.programs,
            batch_ends=(*at, self.spec.epochs),
            on_epochs=halving,
            start=start.snapshot if start else None,
            test=ticket.phase == "final",
            on_model=self.keeper_of_model(ticket),
            folder=folder_of_trial(self.study, self.assignment.database.home, ticket.trial_number or 0),
        )
        seconds = reporter.seconds
        reporter.close()
        whole = dataclasses.replace(result, curve=(*earlier, *result.curve))
        # A training that exploded at its rung is no cut one: that is the better answer.
        notes = notes_of(result.step, self.programs.built - built, result.is_out_of_memory)
        if whole.curve and math.isfinite(rate := whole.curve[-1].metrics["learning_rate"]):
            notes[LAST_RATE] = rate
        if whole.ends_study:
            notes["cause"] = RATE_SET_TWICE
        return Trained(whole, seconds, halving.because if result.outcome is Outcome.STOPPED else "", notes)

    def keeper_of_model(self, ticket: Ticket) -> OnModel | None:
        """What keeps the trained model of a final run that may be the one to use."""
        if ticket.phase != "final" or ticket.role not in ("tuned", "own"):
            return None
        folder = model_files.model_folder(self.study, self.assignment.database.home)

        def keep(last: Epoch, body: Callable[[], bytes]) -> None:
            value = last.metrics.get(self.spec.objective, math.nan)
            if math.isfinite(value):
                patiently(
                    lambda: model_files.keep_if_best(
                        self.engine, folder, ticket.id, self.objective.cost, value, body
                    )
                )

        return keep

    def send(self, ticket: Ticket, rows: Sequence[EpochRow], checkpoint: Checkpoint | None) -> Orders:
        folder = self.checkpoint_folder
        placed = None if checkpoint is None else checkpoints.place(checkpoint, ticket.lease, folder)
        lease_seconds = self.assignment.lease_seconds
        return patiently(lambda: curves.write_epochs(self.engine, ticket.lease, rows, lease_seconds, placed))

    def keep(self, ticket: Ticket, state: Unsent) -> None:
        file = unsent.keep(self.unsent_folder, ticket.id, state)
        log.warning("kept on this machine, to go on from: %s", file)

    @property
    def checkpoint_folder(self) -> str:
        return checkpoints.folder_for(self.study, self.assignment.database.home)

    @property
    def unsent_folder(self) -> Path:
        return unsent.folder_of(self.study, self.assignment.database.home)

    def curve(self, ticket: Ticket) -> Sequence[Epoch]:
        rows = patiently(lambda: curves.read_curve(self.engine, ticket.id))
        return tuple(Epoch(row.epoch, row.metrics, row.ts_ms) for row in rows)

    def why_cut(self, ticket: Ticket, optimizer: str, first: Epoch, epoch: Epoch) -> str:
        """Why a trial ends at this epoch, or nothing."""
        if says_nothing_yet(first, epoch, self.objective):
            return ""
        metric, number = self.objective.name, epoch.number
        value = epoch.metrics.get(metric, math.nan)
        if math.isnan(value):
            return f"{metric} is not a number at epoch {number}"
        rank = patiently(
            lambda: curves.rank_at(
                self.engine,
                self.study.id,
                ticket.id,
                optimizer,
                number,
                metric,
                self.objective.cost(value),
                self.objective.sign,
            )
        )
        if promoted(rank.better, rank.others):
            return ""
        trials = f"the {rank.others + 1} trials of {optimizer}"
        return f"{metric} {value:.4g} at epoch {number} was not in the best third of {trials} there"

    def why_set_aside(self, optimizer: str) -> str:
        """Why an optimizer is trained no more, which the sampler does not know."""
        return set_aside(patiently(lambda: read_decisions(self.engine, self.study.id))).get(optimizer, "")

    # --- the end ---

    def pass_over(self, ticket: Ticket, trial: Trial, why: str) -> None:
        """Fail a trial without training; the sampler hears of a bad place, for failed ones it would not see."""
        ending = TrialEnding("failed", 0, message=why)
        worst = explosion(self.objective, {}, 1, self.spec.epochs)
        self.finish(ticket, ending, tell=lambda: tell_passed_over(trial, ending, worst))

    def give_up(self, ticket: Ticket, trial: Trial) -> bool:
        cause = ticket.cause or SILENT
        message = f"lost {ticket.max_attempts} times; the last time: {cause}; see the worker logs"
        ending = TrialEnding("failed", len(self.curve(ticket)), message=message)
        self.finish(ticket, ending, tell=lambda: tell_ending(trial, ending, None))
        return True

    def conclude(self, ticket: Ticket, trial: Trial, trained: "Trained") -> None:
        result = trained.result
        trial.set_user_attr("jit", "on" if result.jit else "off")
        untrained = result.initial.get(self.objective.name, math.nan)
        if ticket.phase == "baseline" and math.isfinite(untrained):  # of the model, not of each trial
            trial.set_user_attr(UNTRAINED, untrained)
        ending = ending_of(result, self.objective, trained.seconds)
        ending = dataclasses.replace(ending, notes=trained.notes)
        if self.finds_rate(ticket) and result.curve:
            found = {FOUND_RATE: result.curve[-1].metrics["learning_rate"]}
            ending = dataclasses.replace(ending, result={**(ending.result or {}), **found})
        if trained.cut_because:
            cut = dataclasses.replace(ending, outcome="pruned", message=trained.cut_because)
            reached = result.curve[-1].metrics.get(self.spec.objective, math.nan)
            self.finish(ticket, cut, tell=lambda: tell_pruned(trial, cut, reached))
            log.info("trial %d: pruned, %s", trial.number, cut.message)
            return
        exploded = None
        if ending.outcome == "diverged":
            exploded = explosion(self.objective, result.initial, ending.epochs, self.spec.epochs)
        self.finish(ticket, ending, tell=lambda: tell_ending(trial, ending, exploded))
        value = "" if ending.value is None else f" {self.spec.objective} {ending.value:.6g}"
        log.info("trial %d: %s%s %s", trial.number, ending.outcome, value, ending.message)

    def end_study(self, reason: str) -> None:
        """Stop a study whose further trials would fail like this one."""
        log.error("the study is stopped: %s", reason)
        patiently(lambda: order_state(self.engine, self.study.id, "stopped"))

    def finds_rate(self, ticket: Ticket) -> bool:
        """Whether the second learning rate is no setting, but comes out of each training."""
        switch = self.spec.switch_of(ticket.optimizer)
        return switch is not None and switch.rate == "swats"

    def finish(self, ticket: Ticket, ending: TrialEnding, tell: Callable[[], None]) -> None:
        def whole() -> None:
            with (
                tickets.finishing(
                    self.engine, ticket.lease, ending, self.plan, self.checkpoint_folder
                ) as connection,
                told_within(self.optuna_study, connection),
            ):
                tell()

        patiently(whole)

    def plan(self, connection: Connection, study_id: int) -> None:
        """Make the next phase's tickets where this was the last one of a phase, or the next slice of a long search."""
        plan_next(
            connection,
            study_id,
            lambda progress: next_step(self.spec, progress),
            lambda begun: next_slice(self.spec, begun),
        )


def given_or_suggested(ticket: Ticket, trial: Trial, strategy: Strategy, total_steps: int | None) -> Settings:
    """The settings that the plan gave, else what Optuna suggests, to what a switch copies."""
    spec = strategy.spec
    if ticket.role == "search":
        asked = suggest_optimizer(trial, spec.space, total_steps, jointly=strategy.samples_optimizer)
        whole = {**(ticket.arguments or {}), **asked.arguments}
        return Settings(asked.optimizer, with_epoch(spec.switch_of(asked.optimizer), whole, spec.epochs))
    assert ticket.arguments is not None, "an evaluation repeats what is known"
    if not strategy.samples_optimizer:  # for whoever reads Optuna's tables; a joint study has no such choice
        trial.suggest_categorical("optimizer", (*spec.space, BASELINE))
    return Settings(ticket.optimizer, ticket.arguments)


def ending_of(result: TrialResult, objective: Objective, seconds: float) -> TrialEnding:
    """What the tables keep of a training: its last epoch's objective, for that is what `fit` leaves behind."""
    last = result.curve[-1] if result.curve else None
    name = objective.name
    value = last.metrics.get(name) if last else None
    numbers: dict[str, float] = {"seconds": seconds}
    finite = [e.metrics[name] for e in result.curve if math.isfinite(e.metrics.get(name, math.nan))]
    if finite:
        numbers[f"best_{name}"] = objective.best(finite)
    numbers |= {f"initial_{metric}": number for metric, number in result.initial.items()}
    numbers |= {f"test_{metric}": number for metric, number in (result.test or {}).items()}
    outcome, message = result.outcome.value, result.reason
    if result.outcome is Outcome.COMPLETE and (value is None or not math.isfinite(value)):
        outcome, message = "diverged", f"{name} is not finite at epoch {last.number if last else 0}"
    epochs = last.number if last else 0
    return TrialEnding(outcome, epochs, value if outcome == "complete" else None, message, numbers)


def shown(settings: Settings) -> str:
    arguments = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in in_order(settings.arguments).items()
    )
    return f"{settings.optimizer}({arguments})"
