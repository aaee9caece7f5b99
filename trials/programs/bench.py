"""What do all programs of a training process share? One model, and the data as tensors."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf

from optselect.trials.data.row_order import order_of_rows, read_arrays
from optselect.trials.data.splits import Arrays
from optselect.trials.problem.initial_weights import build_model
from optselect.trials.problem.loading import Problem
from optselect.trials.programs.epoch_graph import NO_BATCHES, EpochGraph, Feeds
from optselect.trials.programs.hyperparameter import Reading, put
from optselect.trials.programs.memory import give_back_memory
from optselect.trials.programs.scoring import Scoring
from optselect.trials.programs.sources import Resident, Source, Streamed, array_source, dataset_source
from optselect.trials.programs.structure import NoProgram
from optselect.trials.state.snapshot import other_optimizers, states_kept_between_batches, variables_in


class Bench:
    """Everything that one problem's programs stand on."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        give_back_memory()  # what the problem's data() took to make the arrays
        batch = problem.first_batch()  # first, for making a model lets the data begin anew
        self.model = problem.make_model()
        build_model(self.model, lambda: keras.utils.unpack_x_y_sample_weight(batch)[0])
        # As fit does before it traces: losses and metrics make their variables on symbolic inputs.
        self.model._symbolic_build(data_batch=batch)
        self.users_state = problem.users_state(self.model)
        self.baseline = self.model.optimizer
        self.initial_metrics: dict[int, Mapping[str, float]] = {}
        self.eager_misses = 0  # of the self-check, in a row
        self._refusal: NoProgram | None = None
        self._validating: Scoring | None = None
        self._testing: Scoring | None = None
        self._validation_order: Any = None
        known = {id(variable) for variable in self.model.variables}
        others = [*variables_in(other_optimizers(self.model)), *states_kept_between_batches(self.model)]
        self._others = [variable for variable in others if id(variable) not in known]
        self._others_first = [tf.identity(variable.value) for variable in self._others]

    @cached_property
    def train(self) -> Source:
        """Where training batches come from; raises NoProgram where only fit can read them."""
        problem = self.problem
        steps = problem.fit.get("steps_per_epoch")
        if isinstance(problem.data.train, Arrays):
            rows, tensors = problem.data.train.rows, problem.training_rows.tensors
            assert problem.batch_size is not None, "arrays have one"
            return array_source(tensors, rows, problem.batch_size, steps)
        return self._dataset(problem.data.train, problem.fit.get("class_weight"), steps)

    @cached_property
    def validation(self) -> Source:
        """Where validation batches come from; raises NoProgram where only fit can read them."""
        problem = self.problem
        steps = problem.fit.get("validation_steps")
        if isinstance(problem.data.validation, Arrays):
            arrays, size = problem.data.validation, problem.validation_batch_size
            return array_source(read_arrays(arrays, size), arrays.rows, size, steps)
        return self._dataset(problem.data.validation, None, steps)

    def demand_sources(self) -> None:
        """Raise NoProgram, with the same reason each time, where only fit can read the data."""
        if self._refusal is not None:
            raise self._refusal
        try:
            assert self.train.batches and self.validation.batches, "checked when the problem was loaded"
        except NoProgram as refusal:
            self._refusal = refusal
            raise

    def feeds(self, seed: int, epoch: int, before: Feeds | None = None) -> Feeds:
        """Give what an epoch runs on, after the feeds of the epoch before."""
        return self._training_feed(seed, epoch, before), self._validation_feed()

    def _training_feed(self, seed: int, epoch: int, before: Feeds | None) -> Any:
        source, is_shuffled = self.train, bool(self.problem.fit.get("shuffle", True))
        if isinstance(source, Resident) and isinstance(self.problem.data.train, Arrays):
            return tf.constant(order_of_rows(seed, epoch, source.rows, is_shuffled))
        if not isinstance(source, Resident) and source.goes_on and before is not None:
            return before[0]
        return source.as_they_lie()

    def _validation_feed(self) -> Any:
        if not isinstance(self.validation, Resident):
            return self.validation.as_they_lie()
        if self._validation_order is None:
            self._validation_order = self.validation.as_they_lie()
        return self._validation_order

    def place_weights(self, seed: int) -> None:
        """Assign a seed's initial weights to the model, and let what the user's code holds begin anew with them."""
        values = self.problem.initial_weights.of_seed(seed)
        for variable, value in zip(self.model.variables, values, strict=True):
            variable.value.assign(value, read_value=False)
        for variable, value in zip(self._others, self._others_first, strict=True):
            variable.value.assign(value, read_value=False)
        self.users_state.restore()

    def demand_unchanged(self) -> None:
        """Refuse what callbacks have set before the first batch: fit traces there, and programs are traced already."""
        if name := self.users_state.changed(self.problem.make_model.code.names_read):
            raise NoProgram(f"a callback sets {name} before the first batch, where fit reads it once for all")

    def graph(self, reading: Reading) -> EpochGraph:
        """Make an epoch around the model and the optimizer that it holds now; traced at its first run."""
        if self._validating is None or self._validating.asks_optimizer:
            self._validating = Scoring(self.model, self.validation, self.problem.jit)
        return EpochGraph(self.model, self.train, self._validating, reading, self.problem.jit)

    def functions(self, reading: Reading) -> tuple[Any, Any]:
        """Make Keras's own functions that train and score a batch, for the optimizer that the model holds now.

        Scoring too: a test_step of the user's may ask the optimizer.
        """
        model = self.model
        with _replaced(model, "train_step", reading.traced(model.train_step)):
            model.make_train_function(force=True)
        with _replaced(model, "test_step", reading.traced(model.test_step)):
            model.make_test_function(force=True)
        return model.train_function, model.test_function

    def score_test(self) -> Mapping[str, float]:
        """Score the model on the test data, as evaluate would; raises NoProgram where only that can read them."""
        if self._testing is None or self._testing.asks_optimizer:
            self._testing = Scoring(self.model, self._test_source(), self.problem.jit)
        return self._testing.whole()

    def _test_source(self) -> Source:
        test, size = self.problem.data.test, self.problem.validation_batch_size
        if isinstance(test, Arrays):
            return array_source(read_arrays(test, size), test.rows, size, None)
        if isinstance(test, Streamed):
            return test
        raise NoProgram("the test data are no arrays", step=3)

    def initial(self, seed: int, graph: EpochGraph) -> Mapping[str, float]:
        """Score the model, which holds the seed's initial weights now, once for each seed."""
        if seed not in self.initial_metrics:
            part = graph.run(self.feeds(seed, 1), NO_BATCHES, range(self.validation.batches), float("inf"))
            self.initial_metrics[seed] = {f"val_{name}": value for name, value in part.validation.items()}
            self.place_weights(seed)  # a test_step of the user's may have changed variables
        return self.initial_metrics[seed]

    def _dataset(self, dataset: Any, class_weight: Any, steps: int | None) -> Source:
        if not isinstance(dataset, tf.data.Dataset):
            raise NoProgram("a PyDataset makes its batches anew in each epoch", step=3)
        return dataset_source(dataset, class_weight, steps)


@contextmanager
def _replaced(model: Any, name: str, step: Callable[[Any], Any]) -> Iterator[None]:
    """Let the model have another step while Keras makes a function of it."""
    own = vars(model).get(name)
    put(model, name, step)
    try:
        yield
    finally:
        if own is None:
            object.__delattr__(model, name)
        else:
            put(model, name, own)
