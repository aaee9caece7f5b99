"""Which compiled programs does a training process hold, and which one serves a configuration?"""

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optselect.trials.optimizers.building import build_optimizer, innermost, scaled_like
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.bench import Bench
from optselect.trials.programs.bound_optimizer import BoundOptimizer
from optselect.trials.programs.epoch_graph import EpochGraph
from optselect.trials.programs.hyperparameter import StructuralUse, teach_tensorflow
from optselect.trials.programs.memory import collected_at_the_end, give_back_memory, memory_of_process
from optselect.trials.programs.structure import (
    NoProgram,
    known_in_fit,
    known_in_fit_of,
    outline,
    with_other_numbers,
)
from optselect.trials.terms.configuration import BASELINE, OptimizerConfig

log = logging.getLogger(__name__)

Check = Callable[["Program"], None]
FindProgram = Callable[[OptimizerConfig], "Program"]
MakerOf = Callable[[OptimizerConfig], Callable[[], Any]]
Key = tuple[Any, ...]

MOST_PROGRAMS = 24
MOST_BYTES = 512 * 2**20
"""The least recently used are dropped beyond either; each holds 10 to 20 MB, under XLA up to 50."""
FEWEST_PROGRAMS = 4
"""Stay whatever they hold: a training that switches its optimizer goes from one to the other."""


@dataclass
class Program:
    """One structure, compiled: an optimizer whose numbers are bound, and what trains the model with it."""

    bound: BoundOptimizer
    graph: EpochGraph | None  # whole epochs; None: fit trains by
    train_function: Any = None  # Keras's own, of one batch, and
    test_function: Any = None  # which a callback may call in any case: model.evaluate(), train_on_batch()
    seconds_per_batch: float = 0.0  # measured; 0 before the first epoch
    bytes: int = 0  # by which the process grew when it was made and checked


@dataclass
class Programs:
    """The cache that a training process keeps from trial to trial; least recently used programs go first."""

    first_step: int = 1  # of the ladder; 4 trains every trial by a fresh fit
    built: int = 0  # programs made so far, also those dropped since
    _bench: Bench | None = field(default=None, repr=False)
    _held: OrderedDict[Key, list[Program]] = field(default_factory=OrderedDict, repr=False)
    _structural: dict[str, set[str]] = field(default_factory=dict, repr=False)  # by optimizer
    _refused: dict[Key, NoProgram] = field(default_factory=dict, repr=False)

    def bench(self, problem: Problem) -> Bench:
        """Give what the programs of this problem share; another problem starts with an empty cache."""
        if self._bench is None or self._bench.problem is not problem:
            teach_tensorflow()
            for cache in (self._held, self._structural, self._refused):
                cache.clear()
            self._bench = Bench(problem)
        return self._bench

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers that a held program can train at once."""
        return tuple(dict.fromkeys(key[1] for key in self._held))

    def structural(self, config: OptimizerConfig) -> frozenset[str]:
        """The attributes of this optimizer whose values are part of its programs."""
        if config.optimizer == BASELINE and self._bench is not None:
            return self.decided_by(config) | known_in_fit_of(innermost(self._bench.baseline))
        return self.decided_by(config) | known_in_fit(config)

    def decided_by(self, config: OptimizerConfig) -> frozenset[str]:
        """Those of them that Python decides by, as far as that was seen."""
        return frozenset(self._structural.get(config.optimizer, ()))

    def program(self, problem: Problem, config: OptimizerConfig, epochs: bool, check: Check) -> Program:
        """Give the program that serves a configuration; makes and checks it where none is held.

        `epochs` asks for whole epochs in one call. Raises NoProgram, and what the user's code raises while traced.
        """
        key = self._key(config, epochs)
        if key in self._refused:
            raise self._refused[key]
        for program in self._held.get(key, ()):
            if program.bound.serves(config):
                self._held.move_to_end(key)
                return program
        try:
            return self._built(problem, config, epochs, check)
        except NoProgram as refusal:
            self._refused[key] = refusal
            raise

    def refuse(self, config: OptimizerConfig, refusal: NoProgram) -> None:
        """Give no program to this structure again: one could not train what it had to."""
        for epochs in (True, False):
            self._refused[self._key(config, epochs)] = refusal

    def _key(self, config: OptimizerConfig, epochs: bool) -> Key:
        return (epochs, *outline(config, self.structural(config)))

    def _built(self, problem: Problem, config: OptimizerConfig, epochs: bool, check: Check) -> Program:
        self.bench(problem)  # what all programs share is no part of the first one
        before = memory_of_process()
        with collected_at_the_end():  # the check's model and its graphs refer to each other
            program = self._checked(problem, config, epochs, check)
        give_back_memory()
        program.bytes = max(0, memory_of_process() - before)
        self._held.setdefault(self._key(config, epochs), []).append(program)
        self._drop_old()
        return program

    def _checked(self, problem: Problem, config: OptimizerConfig, epochs: bool, check: Check) -> Program:
        while True:
            try:
                program = self._build(problem, config, epochs)
                check(program)
                return program
            except StructuralUse as use:
                if use.name in self.structural(config):
                    raise NoProgram(str(use)) from use
                log.info("%s: %s", config.optimizer, use)
                self._structural.setdefault(config.optimizer, set()).add(use.name)

    def maker(self, problem: Problem, config: OptimizerConfig) -> Callable[[], Any]:
        """Give a function that makes fresh optimizers of a configuration, as a compiled model would hold them."""
        bench = self.bench(problem)
        if config.optimizer == BASELINE:
            return lambda: problem.make_model.aside().optimizer
        return lambda: scaled_like(bench.baseline, build_optimizer(config, bench.model))

    def _build(self, problem: Problem, config: OptimizerConfig, epochs: bool) -> Program:
        """Make a program with other numbers than it will train with: one that is kept elsewhere then shows."""
        bench, make = (
            self.bench(problem),
            self.maker(problem, with_other_numbers(config, self.structural(config))),
        )
        own, is_scheduled = self.maker(problem, config), config.schedule is not None
        bound = BoundOptimizer(make(), bench.model, own, self.structural(config), is_scheduled)
        bench.model.optimizer = bound.optimizer
        self.built += 1
        return Program(bound, bench.graph(bound.reading) if epochs else None, *bench.functions(bound.reading))

    def _drop_old(self) -> None:
        dropped = False
        while self._too_many():
            key = next(iter(self._held))
            self._held[key].pop(0)
            dropped = True
            if not self._held[key]:
                del self._held[key]
        if dropped:
            gc.collect()  # a program's graph refers to itself, and Python would look for such rings much later

    def _too_many(self) -> bool:
        held = [program for programs in self._held.values() for program in programs]
        is_large = sum(program.bytes for program in held) > MOST_BYTES and len(held) > FEWEST_PROGRAMS
        return is_large or len(held) > MOST_PROGRAMS
