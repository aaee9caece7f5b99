"""What does a training process do? Claim a ticket, ask or resume its trial, train, tell; until none is left.

Its exit code tells the supervisor what to do next (ExitCode). All state lives in Postgres: the process may
die at any line and loses nothing but the epochs since the last write.
"""

import contextlib
import dataclasses
import enum
import logging
import math
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Engine

from optselect.search.describing import stored_description
from optselect.search.errors import InvalidInput
from optselect.search.source import find_source
from optselect.search.spec import StudySpec
from optselect.storage import curves, tickets, workers
from optselect.storage.database import Database, again, make_engine, open_database, transient
from optselect.storage.errors import LeaseLost, StorageError, Unreachable
from optselect.storage.initialise import check_schema
from optselect.storage.studies import StoredStudy, load_study, study_state
from optselect.storage.tickets import LEASE_SECONDS, Ending, Lease, Orders, Ticket
from optselect.trials.configuration import BASELINE, Configuration, OptimizerConfig
from optselect.trials.errors import ProblemError
from optselect.trials.outcome import Epoch, Outcome, Stop, TrialResult

if TYPE_CHECKING:
    import optuna
    from optuna.trial import Trial

    from optselect.search.study import Explosion
    from optselect.trials.problem import Problem

log = logging.getLogger(__name__)

TRIALS_PER_PROCESS = 1000
"""After so many trials a process asks for a fresh one: what leaks in a training process ends with it."""
DRAIN_SECONDS = 20.0
"""After SIGTERM an epoch may end within this time; then the ticket goes back without it."""
IDLE_SECONDS = 0.5


class ExitCode(enum.IntEnum):
    """What the end of a worker means to whoever started it."""

    DONE = 0
    """Nothing is left to do, or the study was stopped."""
    MISCONFIGURED = 64
    """Never restart: unknown study, changed problem, old schema."""
    RETRY = 75
    """Start me again: told to leave, enough trials for one process, or the database was away too long."""
    INTERRUPTED = 130
    """Ctrl-C, after draining."""


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker is told by its command line and environment."""

    study: str
    storage: str | None
    home: Path
    use_local: bool = False
    max_trials: int | None = None
    slot: int | None = None
    supervisor: int | None = None  # pid; when it is gone the worker leaves
    lease_seconds: float = LEASE_SECONDS


def run_worker(options: WorkerOptions) -> int:
    """Serve one study until nothing is left; returns the process's exit code."""
    departure = Departure()
    with departure.on_signals():
        if options.supervisor is not None:
            departure.follow(options.supervisor)
        try:
            return serve(options, departure)
        except Unreachable as error:
            log.error("%s", error)
            return ExitCode.RETRY
        except (StorageError, InvalidInput, ProblemError) as error:
            log.error("%s", error)
            return ExitCode.MISCONFIGURED


def serve(options: WorkerOptions, departure: "Departure") -> int:
    database = open_database(options.storage, options.home, os.environ)
    engine = make_engine(database)
    check_schema(engine)
    study = load_study(engine, options.study)
    source = find_source(study, options.home, options.use_local)
    with contextlib.suppress(OSError):  # another machine need not have the folder
        os.chdir(study.spec["folder"])
    worker_id = workers.register_worker(engine, study.id, slot=options.slot, device=visible_device())
    try:
        trainer = Trainer.prepare(database, engine, study, source, worker_id, options, departure)
        return trainer.work()
    finally:
        with contextlib.suppress(Exception):  # a lost database must not hide why we leave
            workers.sign_off(engine, worker_id)


def visible_device() -> str:
    return f"GPU {os.environ['CUDA_VISIBLE_DEVICES']}" if os.environ.get("CUDA_VISIBLE_DEVICES") else "CPU"


# --- the loop -----------------------------------------------------------------------------------------


@dataclass
class Trainer:
    """Everything one worker process holds while it serves one study."""

    engine: Engine
    study: StoredStudy
    spec: StudySpec
    problem: "Problem"
    optuna_study: "optuna.Study"
    worker_id: uuid.UUID
    options: WorkerOptions
    departure: "Departure"
    programs: dict[object, object] = dataclasses.field(default_factory=dict)

    @classmethod
    def prepare(
        cls,
        database: Database,
        engine: Engine,
        study: StoredStudy,
        source: Path,
        worker_id: uuid.UUID,
        options: WorkerOptions,
        departure: "Departure",
    ) -> "Trainer":
        """Import what trains, then the user's code: ours must be complete before the user's modules win."""
        from optselect.search.study import load_optuna_study  # Optuna: not before it is needed
        from optselect.trials.problem import load_problem  # TensorFlow: seconds

        optuna_study = load_optuna_study(database, study.name)
        spec = StudySpec.model_validate(study.spec)
        problem = load_problem(source, spec.epochs)
        return cls(engine, study, spec, problem, optuna_study, worker_id, options, departure)

    def work(self) -> int:
        trained = 0
        while not self.departure.wanted:
            if trained >= (self.options.max_trials or TRIALS_PER_PROCESS):
                return ExitCode.DONE if self.options.max_trials else ExitCode.RETRY
            ticket = self.claim()
            if ticket is not None:
                trained += self.train(ticket)
            elif self.nothing_left():
                return ExitCode.DONE
            else:
                self.departure.wait(IDLE_SECONDS)
        return ExitCode.INTERRUPTED if self.departure.interrupted else ExitCode.RETRY

    def claim(self) -> Ticket | None:
        return patiently(
            lambda: tickets.claim_ticket(
                self.engine, self.study.id, self.worker_id, self.options.lease_seconds
            )
        )

    def nothing_left(self) -> bool:
        state = patiently(lambda: study_state(self.engine, self.study.id))
        return state in ("stopped", "finished") or not patiently(
            lambda: tickets.count_undone(self.engine, self.study.id)
        )

    def train(self, ticket: Ticket) -> bool:
        """One ticket from claim to end; False where it was not ours to finish."""
        beat = kept_lease(
            lambda: tickets.renew_lease(self.engine, ticket.lease, self.options.lease_seconds),
            self.options.lease_seconds / 6,
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
        reporter = Reporter(self.engine, ticket.lease, self.options.lease_seconds, self.departure, lost)
        started = time.monotonic()
        result = self.run(config, ticket, reporter)
        reporter.reraise()
        if result.outcome is Outcome.STOPPED:
            patiently(lambda: tickets.give_back(self.engine, ticket.lease))
            return False
        self.conclude(ticket, trial, result, time.monotonic() - started)
        return True

    # --- the trial ---

    def trial_of(self, ticket: Ticket) -> tuple["Trial | None", Ending | None]:
        """The ticket's Optuna trial, or how it ended already."""
        from optselect.search.study import adopt, ask_for, ending_already_told, install_sampler

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

    def disown(self, trial: "Trial") -> None:
        """No ticket knows this trial: it must not stay RUNNING."""
        from optselect.search.study import tell_ending

        tell_ending(trial, Ending("failed", 0, message="its ticket went to another worker"), None)

    def suggest(self, ticket: Ticket, trial: "Trial") -> OptimizerConfig:
        from optselect.search.space import suggest_optimizer

        problem = stored_description(self.study)
        steps = None if problem.steps_per_epoch is None else problem.steps_per_epoch * self.spec.epochs
        config = suggest_optimizer(trial, self.spec.space, steps)
        shown_arguments = problem.baseline.arguments if config.optimizer == BASELINE else config.arguments
        trial.set_user_attr("optimizer_arguments", dict(shown_arguments))
        patiently(lambda: tickets.set_params(self.engine, ticket.lease, shown_arguments))
        return config

    def run(self, config: OptimizerConfig, ticket: Ticket, reporter: "Reporter") -> TrialResult:
        from optselect.trials.trainer import run_trial

        return run_trial(
            self.problem,
            Configuration(config),
            ticket.seed,
            epochs=self.spec.epochs,
            programs=self.programs,
            batch_ends=(self.spec.epochs,),
            on_epochs=reporter,
        )

    # --- the end ---

    def give_up(self, ticket: Ticket, trial: "Trial") -> bool:
        from optselect.search.study import tell_ending

        curve = patiently(lambda: curves.read_curve(self.engine, ticket.id))
        message = f"its process died {ticket.max_attempts} times (killed, out of memory or crashed); see the worker logs"
        ending = Ending("failed", len(curve), message=message)
        self.finish(ticket, ending, tell=lambda: tell_ending(trial, ending, None))
        return True

    def conclude(self, ticket: Ticket, trial: "Trial", result: TrialResult, seconds: float) -> None:
        from optselect.search.study import explosion, tell_ending

        ending = ending_of(result, self.spec.objective, seconds)
        exploded: Explosion | None = None
        if ending.outcome == "diverged":
            objective, direction = self.spec.objective, self.spec.direction
            exploded = explosion(objective, direction, result.initial, ending.epochs, self.spec.epochs)
        self.finish(ticket, ending, tell=lambda: tell_ending(trial, ending, exploded))
        value = "" if ending.value is None else f" {self.spec.objective} {ending.value:.6g}"
        log.info("trial %d: %s%s %s", trial.number, ending.outcome, value, ending.message)

    def finish(self, ticket: Ticket, ending: Ending, tell: Callable[[], None]) -> None:
        def whole() -> None:
            with tickets.finishing(self.engine, ticket.lease, ending):
                tell()

        patiently(whole)


def ending_of(result: TrialResult, objective: str, seconds: float) -> Ending:
    """What the tables keep of a training: its last epoch's objective, for that is what `fit` leaves behind."""
    last = result.curve[-1] if result.curve else None
    value = last.metrics.get(objective) if last else None
    numbers: dict[str, float] = {"seconds": seconds}
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


# --- epochs, leases and leaving -----------------------------------------------------------------------


@dataclass
class Reporter:
    """What the trainer calls about once a second: writes the epochs and brings back the study's orders.

    Whatever goes wrong here ends the trial as stopped and is raised again afterwards, so that no trainer
    can take it for a failure of the user's code.
    """

    engine: Engine
    lease: Lease
    lease_seconds: float
    departure: "Departure"
    lost: threading.Event
    error: Exception | None = None

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        rows = [curves.EpochRow(epoch.number, epoch.ended_ms, epoch.metrics) for epoch in epochs]
        try:
            orders = self.write(rows)
        except Exception as error:  # noqa: BLE001  raised again by reraise()
            self.error = error
            return Stop("its epochs could not be written")
        if self.lost.is_set() or orders.leave or self.departure.wanted:
            return Stop("told to leave")
        return None

    def write(self, rows: Sequence[curves.EpochRow]) -> Orders:
        return patiently(lambda: curves.write_epochs(self.engine, self.lease, rows, self.lease_seconds))

    def reraise(self) -> None:
        if self.error is not None:
            raise self.error


Answer = TypeVar("Answer")


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call the database, waiting out an outage with one visible line."""
    return again(call, on_wait=lambda error: log.warning("the database is away; waiting for it: %s", error))


@contextlib.contextmanager
def kept_lease(renew: Callable[[], bool], seconds: float) -> Iterator[threading.Event]:
    """Renew a lease in the background while the block runs; the event tells that it was lost.

    A thread, not a call between epochs: compiling a model can outlast a lease. One failed beat is no loss.
    """
    ended, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not ended.wait(seconds):
            try:
                if not renew():
                    lost.set()
                    return
            except Exception as error:
                if not transient(error):
                    log.exception("the lease could not be renewed")
                else:
                    log.warning("the lease could not be renewed now; next try in %.0f s", seconds)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:  # the beat goes on until the trial's last write is done
        ended.set()
        thread.join()


class Departure:
    """Whether this process was told to leave, and how it does so in time."""

    def __init__(self) -> None:
        self.interrupted = False
        self._wanted = threading.Event()
        self._held: tuple[Engine, Lease] | None = None

    @property
    def wanted(self) -> bool:
        return self._wanted.is_set()

    def wait(self, seconds: float) -> None:
        self._wanted.wait(seconds)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and the first Ctrl-C drain; the old handlers come back then, so a second one kills."""
        old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def leave(number: int, _frame: FrameType | None) -> None:
            self.interrupted = number == signal.SIGINT
            for known, handler in old.items():
                signal.signal(known, handler)
            self.leave()

        for number in old:
            signal.signal(number, leave)
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def leave(self) -> None:
        self._wanted.set()
        timer = threading.Timer(DRAIN_SECONDS, self._leave_at_once)
        timer.daemon = True
        timer.start()

    def _leave_at_once(self) -> None:
        """The epoch takes too long: what was written stands, the rest of it is dropped."""
        if self._held is not None:
            with contextlib.suppress(Exception):  # the lease runs out by itself
                tickets.give_back(*self._held)
        logging.shutdown()
        os._exit(ExitCode.INTERRUPTED if self.interrupted else ExitCode.RETRY)

    @contextlib.contextmanager
    def giving_back(self, engine: Engine, lease: Lease) -> Iterator[None]:
        """Remember which ticket this process holds, for a departure that cannot wait."""
        self._held = (engine, lease)
        try:
            yield
        finally:
            self._held = None

    def follow(self, supervisor: int) -> None:
        """Leave when the supervisor is gone: nobody would restart or stop this process."""

        def watch() -> None:
            while not self._wanted.wait(1.0):
                if os.getppid() != supervisor:
                    log.warning("the supervisor is gone; leaving")
                    self.leave()

        threading.Thread(target=watch, name="follow", daemon=True).start()


def log_to_stderr(debug: bool) -> None:
    """One line per event, with the time, as a log file wants it."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for noisy in ("tensorflow", "h5py", "absl", "sqlalchemy", "optuna", "matplotlib", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
