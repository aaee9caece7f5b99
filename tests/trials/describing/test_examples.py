"""The bundled problems are what the README says (tests/acceptance/test_problems.py trains digits and fashion)."""

import pytest

from optselect.trials.describing.describe import describe
from optselect.trials.problem.loading import load_problem
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import BASELINE, Configuration, OptimizerConfig
from optselect.trials.terms.errors import ProblemError
from tests.support.debian_data import needs_fashion
from tests.support.fits import train

ROWS = {
    "diabetes": {"train": 352, "validation": 45, "test": 45},
    "digits": {"train": 1200, "validation": 297, "test": 300},
    "fashion": {"train": 10_000, "validation": 2_000, "test": 10_000},
    "quadratic_deep": {"train": 1000, "validation": 1000, "test": 896},
}
BASELINES = {
    "diabetes": "keras.optimizers.SGD(learning_rate=0.01)",
    "digits": "keras.optimizers.Adam(learning_rate=0.001)",
    "fashion": "keras.optimizers.RMSprop(learning_rate=0.0001)",
    "quadratic_deep": "keras.optimizers.Adam(learning_rate=0.001)",
}


@pytest.mark.parametrize(
    "name", ["diabetes", "digits", "quadratic_deep", pytest.param("fashion", marks=needs_fashion)]
)
def test_bundled_problem_is_as_described(name: str) -> None:
    problem = load_problem(resolve_problem(name))
    description = describe(problem)
    assert description.rows == ROWS[name] and description.baseline.code == BASELINES[name]
    assert (
        description.epochs > 1 and description.warnings == () and set(description.modules) == {f"{name}.py"}
    )


def test_diabetes_improves_with_its_own_optimizer() -> None:
    problem = load_problem(resolve_problem("diabetes"))
    result = train(problem, configuration=Configuration(OptimizerConfig(BASELINE, {})), epochs=1, test=True)
    assert result.test is not None
    assert result.curve[-1].metrics["val_loss"] < result.initial["val_loss"]


def test_adam_at_its_defaults_ends_where_deepobs_published_it() -> None:
    """106.64 after 100 epochs; a tenth of a per cent is left for the order of the rows."""
    problem = load_problem(resolve_problem("quadratic_deep"))
    result = train(problem, configuration=Configuration(OptimizerConfig(BASELINE, {})), epochs=100, test=True)
    assert result.test is not None
    assert 106.5 < result.test["loss"] < 106.8


def test_fashion_without_data_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import keras

    def offline() -> None:
        raise OSError("no route")

    path = resolve_problem("fashion")
    source = path.read_text().replace("/usr/share/datasets", "/nowhere")
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", offline)
    monkeypatch.setattr("importlib.machinery.SourceFileLoader.get_data", lambda self, name: source.encode())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(ProblemError) as caught:
        load_problem(path)
    assert "dataset-fashion-mnist" in str(caught.value) and "load_data()" in str(caught.value)
