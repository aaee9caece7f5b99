"""How does a trained model become a file that plain Keras reads, and how is it read back?"""

import tempfile
from pathlib import Path
from typing import Any

import keras

from optselect.trials.optimizers.building import build_optimizer, install_optimizer
from optselect.trials.problem.initial_weights import build_model
from optselect.trials.problem.loading import Problem, import_problem
from optselect.trials.programs.memory import collected_at_the_end
from optselect.trials.terms.configuration import Configuration


def save_model(trained: Any, problem: Problem, configuration: Configuration) -> bytes:
    """Give the .keras file of a trained model, compiled with the optimizer that trained it last.

    A fresh model takes the weights over: the trained one may be shared, and its optimizer may be of a compiled
    program, which plain Keras does not know. Slots are not kept.
    """
    with collected_at_the_end(), tempfile.TemporaryDirectory(prefix="optselect-") as folder:
        weights = trained.get_weights()  # first: layers that the module holds begin anew with each model
        model = problem.make_model()
        build_model(model, problem.one_batch)
        model.set_weights(weights)
        install_optimizer(model, build_optimizer(configuration.phases[-1], model))
        file = Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes()


def load_model(body: bytes, source: Path) -> Any:
    """Read a model back; the problem file brings the classes that it uses."""
    import_problem(source)
    with tempfile.TemporaryDirectory(prefix="optselect-") as folder:
        file = Path(folder) / "model.keras"
        file.write_bytes(body)
        return keras.saving.load_model(file)
