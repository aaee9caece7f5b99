"""A worker that does the whole protocol and trains nothing: claim, ask, suggest, epochs, checkpoints, tell.

All of it is the real worker's code on a real Postgres; only the training is a loop that lasts as long as asked.
"""

import hashlib
import math
import os
import random
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from optselect.search.processes.sharing import TimeSlice
from optselect.search.spec.objective import Objective
from optselect.search.spec.stored import stored_spec
from optselect.search.spec.study_spec import Request, resolve
from optselect.search.strategy.asking import create_optuna_study, load_optuna_study
from optselect.search.strategy.choosing import first_step
from optselect.search.strategy.planning import survivor_tickets
from optselect.search.worker.departure import Departure
from optselect.search.worker.loop import Trainer
from optselect.search.worker.preparing import Assignment
from optselect.storage.optuna_tables.storage import optuna_storage
from optselect.storage.records import studies, workers
from optselect.storage.records.studies import NewStudy, StoredStudy
from optselect.storage.records.tickets import Ticket
from optselect.storage.server.database import Database, Engine, make_engine, make_worker_engine
from optselect.trials.terms.configuration import Configuration
from optselect.trials.terms.description import BaselineDescription, ProblemDescription
from optselect.trials.terms.outcome import Epoch, Outcome, TrialResult
from optselect.trials.training.watch import REPORT_SECONDS, OnEpochs

BLOCK = bytes(1_000_000)
"""Hashing it is a work that lets go of Python's lock, as TensorFlow's does."""


def describe_nothing() -> ProblemDescription:
    """A problem without a model."""
    return ProblemDescription(
        name="simulated",
        path="/nowhere/simulated.py",
        metrics=("loss", "mae", "val_loss", "val_mae"),
        inputs={},
        rows={"train": 352},
        batch_size=32,
        epochs=20,
        steps_per_epoch=11,
        parameters=769,
        baseline=BaselineDescription("SGD", {"learning_rate": 0.01}, "keras.optimizers.SGD()"),
        data_hash="0" * 64,
        modules={},
        versions={},
        outputs=(),
        warnings=(),
    )


def store_simulated_study(
    database: Database, name: str, *, trials: int, epochs: int = 20, optimizers: str = "adam"
) -> StoredStudy:
    """A study of search trials only, every parameter of its optimizers tuned; the whole budget has its tickets."""
    problem = describe_nothing()
    request = Request(
        problem=problem.path, optimizers=optimizers, trials=trials, epochs=epochs, tune="all", seeds=0
    )
    spec = resolve(request, problem, False, Path("/nowhere"))
    quota = first_step(spec).tickets
    already = {
        optimizer: sum(ticket.optimizer == optimizer for ticket in quota) for optimizer in spec.optimizers
    }
    rest = trials - sum(already.values())
    new = NewStudy(
        name, spec.model_dump(mode="json"), 1, problem.to_json(), {}, "0" * 64, "0" * 64, {}, "val_loss", "minimize",
        None,
    )  # fmt: skip
    engine = make_engine(database)
    create_optuna_study(optuna_storage(database), name, Objective("val_loss", "minimize"))
    with studies.creating(engine) as connection:
        tickets = [*quota, *survivor_tickets(spec, spec.optimizers, already, rest)]
        study = studies.insert_study(connection, new, tickets, trials)
    engine.dispose()
    return study


@dataclass
class SimulatedTraining:
    """In place of run_trial: epochs of a given length, reported as the real trainer reports them."""

    epoch_seconds: float
    works: bool  # computes for so long, else sleeps
    snapshot_bytes: int = 200_000
    report_seconds: float = REPORT_SECONDS
    epochs_trained: int = 0
    training_seconds: float = 0.0  # from the first epoch's start to the last one's end, reports included
    service_seconds: float = 0.0  # in the reports
    service_cpu_seconds: float = 0.0  # of the training thread, in the reports
    ends_at: float = math.inf  # by the monotonic clock: then it leaves in good order

    def __call__(
        self,
        problem: object,
        configuration: Configuration,
        seed: int,
        *,
        epochs: int,
        programs: object,
        batch_ends: Collection[int],
        on_epochs: OnEpochs,
        start: bytes | None = None,
        test: bool = False,
        on_model: object = None,
        folder: object = None,
    ) -> TrialResult:
        began = reported = time.monotonic()
        best = random.Random(repr(sorted(configuration.optimizer.arguments.items()))).random()
        curve: list[Epoch] = []
        unreported: list[Epoch] = []
        for number in range(1, epochs + 1):
            self.train_an_epoch()
            unreported.append(Epoch(number, metrics_of(best, number), int(time.time() * 1000)))
            curve.append(unreported[-1])
            due = number in batch_ends or time.monotonic() - reported >= self.report_seconds
            if time.monotonic() > self.ends_at or (due and self.told_to_stop(on_epochs, unreported)):
                return TrialResult(Outcome.STOPPED, tuple(curve), "told to stop")
            if due:
                unreported, reported = [], time.monotonic()
        self.epochs_trained += epochs
        self.training_seconds += time.monotonic() - began
        return TrialResult(Outcome.COMPLETE, tuple(curve), initial={"val_loss": 2.0})

    def told_to_stop(self, on_epochs: OnEpochs, epochs: list[Epoch]) -> bool:
        began, cpu = time.monotonic(), time.thread_time()
        answer = on_epochs(tuple(epochs), lambda: os.urandom(self.snapshot_bytes))
        self.service_seconds += time.monotonic() - began
        self.service_cpu_seconds += time.thread_time() - cpu
        return answer is not None

    def train_an_epoch(self) -> None:
        if not self.works:
            time.sleep(self.epoch_seconds)
            return
        end = time.monotonic() + self.epoch_seconds
        while time.monotonic() < end:
            hashlib.sha256(BLOCK[: max(10_000, int(self.epoch_seconds * 5e7))]).digest()


def metrics_of(best: float, epoch: int) -> dict[str, float]:
    value = best + 1.0 / epoch
    return {"loss": value, "mae": value, "val_loss": value, "val_mae": value, "learning_rate": 0.01}


NOTHING = text("SELECT 1")


@dataclass
class TimedTrainer(Trainer):
    """A worker that notes how long its claims took, and what a transaction that does nothing took just before."""

    claim_seconds: list[float] = field(default_factory=list)
    empty_seconds: list[float] = field(default_factory=list)

    def claim(self) -> Ticket | None:
        began = time.perf_counter()
        with self.engine.begin() as connection:
            connection.execute(NOTHING)
            connection.execute(NOTHING)
        self.empty_seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        ticket = super().claim()
        self.claim_seconds.append(time.perf_counter() - began)
        return ticket


@contextmanager
def worker(
    database: Database, name: str, training: SimulatedTraining, max_trials: int
) -> Iterator[TimedTrainer]:
    """A worker of a study that was stored before, with connections of its own."""
    engine: Engine = make_worker_engine(database)
    study = studies.load_study(engine, name)
    assignment = Assignment(database, engine, study, Path("/nowhere"), 60.0, max_trials)
    nothing: Any = None  # the problem is the real training's alone
    trainer = TimedTrainer(
        assignment,
        stored_spec(study),
        nothing,
        load_optuna_study(database, name, engine),
        Departure(),
        TimeSlice.of(os.environ),
        uuid.uuid4(),
        run_trial=training,
    )
    workers.register_worker(engine, study.id, trainer.worker_id, slot=None, device="CPU")
    try:
        yield trainer
    finally:
        engine.dispose()
