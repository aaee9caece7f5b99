"""One trace scores the model for all programs, unless the model asks its optimizer while it is scored."""

import keras

from optselect.trials.programs.cache import Programs
from tests.support.fits import train
from tests.trials.conftest import MakeProblem

ASKS = """
class Asking(keras.Model):
    def __init__(self, **given):
        super().__init__(**given)
        self.steps = keras.metrics.Mean(name="steps")

    def test_step(self, data):
        self.steps.update_state(self.optimizer.iterations)
        return super().test_step(data)

def model():
    inputs = keras.Input((4,))
    net = Asking(inputs=inputs, outputs=keras.layers.Dense(1)(inputs))
    net.compile("sgd", "mse")
    return net
"""


def test_programs_share_what_scores_the_model(make_problem: MakeProblem) -> None:
    problem, programs = make_problem("RUN_EAGERLY = False", epochs=1), Programs()
    for optimizer in ("SGD", "Adam"):
        assert train(problem, optimizer, programs=programs).step.number == 1  # type: ignore[union-attr]
    graphs = [program.graph for held in programs._held.values() for program in held]
    assert len(graphs) == 2 and len({id(graph._validation) for graph in graphs if graph is not None}) == 1


def test_a_model_that_asks_its_optimizer_hears_the_one_that_trains_it(make_problem: MakeProblem) -> None:
    problem, programs = make_problem(ASKS, epochs=2), Programs()
    for optimizer in ("SGD", "Adam", "SGD"):
        result = train(problem, optimizer, programs=programs)
        assert result.step is not None and result.step.number == 1, result.step
        assert [epoch.metrics["val_steps"] for epoch in result.curve] == [3.0, 6.0]


def test_a_program_scores_the_test_data_as_evaluate_does(make_problem: MakeProblem) -> None:
    problem = make_problem("RUN_EAGERLY = False")
    result = train(problem, "SGD", test=True)
    by_fit = train(problem, "SGD", test=True, programs=Programs(first_step=4))
    assert result.test is not None and result.test == by_fit.test
    assert keras.tree.map_structure(type, dict(result.test)) == {"loss": float, "mae": float}
