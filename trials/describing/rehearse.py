"""Does each optimizer train this model, can it be resumed, which way does it take, and how fast?

    python -m optselect.trials.describing.rehearse PROBLEM --out FILE --names SGD,Adam [--epochs N] [--optimizers JSON] [--jit]
                                        [--precision POLICY] [--rows FOLDER --data HASH]

trains each for a moment on the first batches, by the very code of a trial, and writes the answer, or
{"error": "..."}, as JSON. Nothing else is written.
"""

import argparse
import dataclasses
import faulthandler
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import psutil
import tensorflow as tf

from optselect.trials.data.kept_rows import KeptRows
from optselect.trials.data.splits import Arrays, Data, Split
from optselect.trials.data.whole_file import write_whole
from optselect.trials.describing.first_operation import run_first_operation
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import BASELINE, ArgumentValue, Configuration, OptimizerConfig
from optselect.trials.terms.description import error_json
from optselect.trials.terms.errors import ConfigurationError, ProblemError
from optselect.trials.terms.outcome import Epoch, Outcome, Stop
from optselect.trials.terms.reference import read_classes
from optselect.trials.terms.rehearsal import SCHEMA, Rehearsed
from optselect.trials.terms.user_code import leave_a_trace_of_interrupts
from optselect.trials.training.trainer import run_trial

SEED = 0
BATCHES = 64
"""Most batches of a rehearsed epoch: enough that what an epoch costs besides its batches hardly counts."""
EPOCHS = 8
ENOUGH_SECONDS = 1.0
FEWEST_EPOCHS = 3
"""The first one compiles; two more can be timed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse one problem; returns the exit code."""
    leave_a_trace_of_interrupts()
    faulthandler.enable()  # a signal that ends this process says where it hit
    options = _parse(arguments)
    try:
        classes = [one.reference for one in read_classes(options.optimizers)]
        path, jit, precision = resolve_problem(options.problem), options.jit, options.precision
        rows = KeptRows.of(options.rows, options.data) if options.rows and options.data else None
        problem = load_problem(path, options.epochs, classes, jit=jit, precision=precision, rows=rows)
        run_first_operation()
        found = rehearse(problem, [name for name in options.names.split(",") if name])
    except (ProblemError, ConfigurationError) as error:
        write_whole(options.out, json.dumps(error_json(str(error))).encode())
        return 2
    memory = psutil.Process().memory_info().rss
    answer = {"schema": SCHEMA, "optimizers": found, "memory_bytes": memory}
    write_whole(options.out, json.dumps(answer).encode())
    return 0


def rehearse(problem: Problem, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Each optimizer in turn; programs are kept, as a worker keeps them."""
    short = shortened(problem)
    share = share_of(problem, short)
    programs = Programs()
    return {name: dataclasses.asdict(rehearse_one(short, name, share, programs)) for name in names}


def shortened(problem: Problem) -> Problem:
    """The problem with the first batches of its data."""
    data = Data(first_batches(problem, problem.data.train), first_batches(problem, problem.data.validation))
    fit = {name: value for name, value in problem.fit.items() if name != "steps_per_epoch"}
    fit |= {} if problem.batch_size is None else {"batch_size": problem.batch_size}
    return Problem(problem.path, problem.make_model, data, fit, problem.optimizers)


def first_batches(problem: Problem, split: Split) -> Split:
    if isinstance(split, Arrays):
        size = problem.batch_size or problem.validation_batch_size
        return split.head(min(split.rows, BATCHES * size))
    return split.take(BATCHES) if isinstance(split, tf.data.Dataset) else split


def share_of(problem: Problem, short: Problem) -> float:
    """How many rehearsed epochs a whole one is worth, by its batches; 0 where nobody knows how many it has."""
    whole, part = problem.steps_per_epoch, short.steps_per_epoch
    return 0.0 if whole is None or not part else max(1.0, whole / part)


def rehearse_one(problem: Problem, name: str, share: float, programs: Programs) -> Rehearsed:
    """Train for a moment, as a trial does, and the second epoch once more from a checkpoint of the first."""
    configuration = Configuration(
        OptimizerConfig(name, {} if name == BASELINE else needed_arguments(problem))
    )
    seen = _Seen()
    train = partial(
        run_trial, problem, configuration, SEED, programs=programs, batch_ends=range(1, EPOCHS + 1)
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="optselect-") as folder:
        train = partial(train, folder=Path(folder))
        result = train(epochs=EPOCHS, on_epochs=seen)
        resumed = None if seen.snapshot is None else train(epochs=2, on_epochs=_go_on, start=seen.snapshot)
    is_sound = result.outcome not in (Outcome.FAILED, Outcome.DIVERGED)
    times = [after - before for before, after in itertools.pairwise(seen.ended)]
    return Rehearsed(
        outcome=(Outcome.COMPLETE if is_sound else result.outcome).value,
        message="" if is_sound else result.reason,
        step=None if result.step is None else result.step.number,
        step_reason="" if result.step is None else result.step.reason,
        is_restored=None if resumed is None else is_same(problem, result.curve, resumed.curve),
        seconds_begin=(seen.ended[0] if seen.ended else time.perf_counter()) - began,
        seconds_per_epoch=share * statistics.median(times) if times else 0.0,
    )


def needed_arguments(problem: Problem) -> dict[str, ArgumentValue]:
    """What a callback asks of every optimizer: the averaged weights that SwapEMAWeights swaps."""
    swaps = any(isinstance(callback, keras.callbacks.SwapEMAWeights) for callback in problem.callbacks)
    return {"use_ema": True} if swaps else {}


class _Seen:
    """Notes when epochs end and keeps the checkpoint of the first; ends the training when that is enough."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.snapshot: bytes | None = None

    def __call__(self, epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
        if not epochs:
            return None
        if not self.ended:
            self.snapshot = snapshot()
        self.ended.append(time.perf_counter())
        enough = self.ended[-1] - self.ended[0] > ENOUGH_SECONDS and len(self.ended) >= FEWEST_EPOCHS
        return Stop("that is enough") if enough else None


def _go_on(epochs: Sequence[Epoch], snapshot: Callable[[], bytes]) -> Stop | None:
    return None


def is_same(problem: Problem, through: Sequence[Epoch], resumed: Sequence[Epoch]) -> bool | None:
    """Whether the second epoch has the same numbers, to the last bit; None where it never came.

    Data that brings its own order need not: there it only has to go on.
    """
    one, again = ([epoch.metrics for epoch in curve if epoch.number == 2] for curve in (through, resumed))
    if not one:
        return None
    if not isinstance(problem.data.train, Arrays):
        return bool(again)
    return [list(map(repr, metrics.values())) for metrics in one] == [
        list(map(repr, metrics.values())) for metrics in again
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m optselect.trials.describing.rehearse")
    parser.add_argument("problem", help="a problem file, or the name of a bundled problem")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--names", required=True, help="optimizers, comma-separated")
    parser.add_argument("--epochs", type=int, help="in place of fit['epochs']")
    parser.add_argument(
        "--optimizers", default="[]", help="classes of the user's own, as write_classes gives them"
    )
    parser.add_argument("--jit", action="store_true", help="as it will be trained with XLA")
    parser.add_argument("--precision", help="the dtype policy of its training; default: the file's own")
    parser.add_argument("--rows", type=Path, help="below this folder the rows are kept")
    parser.add_argument("--data", help="the hash of the rows")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # taking TensorFlow down costs two seconds
