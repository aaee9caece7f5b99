"""Which weights does a seed start from?

All optimizers of a seed start from the same ones. TensorFlow is seeded where they are made and nowhere else; that
makes every compiled function of the process be prepared anew, so a training process reads them from files that
another process made (weights/weight_files.py).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Values = tuple[np.ndarray[Any, Any], ...]
"""In the order of model.variables, with the states of the seed generators."""
Begin = Callable[[int], tuple[Sequence[str], Values]]
"""Makes the values of a seed, with the paths of their variables."""

MOST_BYTES = 256 * 2**20
"""Of the weights that stay in memory; those of one seed stay in any case."""


class InitialWeights:
    """The initial values of all variables of the model, by seed; `find` gives those that are not in memory."""

    def __init__(
        self,
        make_model: Callable[[], Any],
        one_batch: Callable[[], Any],
        find: Callable[[int], Values] | None = None,
    ) -> None:
        self._make_model, self._one_batch = make_model, one_batch
        self._find = find or self.make
        self._tensors: OrderedDict[int, tuple[Any, ...]] = OrderedDict()

    def found_by(self, find: Callable[[int], Values]) -> "InitialWeights":
        """Give the same, found in another way."""
        return InitialWeights(self._make_model, self._one_batch, find)

    def of_seed(self, seed: int) -> tuple[Any, ...]:
        """Give the values as tensors, in the order of model.variables."""
        if seed not in self._tensors:
            self._tensors[seed] = tuple(tf.constant(value) for value in self._find(seed))
            self._forget_old()
        self._tensors.move_to_end(seed)
        return self._tensors[seed]

    def model_of_seed(self, seed: int) -> Any:
        """Make a fresh model that holds these values."""
        values = self.of_seed(seed)
        model = self._make_model()
        build_model(model, self._one_batch)
        assign_values(model.variables, [value.numpy() for value in values])
        return model

    def make(self, seed: int) -> Values:
        """Make the values of a seed here, which seeds this process."""
        return self.begin(seed)[1]

    def begin(self, seed: int) -> tuple[Sequence[str], Values]:
        """Make them, with the paths of the variables."""
        keras.utils.set_random_seed(seed)
        model = self._make_model()
        build_model(model, self._one_batch)
        # get_weights() would leave out the seed generators, and dropout would not be repeated.
        variables = model.variables
        return [variable.path for variable in variables], tuple(variable.numpy() for variable in variables)

    def _forget_old(self) -> None:
        one = sum(tensor.dtype.size * int(tf.size(tensor)) for tensor in next(iter(self._tensors.values())))
        while len(self._tensors) > max(1, MOST_BYTES // max(1, one)):
            self._tensors.popitem(last=False)


def build_model(model: Any, one_batch: Callable[[], Any]) -> None:
    """Give the model its variables; a subclassed model has none before its first call.

    That call is no part of a training: what a recurrent layer keeps of it is forgotten.
    """
    if not model.built or not model.variables:
        model(one_batch())
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.RNN) and layer.stateful:
                layer.reset_state()


def assign_values(variables: Sequence[Any], values: Iterable[Any]) -> None:
    """Assign in order; raises ValueError where number or shapes differ."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
