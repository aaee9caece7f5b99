"""An optimizer of one's own, written for Keras 3, on the data of diabetes.

    optselect launch momentum --optimizers sgd,adam,momentum:MyMomentum

The class is searched like Keras's own: its learning rate and its momentum, by their names in the constructor.
docs/tutorials/own-optimizer.md compares it line by line with one written before Keras 3.
"""

import keras

from optselect.examples.diabetes import data  # noqa: F401  the problem's own, as if it stood here

fit = {"batch_size": 32, "epochs": 25}


@keras.saving.register_keras_serializable(package="examples")
class MyMomentum(keras.optimizers.Optimizer):
    """Gradient descent along a running average of the gradients."""

    def __init__(self, learning_rate=0.01, momentum=0.9, name="my_momentum", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        """Called once: one slot for each variable of the model, full of zeros."""
        if self.built:
            return
        super().build(variables)
        self.averages = self.add_optimizer_variables(variables, "average")

    def update_step(self, gradient, variable, learning_rate):
        """Called in each step for each variable; m <- momentum * m + (1 - momentum) * g, w <- w - learning_rate * m."""
        gradient = keras.ops.convert_to_tensor(
            gradient, variable.dtype
        )  # an Embedding's gradients are sparse
        learning_rate = keras.ops.cast(learning_rate, variable.dtype)
        average = self.averages[self._get_variable_index(variable)]
        self.assign(average, self.momentum * average + (1.0 - self.momentum) * gradient)
        self.assign_sub(variable, learning_rate * average)

    def get_config(self):
        """What the constructor was given: for a model that is saved and loaded."""
        return {**super().get_config(), "momentum": self.momentum}


def model():
    net = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    net.compile(optimizer=MyMomentum(), loss="mse", metrics=["mae"])
    return net


# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
