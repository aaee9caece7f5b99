"""What stands behind the names that fit reports: the metric's own name, and what its class tells."""

import inspect
from typing import Any

import keras
import pytest

from optselect.search.spec.objective import Open, told_direction
from optselect.trials.describing.describe import describe
from optselect.trials.describing.describe_metrics import describe_metrics
from optselect.trials.terms.description import MetricDescription, ProblemDescription
from tests.trials.conftest import MakeProblem

NEEDED: dict[str, dict[str, Any]] = {
    "BinaryIoU": {"target_class_ids": [0]},
    "IoU": {"num_classes": 2, "target_class_ids": [0]},
    "MeanIoU": {"num_classes": 2},
    "MeanMetricWrapper": {"fn": max},
    "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
    "OneHotMeanIoU": {"num_classes": 2},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}
"""Arguments without a default."""
FAULTS = {
    "BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "FalseNegatives", "FalsePositives", "Hinge",
    "KLDivergence", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "RootMeanSquaredError", "SparseCategoricalCrossentropy", "SquaredHinge",
}  # fmt: skip
NEITHER = {"Mean", "MeanMetricWrapper", "Metric", "Sum"}
CLASSES = [name for name, found in vars(keras.metrics).items() if inspect.isclass(found)]


def compiled(*metrics: Any) -> keras.Model:
    """A model of one output that fit has trained."""
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    net.compile("sgd", loss="mse", metrics=list(metrics))
    net.fit(keras.ops.ones((4, 2)), keras.ops.ones((4, 1)), verbose=0)
    return net


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_keras_under_its_default_name_has_its_direction(name: str) -> None:
    wanted = None if name in NEITHER else "minimize" if name in FAULTS else "maximize"
    if name == "Metric":  # nobody can make one
        assert isinstance(told_direction("val_metric"), Open)
        return
    keras.backend.clear_session()
    kept = [getattr(keras.metrics, name)(**NEEDED.get(name, {})) for _ in range(2)]
    for metric in kept:
        known = describe_metrics(with_metrics(metric))
        for found in (told_direction(f"val_{metric.name}", known), told_direction(f"val_{metric.name}_1")):
            assert found == wanted or (wanted is None and isinstance(found, Open)), (metric.name, found)


def with_metrics(*metrics: Any) -> keras.Model:
    """A model that reports these and needs no training for it."""

    class Reports(keras.Model):  # type: ignore[misc]
        @property
        def metrics(self) -> list[Any]:
            return list(metrics)

    net = Reports()
    net.compile("sgd", loss="mse")
    return net


def test_a_class_of_the_users_own_inherits_what_keras_class_tells() -> None:
    class Energy(keras.metrics.MeanSquaredError):  # type: ignore[misc]
        pass

    class Mine(keras.metrics.Metric):  # type: ignore[misc]
        def update_state(self, *_: Any, **__: Any) -> None:
            pass

        def result(self) -> float:
            return 0.0

    known = describe_metrics(with_metrics(Energy(name="e"), Mine(name="m"), keras.metrics.Mean(name="nll")))
    assert known["e"] == MetricDescription("e", "minimize", is_own=True)
    assert known["m"] == MetricDescription("m") and known["nll"] == MetricDescription("nll")
    assert told_direction("val_e", known) == told_direction("val_nll", known) == "minimize"


def test_functions_and_losses_of_keras_tell_it_whatever_they_are_called() -> None:
    def score(y: Any, p: Any) -> Any:
        return keras.ops.mean(p)

    wrapped = keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error, name="fit")
    known = describe_metrics(
        compiled(
            wrapped, score, keras.losses.Dice(), keras.losses.cosine_similarity, "cosine_similarity", "mape"
        )
    )
    assert {name: metric.direction for name, metric in known.items()} == {
        "loss": "minimize",
        "fit": "minimize",
        "score": "",
        "dice": "minimize",
        "cosine_similarity": "minimize",  # as a loss Keras has it negative
        "cosine_similarity_1": "maximize",
        "mape": "minimize",
    }


def test_heads_weights_and_repeats_are_told_apart_from_the_metrics_own_name(
    make_problem: MakeProblem,
) -> None:
    problem = make_problem("""
def nll(y, p):
    return keras.losses.mean_squared_error(y, p)
def model():
    rows = keras.Input((4,))
    heads = [keras.layers.Dense(1, name=name)(rows) for name in ("error_type", "accident")]
    net = keras.Model(rows, heads)
    net.compile("sgd", loss="mse", metrics=[["accuracy", keras.metrics.AUC(), keras.metrics.AUC()], [nll]],
                weighted_metrics=[["accuracy"], [nll]])
    return net
def data(): return (x, (y, y)), (x, (y, y))
""")
    description = describe(problem)
    known = description.known_metrics
    own = {name: known[name.removeprefix("val_")].name for name in description.metrics}
    assert own["val_loss"] == own["val_error_type_loss"] == own["val_accident_loss"] == "loss"
    assert own["val_error_type_accuracy"] == own["val_error_type_weighted_accuracy"] == "accuracy"
    assert own["val_accident_nll"] == own["val_accident_weighted_nll"] == "nll"
    assert sum(name == "auc" for name in own.values()) == 4
    assert told_direction("val_error_type_accuracy", known) == "maximize"
    assert told_direction("val_accident_nll", known) == "minimize"
    again = ProblemDescription.from_json(description.to_json())
    assert again.known_metrics == known
    old = {key: value for key, value in description.to_json().items() if key != "known_metrics"}
    assert ProblemDescription.from_json(old).known_metrics == {}
