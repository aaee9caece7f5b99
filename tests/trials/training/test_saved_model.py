"""The model of a training becomes a file that plain Keras reads, with the weights and the optimizer it ended with."""

import keras
import pytest

from optselect.trials.terms.configuration import BASELINE, Configuration, OptimizerConfig, Switch
from optselect.trials.terms.outcome import Epoch
from optselect.trials.training.saved_model import load_model
from tests.support.fits import train
from tests.trials.conftest import MakeProblem

SGD = OptimizerConfig("SGD", {"learning_rate": 0.02, "momentum": 0.5})
ADAM = OptimizerConfig("Adam", {"learning_rate": 0.003})


@pytest.mark.parametrize(
    ("configuration", "optimizer", "rate"),
    [
        (Configuration(ADAM), "Adam", 0.003),
        (Configuration(OptimizerConfig(BASELINE, {})), "SGD", 0.02),
        (Configuration(SGD, (Switch(1, ADAM),)), "Adam", 0.003),
    ],
)
def test_a_saved_model_scores_what_the_training_ended_with(
    make_problem: MakeProblem, configuration: Configuration, optimizer: str, rate: float
) -> None:
    problem = make_problem("RUN_EAGERLY = False")  # trained by a compiled program
    kept: list[tuple[Epoch, bytes]] = []
    result = train(
        problem, configuration=configuration, on_model=lambda last, body: kept.append((last, body()))
    )
    ((last, body),) = kept
    assert last == result.curve[-1]
    model = load_model(body, problem.path)
    x, y = problem.data.validation.packed()
    scores = model.evaluate(x, y, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(last.metrics["val_loss"], rel=1e-6)
    assert type(model.optimizer) is getattr(keras.optimizers, optimizer)
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)


def test_a_training_that_explodes_gives_no_model(make_problem: MakeProblem) -> None:
    kept: list[Epoch] = []
    explosive = Configuration(OptimizerConfig("SGD", {"learning_rate": 1e6}))
    train(make_problem(), configuration=explosive, on_model=lambda last, body: kept.append(last))
    assert kept == []


def test_classes_of_the_problem_file_are_found_again(make_problem: MakeProblem) -> None:
    problem = make_problem(
        "@keras.saving.register_keras_serializable('mine')\n"
        "class Doubled(keras.layers.Layer):\n"
        "    def call(self, inputs):\n"
        "        return 2 * inputs\n"
        "def model():\n"
        "    net = keras.Sequential([keras.Input((4,)), Doubled(), keras.layers.Dense(1)])\n"
        "    net.compile(optimizer='sgd', loss='mse', run_eagerly=True)\n"
        "    return net\n"
    )
    kept: list[bytes] = []
    train(problem, configuration=Configuration(ADAM), on_model=lambda last, body: kept.append(body()))
    assert [type(layer).__name__ for layer in load_model(kept[0], problem.path).layers] == [
        "Doubled",
        "Dense",
    ]
