"""Which optimizer should one paste, and which script trains with it to the very numbers of the study?"""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optselect.search.findings import Finalist, Findings
from optselect.search.settings import FOUND_RATE, Length, configuration_of
from optselect.storage.overview import TrialRow
from optselect.trials.configuration import (
    BASELINE,
    Configuration,
    OptimizerConfig,
    configuration_code,
    keras_code,
)
from optselect.trials.reference import BUNDLE_FOLDER

# --- the constructor ----------------------------------------------------------------------------------


def chosen_code(found: Findings, optimizer: str | None = None) -> str:
    """The constructor of the one to use, with a comment where that is no plain winner, or of another that was compared."""
    name = optimizer or found.shown
    code = with_precision(found, constructor(found, found.finalist(name)))
    reason = "" if optimizer else why_shown(found)
    return f"# {reason}\n{code}" if reason else code


def why_shown(found: Findings) -> str:
    """The comment above the code; empty where a winner needs none."""
    if found.outcome == "not_enough_evidence":
        reason = "not enough evidence for a winner: this one leads"
        return reason if found.keep == found.shown else f"{reason}, but keep yours until more is known"
    if found.keep == BASELINE:
        return "a tie: keep yours" if found.outcome == "tie" else "keep yours"
    return "a tie: none of them has fewer settings" if found.outcome == "tie" else ""


def with_precision(found: Findings, code: str) -> str:
    """The precision goes with the code where it was asked for; one of the problem file's own is there already."""
    precision = found.record.spec.precision
    if precision in (None, "float32"):
        return code
    return f"# under keras.config.set_dtype_policy({precision!r}), set before model()\n{code}"


def constructor(found: Findings, finalist: Finalist) -> str:
    """A finalist as code to paste; of a switch both optimizers."""
    if finalist.name == BASELINE:
        return found.record.problem.baseline.code
    configuration = configured(found, finalist)
    if configuration.switches:
        return configuration_code(configuration)
    return optimizer_code(configuration.optimizer, found.record.problem.outputs)


def configured(found: Findings, finalist: Finalist, run: TrialRow | None = None) -> Configuration:
    """What a finalist, or one of its runs, was trained with; a rate that SWATS found is a number here."""
    spec, problem = found.record.spec, found.record.problem
    length = Length(spec.epochs, problem.steps_per_epoch)
    configuration = configuration_of(spec, finalist.name, finalist.arguments, length)
    rate = ((run or shown_run(finalist)).result or {}).get(FOUND_RATE)
    return configuration if rate is None else with_found_rate(configuration, rate)


def shown_run(finalist: Finalist) -> TrialRow:
    """The run that a script repeats."""
    return next((run for run in finalist.runs if run.state == "complete"), finalist.runs[0])


def with_found_rate(configuration: Configuration, rate: float) -> Configuration:
    """The configuration with the second learning rate that one run has found."""
    (switch,) = configuration.switches
    second = replace(switch.optimizer, arguments={**switch.optimizer.arguments, "learning_rate": rate})
    return replace(configuration, switches=(replace(switch, optimizer=second, estimates_rate=False),))


def optimizer_code(config: OptimizerConfig, outputs: Sequence[str], *, exact: bool = False) -> str:
    """An optimizer as it was trained: Muon leaves out the output layers, which it must not orthogonalise.

    Args:
        exact: with every bit of its numbers, instead of six digits as a person wants them.

    >>> optimizer_code(OptimizerConfig("Muon", {"learning_rate": 0.01}), ["dense_1"])
    "keras.optimizers.Muon(learning_rate=0.01, exclude_layers=['(^|/)dense_1/'])"
    """
    code = keras_code(config, exact=exact)
    if config.optimizer != "Muon" or "exclude_layers" in config.arguments:
        return code
    layers = [f"(^|/){layer}/" for layer in outputs]
    return f"{code[:-1]}{', ' if config.arguments else ''}exclude_layers={layers!r})"


# --- the script ---------------------------------------------------------------------------------------


def chosen_script(found: Findings, bundle: Mapping[str, str], optimizer: str | None = None) -> str:
    """The problem's own source, and below it a training that repeats a final run of the one whose code is shown, or of another."""
    finalist = found.finalist(optimizer or found.shown)
    return training_script(
        study=found.record.name,
        run=shown_run(finalist),
        phases=[] if finalist.name == BASELINE else script_phases(found, finalist),
        epochs=found.record.spec.epochs,
        objective=found.record.spec.objective,
        source_name=Path(found.record.problem.path).name,
        bundle=bundle,
        precision=found.record.spec.precision,
        scales_loss=found.record.problem.scales_loss,
    )


@dataclass(frozen=True)
class Phase:
    """A stretch of a training that one optimizer trains."""

    last: int  # epoch
    code: str
    keeps_slots: bool = False


def script_phases(found: Findings, finalist: Finalist) -> list[Phase]:
    """The optimizers that a script trains with, one after the other."""
    configuration = configured(found, finalist)
    ends = [*(switch.epoch for switch in configuration.switches), found.record.spec.epochs]
    keeps = [False, *(switch.keeps_slots for switch in configuration.switches)]
    outputs = found.record.problem.outputs
    return [
        Phase(last, optimizer_code(config, outputs, exact=True), keep)
        for last, config, keep in zip(ends, configuration.phases, keeps, strict=True)
    ]


def training_script(
    *,
    study: str,
    run: TrialRow,
    phases: Sequence[Phase],
    epochs: int,
    objective: str,
    source_name: str,
    bundle: Mapping[str, str],
    precision: str | None = None,
    scales_loss: bool = False,
) -> str:
    """One Python file that trains what a run has trained.

    Args:
        phases: the optimizers in their order; none: the one that model() compiles with.
        precision: the dtype policy that was asked for.
        scales_loss: whether compile() wraps the optimizer, as it does under mixed_float16.
    """
    if scales_loss:
        phases = [replace(phase, code=scaled(phase.code)) for phase in phases]
    phases = phases or [Phase(epochs, "model.optimizer  # the one of model()")]
    imports = "from optselect.trials.schedules import WarmedUp\n" * any("WarmedUp(" in p.code for p in phases)
    imports += "from optselect.trials.slots import handing_on\n" * any(phase.keeps_slots for phase in phases)
    # A class that stands in the problem's own file is in the script already.
    own = dict.fromkeys(line for phase in phases for line in phase.code.splitlines()[:-1])
    imports += "".join(f"{line}\n" for line in own if not line.startswith(f"from {Path(source_name).stem} "))
    others = imported_files(bundle, source_name, own)
    needs = f"\n# What it imports of these must lie beside it: {', '.join(others)}." if others else ""
    stored = "" if run.value is None else f"\nprint(f'stored:    {objective} {run.value!r}')"
    training = TRAINING.format(
        study=study, trial=run.trial, seed=run.seed, epochs=epochs, objective=objective, stored=stored, needs=needs,
        imports=imports, fits="\n".join(fit_code(phases)),
    )  # fmt: skip
    return f"{ENVIRONMENT}{as_module(bundle[source_name], precision)}\n\n{training}"


def scaled(code: str) -> str:
    """The optimizer as compile() would wrap it; imports above it stay."""
    *imports, constructor_call = code.splitlines()
    return "\n".join((*imports, f"keras.optimizers.LossScaleOptimizer({constructor_call})"))


def imported_files(bundle: Mapping[str, str], source_name: str, own: Collection[str]) -> list[str]:
    """The files that a script needs beside it: the problem's own, and those of the optimizers that it trains with."""
    classes = {line.rpartition(" ")[2] for line in own}
    needed = []
    for name in bundle:
        folder, _, inner = name.partition("/")
        class_name, _, file = inner.partition("/")
        if folder != BUNDLE_FOLDER and name != source_name:
            needed.append(name)
        elif folder == BUNDLE_FOLDER and class_name in classes:
            needed.append(file)  # as an import finds it, without its place in the bundle
    return sorted(needed)


def fit_code(phases: Sequence[Phase]) -> Iterator[str]:
    """Put each optimizer in place and train its epochs; loss and metrics of the user's compile() stay."""
    begun = 0
    for phase in phases:
        first = begun == 0
        yield f"_begun, _last = {begun}, {phase.last}"
        indent = ""
        if phase.keeps_slots:
            yield "with handing_on(model, True):"
            indent = "    "
        yield f"{indent}model.optimizer = {phase.code.splitlines()[-1]}"
        yield f"{indent}model.optimizer.build(model.trainable_variables)"
        if not first:
            yield "model.train_function = None  # as a second compile() does: the weights stay"
        yield FIT.rstrip()
        begun = phase.last


def as_module(source: str, precision: str | None = None) -> str:
    """The source so that what it does only as a program is not done, in the precision that was asked for."""
    before = ['__name__ = "problem"'] if "__main__" in source else []
    if precision is not None:
        before += ["import keras as _keras", f"_keras.config.set_dtype_policy({precision!r})"]
    if not before:
        return source
    body = ast.parse(source).body
    first = next((node for node in body if not must_stay_first(node)), None)
    lines = source.splitlines()
    place = len(lines) if first is None else first.lineno - 1
    return "\n".join((*lines[:place], *before, *lines[place:], ""))


def must_stay_first(node: ast.stmt) -> bool:
    """Whether Python allows nothing before it: a docstring, an import from the future."""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


ENVIRONMENT = """\
# Written by optselect. The problem's own source comes first; how it was trained stands below it.
"""

FIT = """\
history = model.fit(
    _train,
    validation_data=_validation,
    initial_epoch=_begun,
    epochs=_last,
    **{"shuffle": False, "verbose": 2, **_fit},
)
"""

TRAINING = """\
# --- written by optselect: trial {trial} of study {study}, on its seed and in its order of rows ---{needs}
import math as _math  # names with an underscore, so that none of the above is overwritten
import random as _random

import keras as _keras
import numpy as _np
import tensorflow as _tf
{imports}
_SEED, _EPOCHS = {seed}, {epochs}
_tf.config.threading.set_intra_op_parallelism_threads(1)  # as in training: sums in the same order
_tf.config.threading.set_inter_op_parallelism_threads(1)


def _batches_of_rows():
    \"\"\"The order of the study: one permutation for each seed and epoch, the same for all optimizers.\"\"\"
    for epoch in range(_begun + 1, _last + 1):
        order = _np.random.default_rng((_SEED, epoch)).permutation(_count) if _shuffle else _np.arange(_count)
        for batch in range(_steps):
            yield order[batch * _batch_size : (batch + 1) * _batch_size]


def _as_keras_wants(array):
    array = _np.asarray(array)
    return _tf.constant(array.astype(_keras.config.floatx()) if array.dtype.kind == "f" else array)


class _SeededPython(_keras.callbacks.Callback):
    \"\"\"For data that shuffles by Python's or numpy's generator.\"\"\"

    def on_epoch_begin(self, epoch, logs=None):
        number = int(_np.random.SeedSequence((_SEED, epoch + 1)).generate_state(1)[0])
        _random.seed(number)
        _np.random.seed(number)


_train, _validation, *_test = data()
_fit = {{name: value for name, value in globals().get("fit", {{}}).items() if name != "epochs"}}
if isinstance(_train, (tuple, list)):
    _arrays, _shuffle = _keras.tree.map_structure(_as_keras_wants, tuple(_train)), _fit.pop("shuffle", True)
    _count, _steps = len(_keras.tree.flatten(_arrays)[0]), _fit.pop("steps_per_epoch", None)
    _batch_size = _fit.pop("batch_size", None) or (_math.ceil(_count / _steps) if _steps else 32)
    _steps = min(_steps or _math.inf, _math.ceil(_count / _batch_size))
    _fit = {{"validation_batch_size": _batch_size, **_fit, "steps_per_epoch": _steps}}
    _rows = _tf.data.Dataset.from_generator(_batches_of_rows, output_signature=_tf.TensorSpec([None], _tf.int64))
    _train = _rows.map(lambda rows: _keras.tree.map_structure(lambda array: _tf.gather(array, rows), _arrays))
elif isinstance(_train, _keras.utils.PyDataset):
    _fit["callbacks"] = [_SeededPython(), *_fit.get("callbacks", [])]

_begun, _last = 0, _EPOCHS
_keras.utils.set_random_seed(_SEED)
model = model()
model.jit_compile = False
if not model.built or not model.variables:
    model(_keras.utils.unpack_x_y_sample_weight(next(iter(_train)))[0])
keras = _keras
{fits}

print(f"this run:  {objective} {{history.history['{objective}'][-1]!r}}"){stored}
for _split in _test:
    _arguments = dict(zip(("x", "y", "sample_weight"), _split)) if isinstance(_split, (tuple, list)) else {{"x": _split}}
    print("test:     ", model.evaluate(**_arguments, verbose=0, return_dict=True))
"""
