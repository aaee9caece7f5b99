"""How does a compiled program train a trial? Epoch by epoch, with the callbacks that fit would call."""

import time
from collections.abc import Mapping
from typing import Any

import keras

from optselect.trials.optimizers.slots import handing_on
from optselect.trials.programs.bench import Bench
from optselect.trials.programs.cache import FindProgram, MakerOf, Program
from optselect.trials.programs.epoch_graph import NO_BATCHES, EpochGraph, Feeds, Part
from optselect.trials.programs.structure import NoProgram
from optselect.trials.terms.configuration import OptimizerConfig
from optselect.trials.training import swats
from optselect.trials.training.fit_runner import evaluate
from optselect.trials.training.watch import SeededPython, Watch

LONGEST_CALL_SECONDS = 5.0
"""A longer epoch runs in several calls, so that an order to stop is seen in between."""
BATCHES_TO_MEASURE = 8


class ProgramRunner:
    """Trains the one model of a bench by the program of each configuration."""

    def __init__(self, bench: Bench, seed: int, find: FindProgram, maker: MakerOf) -> None:
        self.model = bench.model
        self._bench, self._seed, self._find, self._maker = bench, seed, find, maker
        self._program: Program | None = None
        self._feeds: Feeds | None = None
        self._is_untrained = True  # the program since it is in place
        bench.place_weights(seed)

    @property
    def program(self) -> Program:
        """The program in place."""
        assert self._program is not None, "place() comes first"
        return self._program

    @property
    def _graph(self) -> EpochGraph:
        assert self.program.graph is not None, "asked for whole epochs"
        return self.program.graph

    def initial(self) -> Mapping[str, float]:
        """Score the untrained model, once for each seed."""
        return self._bench.initial(self._seed, self._graph)

    def score_test(self) -> Mapping[str, float]:
        """Score the model on the test data."""
        try:
            with self.program.bound.reading.on():  # it may be traced only now
                return self._bench.score_test()
        except NoProgram:
            problem = self._bench.problem
            return evaluate(self.model, problem, problem.data.test)

    def place(self, config: OptimizerConfig, keeps_slots: bool = False) -> None:
        """Put the program of a configuration in place, with fresh slots or the ones before; the weights stay."""
        with handing_on(self.model, keeps_slots):
            self._place(config)

    def _place(self, config: OptimizerConfig) -> None:
        self._program = self._find(config)
        self._program.bound.put_in_place(config, self._maker(config))
        self.model.train_function = self._program.train_function
        self.model.test_function = self._program.test_function
        self._is_untrained = True

    @property
    def taken(self) -> Mapping[str, float]:
        """The optimizer's numbers that callbacks had set before the first batch."""
        return self.program.bound.taken

    def take(self, values: Mapping[str, float]) -> None:
        """Go on with such numbers: what callbacks set now comes too late, as it does in fit."""
        self.program.bound.take(values)
        self._is_untrained = False

    def rate_after(self, epoch: int, second: OptimizerConfig) -> float | None:
        """Estimate the learning rate at which an SGD goes on."""
        return swats.rate_after(self.model, self._bench.problem, self._seed, epoch + 1, second)

    def leave(self) -> None:
        """Let the optimizer finish as at the end of a fit: averaged weights."""
        self.program.bound.optimizer.finalize_variable_values(self.model.trainable_variables)

    def train(self, watch: Watch, epochs: int) -> None:
        """Train the epochs that are left."""
        users = self._bench.problem.callbacks
        callbacks = watch.among(users, self._bench.users_state)
        callbacks[:0] = [SeededPython(self._seed)] if users else []
        self._introduce(callbacks, epochs)
        self.model.stop_training = False
        for callback in callbacks:
            callback.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(watch.epoch, epochs):
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            if self._is_untrained and users:
                if epoch == 0:
                    self._bench.demand_unchanged()
                self.program.bound.take_up()
            self._is_untrained = False
            logs = self._train_epoch(epoch, watch)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        self.leave()
        for callback in callbacks:
            callback.on_train_end(logs)

    def _introduce(self, callbacks: list[Any], epochs: int) -> None:
        """As Keras's own list of callbacks does, which would add half a millisecond to an epoch."""
        users = [callback for callback in callbacks if isinstance(callback, keras.callbacks.History)]
        if not users:
            callbacks.append(keras.callbacks.History())
        self.model.history = (users or callbacks)[-1]
        for callback in callbacks:
            callback.set_model(self.model)
            callback.set_params({"verbose": 0, "epochs": epochs, "steps": self._bench.train.batches})

    # --- one epoch ---

    def _train_epoch(self, epoch: int, watch: Watch) -> dict[str, float]:
        self._feeds = feeds = self._bench.feeds(self._seed, epoch + 1, self._feeds)
        batches, checks = self._bench.train.batches, self._bench.validation.batches
        if self._fits_one_call(batches + checks):
            part = self._timed(feeds, range(batches), range(checks), watch.limit)
            return self._ended(part, part.training, watch)
        done, training = 0, {}
        while done < batches:
            stretch = range(done, min(batches, done + self._batches_of_one_call()))
            part = self._timed(feeds, stretch, NO_BATCHES, watch.limit)
            done, training = part.step, dict(part.training)
            if not part.healthy or watch.is_told_to_stop():
                return self._ended(part, training, watch)
        return self._validate(feeds, training, watch)

    def _validate(self, feeds: Feeds, training: Mapping[str, float], watch: Watch) -> dict[str, float]:
        done, checks = 0, self._bench.validation.batches
        while True:
            stretch = range(done, min(checks, done + self._batches_of_one_call()))
            part = self._timed(feeds, NO_BATCHES, stretch, watch.limit)
            done = stretch.stop
            if done >= checks or watch.is_told_to_stop():
                return self._ended(part, training, watch)

    def _ended(self, part: Part, training: Mapping[str, float], watch: Watch) -> dict[str, float]:
        watch.weights_are_finite, watch.rate.known = part.finite, part.learning_rate
        if not part.healthy:
            watch.end_unhealthy(training.get("loss", 0.0))
        return {**training, **{f"val_{name}": value for name, value in sorted(part.validation.items())}}

    # --- how much in one call ---

    def _timed(self, feeds: Feeds, batches: range, checks: range, limit: float) -> Part:
        started = time.monotonic()
        part = self._graph.run(feeds, batches, checks, limit)
        if (ran := len(batches) + len(checks)) and part.healthy:
            self.program.seconds_per_batch = (time.monotonic() - started) / ran
        return part

    def _fits_one_call(self, batches: int) -> bool:
        return batches <= BATCHES_TO_MEASURE or 0.0 < self._seconds(batches) <= LONGEST_CALL_SECONDS

    def _batches_of_one_call(self) -> int:
        if not self.program.seconds_per_batch:
            return BATCHES_TO_MEASURE
        return max(1, int(LONGEST_CALL_SECONDS / self.program.seconds_per_batch))

    def _seconds(self, batches: int) -> float:
        return batches * self.program.seconds_per_batch
