"""Which optimizer should one paste, and which script trains with it to the very numbers of the study?"""

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optselect.search.spec.settings import FOUND_RATE, Length, configuration_of
from optselect.search.verdict.findings import Finalist, Findings
from optselect.search.verdict.record import Record
from optselect.storage.records.overview import TrialRow
from optselect.trials.terms.configuration import (
    BASELINE,
    Configuration,
    OptimizerConfig,
    configuration_code,
    import_code,
    keras_code,
    with_imports,
)
from optselect.trials.terms.reference import BUNDLE_FOLDER

# --- the constructor ----------------------------------------------------------------------------------


def chosen_code(found: Findings, optimizer: str | None = None) -> str:
    """The constructor of the one to use, or of another that was compared, below its imports: to paste and to run.

    A comment says where the one to use is no plain winner.
    """
    name = optimizer or found.shown
    code = with_precision(found, constructor(found, found.finalist(name)))
    reason = "" if optimizer else why_shown(found)
    return with_imports(f"# {reason}\n{code}" if reason else code)


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
        return found.record.problem.baseline.whole_code
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
        jit=is_jit(found.record),
    )


def is_jit(record: Record) -> bool:
    """Whether XLA compiled what was trained: asked for, or decided for the study."""
    decided = [bool(made["jit"]) for made in record.decisions if made.get("phase") == "jit"]
    return decided[-1] if decided else record.spec.jit == "on"


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
    jit: bool = False,
) -> str:
    """One Python file that trains what a run has trained.

    Args:
        phases: the optimizers in their order; none: the one that model() compiles with.
        precision: the dtype policy that was asked for.
        scales_loss: whether compile() wraps the optimizer, as it does under mixed_float16.
        jit: whether XLA compiles.
    """
    if scales_loss:
        phases = [replace(phase, code=scaled(phase.code)) for phase in phases]
    phases = phases or [Phase(epochs, "model.optimizer  # the one of model()")]
    imports = "from optselect.trials.schedules import WarmedUp\n" * any("WarmedUp(" in p.code for p in phases)
    imports += "from optselect.trials.slots import handing_on\n" * any(phase.keeps_slots for phase in phases)
    # A class that stands in the problem's own file is in the script already.
    own = dict.fromkeys(line for phase in phases for line in phase.code.splitlines()[:-1])
    imports += "".join(f"{line}\n" for line in own if not is_import_of(line, Path(source_name).stem))
    others = imported_files(bundle, source_name, own)
    needs = f"\n# What it imports of these must lie beside it: {', '.join(others)}." if others else ""
    stored = "" if run.value is None else f"\nprint('stored:   ', {objective!r}, {run.value!r})"
    source = bundle[source_name]
    training = TRAINING.format(
        study=study, trial=run.trial, seed=run.seed, epochs=epochs, objective=repr(objective), stored=stored,
        needs=needs, imports=imports, fits="\n".join(fit_code(phases)), jit=jit,
    )  # fmt: skip
    return f"{HEADING}{as_module(source, precision).rstrip()}\n\n\n{unlike(training, source)}"


def is_import_of(line: str, module: str) -> bool:
    return line == import_code(module, imported_name(line))


def imported_name(line: str) -> str:
    """The class that a line of import_code imports.

    >>> imported_name("from mine import Mine"), imported_name(import_code("my-own", "Mine"))
    ('Mine', 'Mine')
    """
    return re.split(r"[ .]", line)[-1]


def scaled(code: str) -> str:
    """The optimizer as compile() would wrap it; imports above it stay."""
    *imports, constructor_call = code.splitlines()
    return "\n".join((*imports, f"keras.optimizers.LossScaleOptimizer({constructor_call})"))


def imported_files(bundle: Mapping[str, str], source_name: str, own: Collection[str]) -> list[str]:
    """The files that a script needs beside it: the problem's own, and those of the optimizers that it trains with."""
    classes = set(map(imported_name, own))
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
    """The source below all that a process of the study does before it loads it; what it does only as a program is not done."""
    head, body = parted(as_utf_8(source))
    before = BEFORE + policy_code(precision) + AS_MODULE * ("__main__" in source)
    return f"{head}{unlike(before, source)}{OWN}{body}"


def as_utf_8(source: str) -> str:
    """The source without what says in which encoding its file is: the script is UTF-8, as Python takes it to be.

    >>> as_utf_8("\\ufeff# -*- coding: latin-1 -*-\\nx = 1\\n")
    '# -*- coding: utf-8 -*-\\nx = 1\\n'
    """
    lines = source.removeprefix("\ufeff").split("\n")
    return "\n".join([*(re.sub(COOKIE, r"\g<1>utf-8", line) for line in lines[:2]), *lines[2:]])


COOKIE = r"^([ \t\f]*#.*?coding[:=][ \t]*)[-\w.]+"
"""As PEP 263 has it."""


def policy_code(precision: str | None) -> str:
    return "" if precision is None else f"_keras.config.set_dtype_policy({precision!r})\n"


def parted(source: str) -> tuple[str, str]:
    """What Python wants first of all in a file, a docstring and imports from the future, and the rest.

    >>> parted("'words'\\nfrom __future__ import annotations; x = 1\\n")
    ("'words'\\nfrom __future__ import annotations\\n", 'x = 1\\n')
    """
    first = next((node for node in ast.parse(source).body if not must_stay_first(node)), None)
    if first is None:
        return f"{source.rstrip()}\n", ""
    # By bytes, as ast counts, and by "\n" alone: splitlines() would also split at a form feed.
    lines = source.encode().split(b"\n")
    decorators = getattr(first, "decorator_list", [])  # stand above the line of what they decorate
    line, column = (decorators[0].lineno, 0) if decorators else (first.lineno, first.col_offset)
    head = b"\n".join([*lines[: line - 1], lines[line - 1][:column]]).decode()
    body = b"\n".join([lines[line - 1][column:], *lines[line:]]).decode()
    shares_a_line = head.rpartition("\n")[2].strip() != ""
    return (f"{head.rstrip().rstrip(';')}\n" if shares_a_line else head), body


def must_stay_first(node: ast.stmt) -> bool:
    """Whether Python allows nothing before it: a docstring, an import from the future."""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def unlike(code: str, source: str) -> str:
    """Our code with other names where the source has such as ours: it may read its own while it trains."""
    shared = set(OUR_NAME.findall(BEFORE + TRAINING + FIT)) & set(OUR_NAME.findall(source))
    return OUR_NAME.sub(lambda name: f"_optselect{name[0]}" if name[0] in shared else name[0], code)


OUR_NAME = re.compile(r"\b_[a-zA-Z]\w*")

HEADING = """\
# Written by optselect. The problem's own source stands between what is done before it is loaded and how it was trained.
"""

# Before the source, which may use TensorFlow: its first operation fixes the counts. Names begin with an underscore, so
# that nothing of the source overwrites them, nor they anything of it.
BEFORE = """\
# --- written by optselect: as in every process that trained for the study ---
import os as _os

_os.environ.update(KERAS_BACKEND="tensorflow", OMP_NUM_THREADS="1")

import random as _random
import sys as _sys

import keras as _keras
import numpy as _np
import tensorflow as _tf

_tf.config.threading.set_intra_op_parallelism_threads(1)  # as in training: sums in the same order
_tf.config.threading.set_inter_op_parallelism_threads(1)
_random.seed(0)  # what the source draws at random, such as a split, is the study's
_np.random.seed(0)
"""

AS_MODULE = """\
_sys.modules["problem"] = _sys.modules[__name__]
__name__ = "problem"  # what the source does only as a program is not done
"""

OWN = "\n# --- the problem's own source ---\n"

FIT = """\
history = model.fit(
    _train,
    validation_data=_validation,
    initial_epoch=_begun,
    epochs=_last,
    **{"verbose": 2, **_fit},
)
"""

TRAINING = """\
# --- written by optselect: trial {trial} of study {study}, on its seed and in its order of rows ---{needs}
import math as _math
{imports}
_SEED, _EPOCHS = {seed}, {epochs}


def _batches_of_rows():
    \"\"\"The order of the study: one permutation for each seed and epoch, the same for all optimizers.\"\"\"
    for epoch in range(_begun + 1, _last + 1):
        order = _np.random.default_rng((_SEED, epoch)).permutation(_count) if _shuffle else _np.arange(_count)
        for batch in range(_steps):
            yield order[batch * _batch_size : (batch + 1) * _batch_size]


def _as_keras_wants(array):
    if array is None:
        return None
    array = _np.asarray(array)
    return _tf.constant(array.astype(_keras.config.floatx()) if array.dtype.kind == "f" else array)


def _rows_of(rows):
    return _keras.tree.map_structure(lambda array: None if array is None else _tf.gather(array, rows), _arrays)


class _SeededPython(_keras.callbacks.Callback):
    \"\"\"For data that shuffles by Python's or numpy's generator.\"\"\"

    def on_epoch_begin(self, epoch, logs=None):
        number = int(_np.random.SeedSequence((_SEED, epoch + 1)).generate_state(1)[0])
        _random.seed(number)
        _np.random.seed(number)


_train, _validation, *_test = data()
_fit = {{name: value for name, value in globals().get("fit", {{}}).items() if name != "epochs"}}
if isinstance(_train, (tuple, list)):
    _packed = _keras.utils.pack_x_y_sample_weight(*_train)
    _arrays = _keras.tree.map_structure(_as_keras_wants, _keras.tree.lists_to_tuples(_packed))
    _shuffle, _steps = _fit.pop("shuffle", True), _fit.pop("steps_per_epoch", None)
    _count = len(_keras.tree.flatten(_arrays)[0])
    _batch_size = _fit.pop("batch_size", None) or (_math.ceil(_count / _steps) if _steps else 32)
    _steps = min(_steps or _math.inf, _math.ceil(_count / _batch_size))
    _fit = {{"validation_batch_size": _batch_size, **_fit, "steps_per_epoch": _steps, "shuffle": False}}
    _rows = _tf.data.Dataset.from_generator(_batches_of_rows, output_signature=_tf.TensorSpec([None], _tf.int64))
    _train = _rows.map(_rows_of)
elif not isinstance(_train, _keras.utils.PyDataset):
    _fit["shuffle"] = False  # a Dataset brings its own order
_fit["callbacks"] = [_SeededPython(), *filter(None, _keras.tree.flatten(_fit.get("callbacks")))]

_begun, _last = 0, _EPOCHS
_keras.utils.set_random_seed(_SEED)
model = model()
model.jit_compile = {jit}
if not model.built or not model.variables:
    model(_keras.utils.unpack_x_y_sample_weight(next(iter(_train)))[0])
keras = _keras
{fits}

print("this run: ", {objective}, repr(history.history[{objective}][-1])){stored}
for _split in _test:
    _arguments = {{"x": _split}}
    if isinstance(_split, (tuple, list)):
        _arguments = dict(zip(("x", "y", "sample_weight"), _split), batch_size=_fit.get("validation_batch_size"))
    print("test:     ", model.evaluate(**_arguments, verbose=0, return_dict=True))
"""
