"""What a user would get without us: a fresh import of the problem, the seed, compile and fit; the curve as JSON."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.support.commands import Shell
from tests.support.forked import Forks

CASES = Path(__file__).parents[1] / "acceptance" / "cases"

SCRIPT = """
import json, os, random
import keras, numpy, tensorflow

tensorflow.config.threading.set_intra_op_parallelism_threads(1)
tensorflow.config.threading.set_inter_op_parallelism_threads(1)
random.seed(0)
numpy.random.seed(0)
import {problem} as problem

(x, y), validation = problem.data()
keras.utils.set_random_seed({seed})
net = problem.model()
history = net.fit(x, y, validation_data=validation, verbose=0, **problem.fit).history
print(json.dumps([{{name: float(values[epoch]) for name, values in history.items()}} for epoch in range(len(history["loss"]))]))
"""


def copied_case(folder: Path, name: str) -> None:
    """Put a case's problem file where a user would have it."""
    shutil.copy(CASES / f"{name}.py", folder / f"{name}.py")


def plain_curve(forked: Forks, here: Shell, problem: str, seed: int) -> list[dict[str, float]]:
    """The curve of plain Keras for a problem whose fit does not shuffle."""
    (here.folder / "plain_fit_of_it.py").write_text(SCRIPT.format(problem=problem, seed=seed))
    done = forked.run_script(here, "plain_fit_of_it.py")
    assert done.returncode == 0, done.stderr
    curve: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return curve


def curve_of(
    forked: Forks, here: Shell, study: str, phase: str = "baseline"
) -> tuple[int, list[dict[str, Any]]]:
    """Seed and curve of a study's first trial of a phase, without what only a study has."""
    rows = forked.json(here, "trials", study)["trials"]
    number = next(row["trial"] for row in rows if row["phase"] == phase)
    shown = forked.json(here, "show", study, str(number))
    curve = [
        {name: value for name, value in epoch.items() if name not in ("epoch", "learning_rate")}
        for epoch in shown["curve"]
    ]
    return shown["seed"], curve
