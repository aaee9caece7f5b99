"""Which weights does a seed start from?"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Values = tuple[np.ndarray[Any, Any], ...]


class InitialWeights:
    """The initial values of all variables of the model, made once for each seed and kept.

    All optimizers of a seed start from the same weights, and TensorFlow is seeded only here: seeding makes every
    compiled function be prepared anew.
    """

    def __init__(self, make_model: Callable[[], Any], one_batch: Callable[[], Any]) -> None:
        self._make_model, self._one_batch = make_model, one_batch
        self._values: dict[int, Values] = {}

    def of_seed(self, seed: int) -> Values:
        """Give the values in the order of model.variables, with the states of the seed generators."""
        if seed not in self._values:
            keras.utils.set_random_seed(seed)
            model = self._make_model()
            build_model(model, self._one_batch)
            # get_weights() would leave out the seed generators, and dropout would not be repeated.
            self._values[seed] = tuple(variable.numpy() for variable in model.variables)
        return self._values[seed]

    def model_of_seed(self, seed: int) -> Any:
        """Make a fresh model that holds these values."""
        values = self.of_seed(seed)
        model = self._make_model()
        build_model(model, self._one_batch)
        assign_values(model.variables, values)
        return model


def build_model(model: Any, one_batch: Callable[[], Any]) -> None:
    """Give the model its variables; a subclassed model has none before its first call."""
    if not model.built or not model.variables:
        model(one_batch())


def assign_values(variables: list[Any], values: Values) -> None:
    """Assign in order; raises ValueError where number or shapes differ."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
