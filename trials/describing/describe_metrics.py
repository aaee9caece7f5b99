"""Which metric stands behind each name that fit reports, and does its class say whether less of it is better?

Keras puts a head's name before a metric's (`accident_nll`) and numbers what it meets twice (`auc_1`): only the metric
itself knows what it measures. What a callback adds to the logs has no metric and is left out.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any, Literal

import keras

from optselect.trials.terms.description import MetricDescription

Told = Literal["minimize", "maximize", ""]

LESS_IS_BETTER = (
    keras.metrics.BinaryCrossentropy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.CategoricalHinge,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.Hinge,
    keras.metrics.KLDivergence,
    keras.metrics.LogCoshError,
    keras.metrics.MeanAbsoluteError,
    keras.metrics.MeanAbsolutePercentageError,
    keras.metrics.MeanSquaredError,
    keras.metrics.MeanSquaredLogarithmicError,
    keras.metrics.Poisson,
    keras.metrics.RootMeanSquaredError,
    keras.metrics.SparseCategoricalCrossentropy,
    keras.metrics.SquaredHinge,
)
MORE_IS_BETTER = (
    keras.metrics.AUC,
    keras.metrics.Accuracy,
    keras.metrics.BinaryAccuracy,
    keras.metrics.CategoricalAccuracy,
    keras.metrics.ConcordanceCorrelation,
    keras.metrics.CosineSimilarity,
    keras.metrics.FBetaScore,
    keras.metrics.IoU,
    keras.metrics.PearsonCorrelation,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.R2Score,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SparseCategoricalAccuracy,
    keras.metrics.SparseTopKCategoricalAccuracy,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TopKCategoricalAccuracy,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)
"""Classes that derive from these are meant, too. Mean, Sum and MeanMetricWrapper measure whatever they are given."""


def describe_metrics(model: Any) -> dict[str, MetricDescription]:
    """Describe the metrics of a compiled model that fit has trained, by the name of the log without `val_`."""
    return {"loss": MetricDescription("loss", "minimize"), **dict(_reported(model))}


def _reported(model: Any) -> Iterator[tuple[str, MetricDescription]]:
    """What Model.get_metrics_result names, in its order; a subclass may have a `metrics` of its own."""
    of_losses = [] if model._compile_loss is None else list(map(id, model._compile_loss.metrics))
    for metric in model.metrics:
        if metric is model._compile_metrics:
            yield from _compiled(metric)
        elif id(metric) in of_losses:  # a head's loss: a Mean that compile() has made
            yield metric.name, MetricDescription("loss", "minimize")
        elif metric is not model._loss_tracker and isinstance(metric, keras.Metric):
            yield metric.name, _describe(metric)


def _compiled(compiled: Any) -> Iterator[tuple[str, MetricDescription]]:
    """What compile() was given: its names come in the order of its metrics, unless two names have met."""
    names, metrics = list(compiled.result()) if compiled.built else [], compiled.metrics
    if len(names) == len(metrics):
        yield from zip(names, map(_describe, metrics), strict=True)


def _describe(metric: keras.Metric) -> MetricDescription:
    told = _told_by_class(metric)
    is_own = bool(told) and getattr(keras.metrics, type(metric).__name__, None) is not type(metric)
    return MetricDescription(_own_name(metric), told, is_own)


def _own_name(metric: keras.Metric) -> str:
    """The name without the number that Keras gives the second metric of a class.

    >>> _own_name(keras.metrics.AUC(name="auc_3")), _own_name(keras.metrics.AUC(name="area_3"))
    ('auc', 'area_3')
    """
    name = re.sub(r"_\d+$", "", metric.name)
    return name if name.replace("_", "") == type(metric).__name__.lower() else str(metric.name)


def _told_by_class(metric: keras.Metric) -> Told:
    """What the metric's class, one of its Keras base classes or the function that it averages says."""
    if isinstance(metric, LESS_IS_BETTER):
        return "minimize"
    if isinstance(metric, MORE_IS_BETTER):
        return "maximize"
    return _told_by_function(getattr(metric, "_fn", None))


def _told_by_function(function: Any) -> Told:
    """What a function says that is Keras's own.

    >>> _told_by_function(keras.losses.cosine_similarity), _told_by_function(keras.losses.Dice())
    ('minimize', 'minimize')
    >>> _told_by_function(keras.metrics.pearson_correlation), _told_by_function(len)
    ('maximize', '')
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, keras.losses.Loss):  # Dice and cosine similarity, too: as losses they fall
        return "minimize"
    name = getattr(function, "__name__", "")
    if name and getattr(keras.losses, name, None) is function:
        return "minimize"
    return "maximize" if name and getattr(keras.metrics, name, None) is function else ""
