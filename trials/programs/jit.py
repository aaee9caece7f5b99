"""Does it pay to let XLA compile a study's trainings? Measured on the real problem, before its first trial.

XLA makes small dense and recurrent models much faster and compiles for seconds; its convolutions on a CPU are many
times slower than TensorFlow's. It rounds otherwise, so the answer holds for the whole study.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from optselect.trials.problem.loading import Problem
from optselect.trials.programs.bench import Bench
from optselect.trials.programs.cache import Program, Programs
from optselect.trials.programs.epoch_graph import EpochGraph
from optselect.trials.programs.structure import NoProgram
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig
from optselect.trials.terms.errors import TrialsError
from optselect.trials.terms.user_code import demand_users_failure, explain

FIRST_BATCHES = 4
SECONDS = 1.0
"""About so long the measured batches take, of each mode."""
REPEATS = 3
LEAST_GAIN = 0.1
"""Share of an epoch that must be saved: for less nobody gives up fit's own numbers."""
COMPILED_TWICE = 2
"""For each structure: the program, and what the self-check compares it with."""


@dataclass(frozen=True)
class Cost:
    """What one mode costs, in seconds of the processor, or of the clock where a GPU trains."""

    making: float  # of a program: tracing, compiling, the first batches
    epoch: float


@dataclass(frozen=True)
class Choice:
    """Whether XLA compiles, and why, for the user."""

    jit: bool
    reason: str


def choose_jit(problem: Problem, seed: int, epochs: int, trials: int, structures: int) -> Choice:
    """Measure both modes and decide for a study; the problem's models are compiled accordingly from now on."""
    choice = _measured(problem, seed, epochs * trials, structures)
    problem.decide_jit(choice.jit)
    return choice


def weigh(graph: Cost, xla: Cost, epochs: int, structures: int) -> Choice:
    """Decide by the costs and by the epochs of all trainings.

    >>> weigh(Cost(0.5, 0.003), Cost(1.3, 0.002), epochs=240, structures=9).jit
    False
    >>> weigh(Cost(0.5, 0.003), Cost(1.3, 0.002), epochs=24000, structures=9)
    Choice(jit=True, reason='an epoch takes 0.002 s with XLA, 0.003 s without; compiling costs 14 s more in all')
    >>> weigh(Cost(0.5, 1.0), Cost(0.5, 0.95), epochs=24000, structures=9).jit
    False
    """
    more = COMPILED_TWICE * structures * max(0.0, xla.making - graph.making)
    costs = f"an epoch takes {xla.epoch:.2g} s with XLA, {graph.epoch:.2g} s without"
    saved = graph.epoch - xla.epoch
    pays = saved >= LEAST_GAIN * graph.epoch and saved * epochs > more
    return Choice(pays, f"{costs}; compiling costs {more:.2g} s more in all")


def _measured(problem: Problem, seed: int, epochs: int, structures: int) -> Choice:
    try:
        graph, program = _cost(problem, seed, jit=False)
        if not _on_gpu() and (operation := convolution_in(program)):
            return Choice(False, f"the model has convolutions ({operation}), which XLA makes slower on a CPU")
        xla, _ = _cost(problem, seed, jit=True)
    except (NoProgram, TrialsError) as refusal:
        return Choice(False, str(refusal))
    except BaseException as error:  # noqa: BLE001 - whatever XLA does not know
        demand_users_failure(error)
        return Choice(False, f"XLA cannot compile it: {explain(error, problem.path.parent)}")
    return weigh(graph, xla, epochs, structures)


def _cost(problem: Problem, seed: int, jit: bool) -> tuple[Cost, Program]:
    problem.decide_jit(jit)
    programs, config, clock = Programs(), OptimizerConfig(BASELINE, {}), _clock()
    bench = programs.bench(problem)
    bench.demand_sources()
    started = clock()
    program = programs.program(problem, config, epochs=True, check=lambda program: None)
    assert program.graph is not None, "whole epochs were asked for"
    bench.place_weights(seed)
    program.bound.place(config, programs.maker(problem, config))
    _run(bench, program.graph, seed, FIRST_BATCHES)
    making = clock() - started
    return Cost(making, _epoch_seconds(bench, program.graph, seed, clock)), program


def _epoch_seconds(bench: Bench, graph: EpochGraph, seed: int, clock: Callable[[], float]) -> float:
    batches, checks = bench.train.batches, bench.validation.batches

    def timed(most: int) -> float:
        started = clock()
        ran = _run(bench, graph, seed, most)
        return (clock() - started) / ran

    most = max(FIRST_BATCHES, int(SECONDS / REPEATS / max(timed(FIRST_BATCHES), 1e-6)))
    return min(timed(most) for _ in range(REPEATS)) * (batches + checks)


def _run(bench: Bench, graph: EpochGraph, seed: int, most: int) -> int:
    """Train and validate on so many batches of each at most; returns on how many."""
    batches, checks = range(min(most, bench.train.batches)), range(min(most, bench.validation.batches))
    graph.run(bench.feeds(seed, 1), batches, checks, float("inf"))
    return len(batches) + len(checks)


def convolution_in(program: Program) -> str:
    """Name a convolution in a program that was traced, or nothing."""
    assert program.graph is not None, "whole epochs were asked for"
    return next((name for name in program.graph.operations() if "Conv" in name), "")


def _clock() -> Callable[[], float]:
    return time.monotonic if _on_gpu() else time.process_time


def _on_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))
