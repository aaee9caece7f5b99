"""Whatever the user's model is: the expected step of the ladder trains it, and its numbers are those of fit.

Of Keras's fit alone: the problem's file, with the searched optimizer written into its compile().
"""

import ast
from typing import Any

import pytest

from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.programs.cache import Programs
from optselect.trials.terms.outcome import TrialResult
from tests.support import models
from tests.support.fits import Recorder, curve_ulps, fit_by_keras, state_in, train, ulps
from tests.support.slow import cases
from tests.trials.conftest import PREAMBLE, WriteProblem

COMPILED = "keras.optimizers.SGD(0.02)"
"""The optimizer of the preamble, which the sources have as \"sgd\"."""

MODELS: dict[str, tuple[str, str, int, str]] = {
    "functional": (models.FUNCTIONAL, "Adam(learning_rate=0.02)", 1, ""),
    "subclassed with dropout": (
        models.SUBCLASSED,
        "Adam(learning_rate=0.02, gradient_accumulation_steps=2)",
        1,
        "",
    ),
    "custom train_step": (models.CUSTOM_TRAIN_STEP, "RMSprop(learning_rate=0.02)", 1, ""),
    "train_step with logs of its own": (
        models.OWN_LOGS,
        "Adam(learning_rate=0.02)",
        3,
        "returns other values",
    ),
    "train_step with a second optimizer": (models.TWO_OPTIMIZERS, "Adam(learning_rate=0.02)", 1, ""),
    "several inputs and outputs": (models.TWO_WAYS, "Nadam(learning_rate=0.02, global_clipnorm=0.5)", 1, ""),
    "sample weights": (models.WEIGHTED, "AdamW(weight_decay=0.1, learning_rate=0.02)", 1, ""),
    "class weights": (models.CLASS_WEIGHTS, "SGD(learning_rate=0.02, momentum=0.9, use_ema=True)", 1, ""),
    "embedding and recurrence": (models.EMBEDDING, "Adam(learning_rate=0.02, clipnorm=0.1)", 1, ""),
    "recurrence that keeps its state": (models.STATEFUL, "Adam(learning_rate=0.02)", 1, ""),
    "missing targets": (models.MISSING_TARGETS, "Adam(learning_rate=0.02)", 1, ""),
    "averaged weights that a callback swaps": (
        models.SWAPPED_AVERAGES,
        "Adam(learning_rate=0.02, use_ema=True, ema_momentum=0.9)",
        3,
        "the callback SwapEMAWeights has on_test_begin",
    ),
    "stateful metrics": (models.STATEFUL_METRICS, "Adagrad(learning_rate=0.02)", 1, ""),
    "mixed bfloat16": (models.BFLOAT16, "AdamW(learning_rate=0.02)", 1, ""),
    "mixed float16": (models.FLOAT16, "Adam(learning_rate=0.02, clipvalue=0.01)", 1, ""),
    "a dataset": (models.DATASET, "Lion(learning_rate=0.02)", 1, ""),
    "a shuffled dataset": (models.SHUFFLED_DATASET, "Adam(learning_rate=0.02)", 1, ""),
    "an endless dataset of uneven batches": (models.UNEVEN_DATASET, "Adam(learning_rate=0.02)", 1, ""),
    "a pydataset": (models.PYDATASET, "Adam(learning_rate=0.02)", 3, "a PyDataset"),
    "a callback for batches": (models.BATCH_CALLBACK, "Adam(learning_rate=0.02)", 3, "on_train_batch_end"),
    "callbacks for epochs": (models.EPOCH_CALLBACKS, "Adam(learning_rate=0.02)", 1, ""),
    "an optimizer with a Python loop": (models.PYTHON_LOOP, "baseline", 2, "decides by momentum"),
    "Muon beside moving averages": (models.MUON, "baseline", 2, "where it knows"),
    "a schedule": (models.SCHEDULE, "baseline", 1, ""),
    "a schedule of Adam's": (models.ADAM_SCHEDULE, "baseline", 1, ""),
    "a schedule by pieces": (models.PIECES, "baseline", 1, ""),
    "a function as learning rate": (models.RATE_FUNCTION, "baseline", 4, "a function"),
    "state that Keras does not know": (models.OWN_STATE, "Adam(learning_rate=0.02)", 1, ""),
    "state that nobody can put back": (
        models.TABLE_STATE,
        "Adam(learning_rate=0.02)",
        4,
        "when it is used again",
    ),
    "run eagerly": ("", "Adam(learning_rate=0.02)", 4, "run_eagerly"),
}


SLOW = (
    "functional",
    "subclassed with dropout",
    "train_step with a second optimizer",
    "several inputs and outputs",
    "sample weights",
    "class weights",
    "stateful metrics",
    "mixed bfloat16",
    "mixed float16",
    "a shuffled dataset",
    "an endless dataset of uneven batches",
    "a schedule of Adam's",
    "a schedule by pieces",
    "a function as learning rate",
)


@pytest.mark.parametrize("name", cases(MODELS, SLOW))
def test_each_kind_of_model_trains_on_its_step_as_fit_does(write_problem: WriteProblem, name: str) -> None:
    source, optimizer, step, reason = MODELS[name]
    problem, programs = load_problem(write_problem(source)), Programs()
    curve, state = _by_keras_alone(write_problem, source, optimizer)
    for _ in (1, 2):  # the second finds the program that the first has used
        result, own_state = _trained(problem, optimizer, programs)
        assert result.step is not None
        assert (result.step.number, reason in result.step.reason) == (step, True), result.step
        if name != "a shuffled dataset":  # it goes on shuffling: no two fits see the same
            allowed = 2 if "schedule" in name else 0
            assert curve_ulps(curve, result.curve) <= allowed
            assert max(map(ulps, own_state, state)) <= allowed
    assert programs.built <= 2


def _by_keras_alone(write_problem: WriteProblem, source: str, optimizer: str) -> Any:
    text = PREAMBLE + source
    if optimizer != "baseline":
        assert COMPILED in text or '"sgd"' in text, "or the text would keep its own optimizer"
        text = text.replace(COMPILED, f"keras.optimizers.{optimizer}").replace(
            '"sgd"', f"keras.optimizers.{optimizer}"
        )
    problem = load_problem(write_problem(text, preamble="", name="by_keras_alone.py"))
    return fit_by_keras(problem.make_model(), problem)


def _trained(problem: Problem, optimizer: str, programs: Programs) -> tuple[TrialResult, list[Any]]:
    recorder = Recorder()
    name, arguments = arguments_in(optimizer)
    result = train(problem, name, recorder, arguments=arguments, programs=programs)
    assert result.outcome.value == "complete", result.reason
    return result, state_in(recorder.last)


def arguments_in(optimizer: str) -> tuple[str, dict[str, Any]]:
    """Read "Adam(learning_rate=0.02)"."""
    call = ast.parse(optimizer, mode="eval").body
    if isinstance(call, ast.Name):
        return call.id, {}
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    return call.func.id, {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
