"""What does the protocol cost a training, and what does plain Optuna cost doing the same?

    python -m benchmarks.storage          a few minutes; docs/storage-costs.md has figures
    python -m benchmarks.storage --full   more trials, longer runs

Workers are real but train nothing. The server is a throw-away one with fsync off, so that the figures are those of
the programs and not of a disk. Seconds of CPU are reliable on a busy machine, seconds of waiting are not.
"""

import argparse
import contextlib
import logging
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import psutil
from rich.console import Console
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL

from benchmarks.grown_studies import grow
from benchmarks.plain_optuna import PlainWorker
from benchmarks.simulated_workers import SimulatedTraining, store_simulated_study, worker
from optselect.search.spec.stored import stored_spec
from optselect.search.spec.study_spec import StudySpec
from optselect.storage.records import curves, studies
from optselect.storage.schema.initialise import initialise
from optselect.storage.server import embedded
from optselect.storage.server.database import Database, connect, create_database, make_engine, open_database

FORK = multiprocessing.get_context("fork")  # TensorFlow is imported once; nothing of it has run
THREADS_PER_PROCESS = 8
JOINING_SECONDS = 0.2  # of this machine, for each of many workers
SMALL, LARGE = 1_000, 10_000
EPOCHS = 20


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    warm_trials: int  # trained before a study is grown
    measured_trials: int
    seconds_of_training: float
    client_seconds: float


SHORT = Size(warm_trials=40, measured_trials=20, seconds_of_training=6.0, client_seconds=40.0)
FULL = Size(warm_trials=100, measured_trials=50, seconds_of_training=30.0, client_seconds=120.0)


@dataclass(frozen=True)
class Place:
    """A server with an empty database for each side."""

    database: Database
    plain: URL

    @property
    def direct(self) -> Database:
        """The same past a pooler, where `database` is behind one."""
        return replace(self.database, url=self.plain.set(database=self.database.url.database))

    @property
    def engine(self) -> Engine:
        return make_engine(self.database, pooled=False)  # no connection may be open where the process forks

    def server_seconds(self) -> float:
        """CPU of all the server's processes since its start, of those that have ended too."""
        data = embedded.server_state(self.database.home).data_directory
        assert data is not None
        postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        ended = sum(postmaster.cpu_times()[2:4])
        return ended + sum(seconds_of(child) for child in postmaster.children())


def seconds_of(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:2]))
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage", description=__doc__)
    parser.add_argument("--full", action="store_true", help="more trials and longer runs")
    parser.add_argument("--clients", type=int, default=64, help="workers that claim at the same time")
    asked = parser.parse_args()
    quiet()
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")
    with throw_away_place() as place:
        measure(place, FULL if asked.full else SHORT, asked.clients, out)


def quiet() -> None:
    logging.disable(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextlib.contextmanager
def throw_away_place(most_connections: int | None = None) -> Iterator[Place]:
    """A server of its own; it admits `most_connections`, by default what an embedded server admits."""
    with tempfile.TemporaryDirectory(prefix="optselect-") as name:
        Path(name).chmod(0o755)  # as root: the server's own account must get in
        home, environment = Path(name) / "home", {**os.environ, "OPTSELECT_PG_FSYNC": "off"}
        environment.pop("OPTSELECT_STORAGE", None)
        database = open_database(None, home, environment)
        try:
            if most_connections is not None:
                execute(database.url, f"ALTER SYSTEM SET max_connections = {most_connections}")
                embedded.stop(home, environment)
                database = open_database(None, home, environment)
            initialise(database)
            create_database(database.url, "plain")
            yield Place(database, database.url.set(database="plain"))
        finally:
            embedded.stop(home, environment)


def execute(url: URL, statement: str) -> None:
    """Run one statement outside a transaction."""
    with contextlib.closing(connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)


def measure(place: Place, size: Size, clients: int, out: Console) -> None:
    count_statements(place, out)
    for epoch_seconds in (0.1, 0.002):
        share_of_time(place, epoch_seconds, size, out)
    grown = grown_pair(place, size)
    join_and_cost(place, grown, size, out)
    pruner_decision(place, grown, out)
    claims_of_many(place, clients, size, out)


# --- statements ---------------------------------------------------------------------------------------


def count_statements(place: Place, out: Console) -> None:
    """Every epoch written by itself, the dearest case."""
    spec = stored_spec(store_simulated_study(place.database, "statements", trials=17))
    training = SimulatedTraining(0.03, works=False, report_seconds=0.0)
    ours = []
    with worker(place.database, "statements", training, 20) as trainer:
        while (ticket := trainer.claim()) is not None:
            before = training.epochs_trained
            with counted() as sent:
                trainer.train(ticket)
            if training.epochs_trained > before:
                ours.append(sent[0] + 2)  # and the claim's two
    plain = PlainWorker.join(place.plain, "statements", spec, SimulatedTraining(0.0, works=False))
    theirs = []
    for _ in range(16):
        with counted() as sent:
            plain.train()
        if plain.study.get_trials(deepcopy=False)[-1].last_step == EPOCHS:
            theirs.append(sent[0])
    line(out, "statements of a trial of 20 epochs that is not cut", spread(ours), spread(theirs))


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    sent = [0]

    def note(*_: Any) -> None:
        sent[0] += 1

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


# --- share of the training thread ---------------------------------------------------------------------


def share_of_time(place: Place, epoch_seconds: float, size: Size, out: Console) -> None:
    """A long training, for what ends with it is paid once."""
    epochs = int(size.seconds_of_training / epoch_seconds)
    name = f"share-at-{epoch_seconds}"
    spec = stored_spec(store_simulated_study(place.database, name, trials=1, epochs=epochs))
    training = SimulatedTraining(epoch_seconds, works=True)
    with worker(place.database, name, training, 1) as trainer:
        trainer.work()
    plain = PlainWorker.join(place.plain, name, spec, SimulatedTraining(epoch_seconds, works=True))
    plain.study.pruner = optuna.pruners.MedianPruner()  # which cuts no first trial
    plain.train(epochs=min(epochs, 100))  # each of them costs it tens of milliseconds
    ours = f"{training.service_seconds / training.training_seconds:.2%}"
    theirs = f"{plain.service_seconds / plain.training_seconds:.1%}"
    line(out, f"of the training thread's time at {epoch_seconds * 1000:g} ms an epoch", ours, theirs)


# --- long studies -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """The same study on both sides."""

    name: str
    spec: StudySpec
    ours: int  # Optuna's ids
    theirs: int


def grown_pair(place: Place, size: Size) -> Pair:
    name = "long"
    spec = stored_spec(store_simulated_study(place.database, name, trials=LARGE))
    with worker(place.database, name, SimulatedTraining(0.0, works=False), size.warm_trials) as trainer:
        trainer.work()
        ours = trainer.optuna_study._study_id
    plain = PlainWorker.join(place.plain, name, spec, SimulatedTraining(0.0, works=False))
    for _ in range(size.warm_trials):
        plain.train()
    return Pair(name, spec, ours, plain.study._study_id)


def join_and_cost(place: Place, pair: Pair, size: Size, out: Console) -> None:
    plain_engine = make_engine(place.plain, "public", pooled=False)
    costs: list[tuple[float, float]] = []
    for trials in (SMALL, LARGE):
        grow(place.engine, pair.ours, trials, "optuna", with_tickets=True)
        grow(plain_engine, pair.theirs, trials, "public", with_tickets=False)
        ours = in_a_process(lambda: our_costs(place, pair, size.measured_trials))
        theirs = in_a_process(lambda: plain_costs(place, pair, size.measured_trials))
        line(
            out,
            f"CPU s to join {trials:,} trials, first trial included",
            f"{ours[0]:.2f}",
            f"{theirs[0]:.2f}",
        )
        line(
            out,
            f"CPU ms of a trial after {trials:,}, client + server",
            f"{ours[1]:.0f} + {ours[2]:.0f}",
            f"{theirs[1]:.0f} + {theirs[2]:.0f}",
        )
        costs.append((ours[1] + ours[2], theirs[1] + theirs[2]))
    small, large = costs
    line(out, "the 10,000th trial to the 1,000th", f"{large[0] / small[0]:.2f}", f"{large[1] / small[1]:.2f}")


def our_costs(place: Place, pair: Pair, trials: int) -> tuple[float, float, float]:
    """CPU seconds to join, and milliseconds of a trial here and in the server."""
    began = time.process_time()
    with worker(place.database, pair.name, SimulatedTraining(0.0, works=False), trials + 1) as trainer:
        trainer.tell_orphans()

        def train() -> None:
            ticket = trainer.claim()
            assert ticket is not None
            trainer.train(ticket)

        train()
        return (time.process_time() - began, *cost_of(train, trials, place))


def plain_costs(place: Place, pair: Pair, trials: int) -> tuple[float, float, float]:
    began = time.process_time()
    plain = PlainWorker.join(place.plain, pair.name, pair.spec, SimulatedTraining(0.0, works=False))
    plain.train()
    return (time.process_time() - began, *cost_of(plain.train, trials, place))


def cost_of(train: Callable[[], object], trials: int, place: Place) -> tuple[float, float]:
    server, client = place.server_seconds(), time.process_time()
    for _ in range(trials):
        train()
    client = time.process_time() - client
    return 1000 * client / trials, 1000 * (place.server_seconds() - server) / trials


def in_a_process(call: Callable[[], Any]) -> Any:
    """What a call answers in a fresh process, which knows nothing of any study."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=lambda: sender.send(call()))
    process.start()
    sender.close()
    answer = receiver.recv()
    process.join()
    return answer


def pruner_decision(place: Place, pair: Pair, out: Console) -> None:
    engine, study = make_engine(place.database), studies.load_study(place.engine, pair.name)

    def decide() -> None:
        curves.rank_at(engine, study.id, 0, "Adam", 2, "val_loss", 0.5, 1.0)

    decide()
    client, server = cost_of(decide, 200, place)
    plain = PlainWorker.join(place.plain, pair.name, pair.spec, SimulatedTraining(0.0, works=False))
    trial = plain.study.ask()
    trial.report(0.5, 2)
    trial.should_prune()
    theirs = cost_of(trial.should_prune, 50, place)
    line(
        out,
        "CPU ms of a pruner's decision after 10,000 trials, client + server",
        f"{client:.2f} + {server:.1f}",
        f"{theirs[0]:.2f} + {theirs[1]:.1f}",
    )


# --- many workers -------------------------------------------------------------------------------------


def claims_of_many(place: Place, clients: int, size: Size, out: Console) -> None:
    """As many workers as asked, in processes of eight, on epochs of a second; measured once all have joined."""
    store_simulated_study(place.direct, "many", trials=clients * 20)
    processes, joined = [], time.monotonic() + max(10.0, JOINING_SECONDS * clients)
    end = joined + size.client_seconds
    for first in range(0, clients, THREADS_PER_PROCESS):
        receiver, sender = FORK.Pipe(duplex=False)
        places = range(first, min(first + THREADS_PER_PROCESS, clients))
        begins = [joined + place / clients * EPOCHS for place in places]
        process = FORK.Process(target=serve_many, args=(place.database, begins, end, sender))
        process.start()
        processes.append((process, receiver))
    time.sleep(max(0.0, joined - time.monotonic()))
    server, began = place.server_seconds(), time.monotonic()
    time.sleep(end - time.monotonic() - 2.0)
    load = (place.server_seconds() - server) / (time.monotonic() - began)
    found = [pair for _, receiver in processes for pair in receiver.recv()]
    for process, _ in processes:
        process.join()
    claims, empty = ([1000 * seconds for seconds in column] for column in zip(*found, strict=True))
    line(
        out,
        f"claim ms, median and 95th percentile of {len(claims)} by {clients} workers",
        middle(claims),
        "none",
    )
    line(out, "  a transaction that does nothing, by the same at the same time", middle(empty), "")
    line(out, f"cores of the server's CPU with {clients} workers", f"{load:.2f}", "")


def middle(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.1f} and {statistics.quantiles(found, n=20)[-1]:.1f}"


def serve_many(database: Database, begins: Sequence[float], end: float, answer: Any) -> None:
    """A worker in a thread for each time of beginning; the monotonic clock is the machine's."""
    claims: list[tuple[float, float]] = []
    threads = [threading.Thread(target=serve, args=(database, begin, end, claims)) for begin in begins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.send(claims)


def serve(database: Database, begin: float, end: float, claims: list[tuple[float, float]]) -> None:
    """One worker, which begins so late that the claims of all are spread over a trial's length."""
    training = SimulatedTraining(1.0, works=False)
    with worker(database, "many", training, 1) as trainer:
        time.sleep(max(0.0, begin - time.monotonic()))
        while time.monotonic() < end and (ticket := trainer.claim()) is not None:
            training.ends_at = end
            trainer.train(ticket)
        claims += zip(trainer.claim_seconds, trainer.empty_seconds, strict=True)


# --- saying it ----------------------------------------------------------------------------------------


def spread(counts: list[int]) -> str:
    return f"{statistics.median(counts):.0f} (at most {max(counts)})" if counts else "none was whole"


def line(out: Console, what: str, ours: str, theirs: str) -> None:
    out.print(f"{what:<72} {ours:<18} plain Optuna: {theirs}")


if __name__ == "__main__":
    main()
