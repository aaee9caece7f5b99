"""How does Keras's own fit train a trial? On our order of rows, watched epoch by epoch."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from optselect.trials.data.splits import Arrays
from optselect.trials.optimizers.building import build_optimizer, innermost, install_optimizer
from optselect.trials.optimizers.slots import handing_on
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.bench import Bench
from optselect.trials.programs.cache import FindProgram, MakerOf
from optselect.trials.programs.sources import Streamed
from optselect.trials.terms.configuration import OptimizerConfig
from optselect.trials.terms.outcome import numbers_in
from optselect.trials.training import swats
from optselect.trials.training.watch import SeededPython, Watch


class FitRunner:
    """Trains a fresh model by fit."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem, self._seed = problem, seed
        self.model = problem.initial_weights.model_of_seed(seed)
        self._users_state = problem.users_state(self.model)

    def initial(self) -> Mapping[str, float]:
        """Score the untrained model, once for each seed."""
        problem, seed = self.problem, self._seed
        if seed not in problem.initial_metrics:
            # A model of its own: a test_step of the user's may change state that no one else knows of.
            model = problem.initial_weights.model_of_seed(seed)
            steps = problem.fit.get("validation_steps")
            scores = evaluate(model, problem, problem.data.validation, steps)
            problem.initial_metrics[seed] = {f"val_{name}": value for name, value in scores.items()}
        return problem.initial_metrics[seed]

    def score_test(self) -> Mapping[str, float]:
        """Score the model on the test data."""
        return evaluate(self.model, self.problem, self.problem.data.test)

    def place(self, config: OptimizerConfig, keeps_slots: bool = False) -> None:
        """Put an optimizer in place, with fresh slots or what the one before leaves it; the weights stay."""
        with handing_on(self.model, keeps_slots):
            self._place(config)

    def _place(self, config: OptimizerConfig) -> None:
        install_optimizer(self.model, build_optimizer(config, self.model))

    @property
    def taken(self) -> Mapping[str, float]:
        """The optimizer's numbers that callbacks had set before the first batch; here fit reads them itself."""
        return {}

    def take(self, values: Mapping[str, float]) -> None:
        """Go on with such numbers."""

    def rate_after(self, epoch: int, second: OptimizerConfig) -> float | None:
        """Estimate the learning rate at which an SGD goes on."""
        return swats.rate_after(self.model, self.problem, self._seed, epoch + 1, second)

    def leave(self) -> None:
        """Let the optimizer finish as at the end of a fit: averaged weights."""
        innermost(self.model.optimizer).finalize_variable_values(self.model.trainable_variables)

    def train(self, watch: Watch, epochs: int) -> None:
        """Train the epochs that are left, in one call of fit."""
        problem = self.problem
        callbacks = watch.among(problem.callbacks, self._users_state)
        if problem.callbacks or isinstance(problem.data.train, keras.utils.PyDataset):
            callbacks.insert(0, SeededPython(self._seed))
        self._begins = watch.epoch == 0
        validation = problem.data.validation
        self.model.fit(
            validation_data=validation.packed() if isinstance(validation, Arrays) else validation,
            **training_arguments(problem, self._seed, watch.epoch + 1, epochs),
            **{name: problem.fit[name] for name in ("validation_steps",) if name in problem.fit},
            validation_batch_size=problem.validation_batch_size,
            initial_epoch=watch.epoch,
            epochs=epochs,
            callbacks=callbacks,
            verbose=0,
        )


class BoundFitRunner(FitRunner):
    """Trains the one model of a bench by fit, with the compiled step of each configuration."""

    def __init__(self, bench: Bench, seed: int, find: FindProgram, maker: MakerOf) -> None:
        self.problem, self._seed, self._bench = bench.problem, seed, bench
        self.model, self._find, self._maker = bench.model, find, maker
        self._users_state = bench.users_state
        bench.place_weights(seed)

    def _place(self, config: OptimizerConfig) -> None:
        program = self._find(config)
        program.bound.put_in_place(config, self._maker(config))

        def first_batch(iterator: Any) -> Any:
            if self._begins:  # here fit would trace its step, and read what callbacks have assigned
                self._bench.demand_unchanged()
            self._begins = False
            program.bound.take_up()
            self.model.train_function = program.train_function
            return program.train_function(iterator)

        self.model.train_function, self.model.test_function = first_batch, program.test_function
        self._program = program

    @property
    def taken(self) -> Mapping[str, float]:
        """The optimizer's numbers that callbacks had set before the first batch."""
        return self._program.bound.taken

    def take(self, values: Mapping[str, float]) -> None:
        """Go on with such numbers: what callbacks set now comes too late, as it does in fit."""
        self._program.bound.take(values)
        self.model.train_function = self._program.train_function


def training_arguments(problem: Problem, seed: int, first_epoch: int, last_epoch: int) -> dict[str, Any]:
    """Give the training data to fit: arrays as one pipeline in our order of rows, all else as it is."""
    train, fit = problem.data.train, problem.fit
    if isinstance(train, Arrays):
        rows = problem.training_rows
        batches = rows.batches(seed, first_epoch, last_epoch)
        return {"x": batches, "steps_per_epoch": rows.steps, "shuffle": False}
    kept = {name: fit[name] for name in ("steps_per_epoch", "class_weight", "shuffle") if name in fit}
    if isinstance(train, tf.data.Dataset):
        kept["shuffle"] = False  # it brings its own order; True only makes Keras warn
    return {"x": train, **kept}


def evaluate(model: Any, problem: Problem, split: Any, steps: int | None = None) -> dict[str, float]:
    """Score a split, under Keras's own names."""
    arguments: dict[str, Any] = {"x": split.dataset if isinstance(split, Streamed) else split}
    if isinstance(split, Arrays):
        parts = zip(("x", "y", "sample_weight"), split.packed(), strict=False)
        arguments = {**dict(parts), "batch_size": problem.validation_batch_size}
    return numbers_in(model.evaluate(**arguments, steps=steps, verbose=0, return_dict=True))
