"""What is this problem, for a launcher that must not load TensorFlow itself?

    python -m optselect.trials.describing.describe [PROBLEM] --out FILE [--epochs N] [--optimizers JSON] [--jit]
                                        [--precision POLICY] [--weights FOLDER --seeds 0,1,2] [--rows FOLDER]
                                        [--tried-elsewhere | --only-classes]

writes the answer, or {"error": "..."}, as JSON; exits 0, or 2 where the problem is at fault. After the answer it
leaves the initial weights of the seeds below FOLDER: TensorFlow is loaded here, and nothing will be trained. The rows
go below the folder of --rows, so that nobody else has to call data(); the answer says how long loading took.
"""

import argparse
import faulthandler
import inspect
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from optselect.trials.data.fingerprint import (
    FIRST_BATCH,
    hash_data,
    hash_elsewhere,
    hash_modules,
    package_versions,
)
from optselect.trials.data.kept_rows import KeptRows
from optselect.trials.data.loading import Loading
from optselect.trials.data.splits import Arrays, Data, Split, named_leaves
from optselect.trials.data.whole_file import write_whole
from optselect.trials.describing.describe_custom import describe_alone, describe_classes
from optselect.trials.describing.describe_metrics import describe_metrics
from optselect.trials.describing.first_operation import run_first_operation
from optselect.trials.describing.first_training import one_batch_must_train, train_shortly
from optselect.trials.describing.missing import check_missing_targets
from optselect.trials.describing.opened_files import OpenedFiles
from optselect.trials.optimizers.building import innermost, is_scaled, output_layers
from optselect.trials.problem.initial_weights import build_model
from optselect.trials.problem.loading import Problem, load_problem
from optselect.trials.problem.user_files import hash_named
from optselect.trials.terms.bundled import resolve_problem
from optselect.trials.terms.configuration import ArgumentValue, OptimizerConfig, import_code, keras_code
from optselect.trials.terms.description import LOADING, BaselineDescription, ProblemDescription, error_json
from optselect.trials.terms.errors import ConfigurationError, ProblemError
from optselect.trials.terms.installed_first import InstalledFirst, lost_names
from optselect.trials.terms.outcome import numbers_in
from optselect.trials.terms.reference import AskedClass, read_classes, tried_file
from optselect.trials.terms.user_code import PROBLEM_MODULE, leave_a_trace_of_interrupts
from optselect.trials.weights.make_weights import seeds_in
from optselect.trials.weights.seed_effects import rows_differ, unsteady_note
from optselect.trials.weights.weight_files import Origin, WeightFiles
from optselect.trials.weights.weight_marks import Beginnings, begin, begins_so


def main(arguments: Sequence[str] | None = None) -> int:
    """Describe one problem; returns the exit code."""
    leave_a_trace_of_interrupts()
    faulthandler.enable()  # a signal that ends this process says where it hit
    options = _parse(arguments)
    try:
        classes = read_classes(options.optimizers)
        if options.problem is None:  # what are these classes, apart from any problem?
            alone = {name: asdict(one) for name, one in describe_alone(classes).items()}
            _answer(options.out, {"optimizers": alone})
            return 0
        references = [one.reference for one in classes]
        path, jit, precision = resolve_problem(options.problem), options.jit, options.precision
        loading = Loading()
        problem = load_problem(
            path, options.epochs, references, jit=jit, precision=precision, loading=loading
        )
        run_first_operation()
        if options.only_classes:
            tried = describe_classes(problem, classes, partial(_note_tried, tried_file(options.out)))
            _answer(options.out, {"optimizers": {name: asdict(one) for name, one in tried.items()}})
            return 0
        opened = OpenedFiles()
        opened.listen_to(problem)
        description = describe(problem, classes, opened, tries=not options.tried_elsewhere)
    except (ProblemError, ConfigurationError) as error:
        _answer(options.out, error_json(str(error)))
        return 2
    with keeping_rows(problem, description.data_hash, options.rows):
        _answer(options.out, {**description.to_json(), LOADING: loading.seconds})
    if options.weights:
        origin = Origin(description.files, description.weights)
        files = WeightFiles.of(
            options.weights, problem.path, description.modules, description.data_hash, origin
        )
        with files.making():
            _make_weights(files, problem, options.seeds)
    return 0


@contextmanager
def keeping_rows(problem: Problem, data_hash: str, root: Path | None) -> Iterator[None]:
    """Let whoever wants the rows after the block wait until they are kept."""
    rows = None if root is None else KeptRows.of(root, data_hash)
    lock = None if rows is None else rows.begin()
    try:
        yield
        if rows is not None and lock is not None and problem.left_by_data is not None:
            rows.keep(problem.data, problem.left_by_data)
    finally:
        if lock is not None:
            lock.release()


def _note_tried(file: Path, count: int) -> None:
    write_whole(file, str(count).encode())


def _answer(out: Path, answer: dict[str, Any]) -> None:
    write_whole(out, json.dumps(answer, indent=1).encode())


def _make_weights(files: WeightFiles, problem: Problem, seeds: Sequence[int]) -> None:
    """Make all weights, unless the batch that was trained has left its mark: layers that models share."""
    if begins_so(files.origin.weights, problem.initial_weights.begin):
        files.make(seeds, problem.initial_weights.make)


def describe(
    problem: Problem,
    classes: Sequence[AskedClass] = (),
    opened: OpenedFiles | None = None,
    tries: bool = True,
) -> ProblemDescription:
    """Describe a loaded problem; trains one batch, to learn the metrics and to see that model and data fit.

    `classes` are the problem's optimizers that are not Keras's; each is tried, unless another process does that.
    `opened` has listened to model().
    """
    beginnings = _beginnings(problem)  # before anything is trained: models may share layers
    model = problem.make_model()
    _build(model, problem)
    precision, scales_loss = model.dtype_policy.name, is_scaled(model.optimizer)
    baseline = describe_baseline(model)  # before training: a callback or schedule may change its rate
    averaging = _averaging_callback(model, problem)
    with one_batch_must_train(problem):
        unknown = check_missing_targets(problem)
    first = train_shortly(model, problem)
    metrics = tuple(numbers_in(first.logs))
    optimizers = describe_classes(problem, classes) if tries else {}
    files, folders = problem.files, (problem.path.parent, Path.cwd())
    seeds_differ = beginnings.differ or rows_differ(problem)
    return ProblemDescription(
        name=problem.name,
        path=str(problem.path),
        metrics=metrics,
        inputs=describe_inputs(problem.data),
        rows={
            name: split.rows if isinstance(split, Arrays) else None for name, split in problem.data.splits()
        },
        batch_size=problem.batch_size,
        epochs=problem.epochs,
        steps_per_epoch=problem.steps_per_epoch,
        parameters=int(model.count_params()),
        baseline=baseline,
        data_hash=(data_hash := hash_data(problem.data)),
        # Last: model() and data() may import on their first call.
        modules={**hash_modules(problem.path), **hash_elsewhere(classes, problem.path)},
        versions=package_versions(),
        outputs=tuple(layer.name for layer in output_layers(model)),
        warnings=(*_warnings(problem, first.logs, data_hash, beginnings, unknown), *first.remarks),
        set_the_rate=first.set_the_rate,
        moved=first.moved,
        lost_modules=tuple(lost_of(problem)),
        optimizers=optimizers,
        precision=precision,
        scales_loss=scales_loss,
        files={**({} if opened is None else opened.hashes(folders[0])), **hash_named(files, folders)},
        weights=beginnings.weights,
        seeds_differ=seeds_differ,
        known_metrics=describe_metrics(model),
        averaging_callback=averaging,
    )


def _beginnings(problem: Problem) -> Beginnings:
    with one_batch_must_train(problem):
        return begin(problem.initial_weights.begin)


def describe_baseline(model: Any) -> BaselineDescription:
    """Describe the optimizer that the user compiled with."""
    optimizer = innermost(model.optimizer)
    name = type(optimizer).__name__
    arguments = _plain_arguments(optimizer)
    code = _code_with_schedule(keras_code(OptimizerConfig(name, arguments)), arguments)
    if type(optimizer) is not getattr(keras.optimizers, name, None):
        code = code.replace("keras.optimizers.", "", 1)  # a class of the user's own
    return BaselineDescription(name, arguments, code, "\n".join(_imports_of_own(optimizer)))


def _imports_of_own(optimizer: Any) -> Iterator[str]:
    """Yield the imports of what is no class of Keras's: the optimizer, its schedule."""
    schedule = getattr(optimizer, "_learning_rate", None)
    for part, keras_own in ((optimizer, keras.optimizers), (schedule, keras.optimizers.schedules)):
        name = type(part).__name__
        is_used = part is optimizer or isinstance(part, keras.optimizers.schedules.LearningRateSchedule)
        if is_used and type(part) is not getattr(keras_own, name, None):
            yield import_code(type(part).__module__.removeprefix(PROBLEM_MODULE), name)


def _plain_arguments(optimizer: Any) -> dict[str, ArgumentValue]:
    """Read the constructor arguments that are plain values and not the default; the learning rate in any case."""
    config = optimizer.get_config()
    common = inspect.signature(keras.optimizers.SGD).parameters  # what a class of one's own takes as **kwargs
    defaults = {**common, **inspect.signature(type(optimizer)).parameters}
    plain = {
        name: _short(value)
        for name, value in config.items()
        if name not in ("name", "learning_rate")
        and isinstance(value, (bool, int, float, str))
        and (name not in defaults or defaults[name].default != _short(value))
    }
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        return {"learning_rate": _describe_schedule(rate), **plain}
    return {"learning_rate": _short(rate), **plain} if isinstance(rate, (int, float)) else plain


def _describe_schedule(rate: dict[str, Any]) -> str:
    """Write a schedule as its constructor call; a list is that of the steps and rates of PiecewiseConstantDecay."""
    plain = (int, float, list, tuple)
    given = {name: value for name, value in rate.get("config", {}).items() if isinstance(value, plain)}
    return f"{rate.get('class_name')}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _code_with_schedule(code: str, arguments: dict[str, ArgumentValue]) -> str:
    """Let the schedule stand in the code as a call, not as a string."""
    rate = arguments.get("learning_rate")
    if not isinstance(rate, str):
        return code
    is_keras_own = hasattr(keras.optimizers.schedules, rate.split("(")[0])
    return code.replace(repr(rate), f"keras.optimizers.schedules.{rate}" if is_keras_own else rate)


def _short(value: bool | float | str) -> ArgumentValue:
    """Undo the trip of a Python float through float32: 0.01, not 0.009999999776."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _averaging_callback(model: Any, problem: Problem) -> str:
    """Name the callback that swaps averaged weights, if there is one; the user's own optimizer must keep them."""
    for callback in problem.callbacks:
        if isinstance(callback, keras.callbacks.SwapEMAWeights):
            name = type(callback).__name__
            if not innermost(model.optimizer).use_ema:
                raise ProblemError(
                    f"{problem.path.name}: the callback {name} needs an optimizer with use_ema=True. Received: "
                    f"{type(innermost(model.optimizer)).__name__} without it. Give it in compile(), or leave the "
                    "callback out"
                )
            return name
    return ""


def _build(model: Any, problem: Problem) -> None:
    with one_batch_must_train(problem):
        build_model(model, problem.one_batch)


def lost_of(problem: Problem) -> list[str]:
    """Name the modules of the user's in whose place an installed one is imported."""
    folder = problem.path.parent
    return lost_names(InstalledFirst(folder), [folder / name for name in hash_modules(problem.path)])


def describe_inputs(data: Data) -> dict[str, str]:
    """Say of each split what it holds: names, dtypes and shapes."""
    return {name: _describe_split(split) for name, split in data.splits()}


def _describe_split(split: Split) -> str:
    if isinstance(split, Arrays):
        return ", ".join(f"{place} {_dtype(leaf)}{tuple(leaf.shape)}" for place, leaf in named_leaves(split))
    if isinstance(split, tf.data.Dataset):
        return f"tf.data.Dataset of {' '.join(str(split.element_spec).split())}"
    return f"{type(split).__name__}, a PyDataset"


def _dtype(leaf: Any) -> str:
    dtype = getattr(leaf, "dtype", None)
    return "" if dtype is None else str(getattr(dtype, "name", dtype))


def _warnings(
    problem: Problem,
    logs: Mapping[str, Any],
    data_hash: str,
    beginnings: Beginnings,
    unknown: Sequence[str],
) -> list[str]:
    metrics = numbers_in(logs)
    found = []
    if unknown:
        found.append(
            f"{', '.join(unknown)}: NaN on rows whose targets are missing. Such a metric can be no objective."
        )
    if several := [name for name in logs if name not in metrics and not name.startswith("val_")]:
        found.append(
            f"No curve of {', '.join(several)}, which is several numbers; averaged to one it has one."
        )
    if problem.epochs == 1:
        found.append("One epoch for each trial: give fit = {'epochs': ...} or --epochs for more.")
    if "loss" not in metrics:
        found.append("Training reports no loss: trials end as diverged only where a weight is not finite.")
    if problem.data.test is None:
        found.append("No test data: the winner is judged on the validation data that it was chosen by.")
    if data_hash.startswith(FIRST_BATCH):
        found.append(
            "The data comes in batches: its order is its own, and its hash covers the first batch only."
        )
    if unsteady := unsteady_note(beginnings):
        found.append(unsteady)
    return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m optselect.trials.describing.describe")
    parser.add_argument("problem", nargs="?", help="a problem file, or the name of a bundled problem")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--epochs", type=int, help="in place of fit['epochs']")
    parser.add_argument(
        "--optimizers", default="[]", help="classes of the user's own, as write_classes gives them"
    )
    parser.add_argument("--jit", action="store_true", help="as it will be trained with XLA")
    parser.add_argument("--precision", help="the dtype policy of its training; default: the file's own")
    parser.add_argument("--weights", type=Path, help="below this folder initial weights are kept")
    parser.add_argument("--tried-elsewhere", action="store_true", help="only load the classes")
    parser.add_argument("--only-classes", action="store_true", help="only try the classes")
    parser.add_argument("--seeds", type=seeds_in, default=(0,), help="whose weights to make")
    parser.add_argument("--rows", type=Path, help="below this folder the rows are kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # taking TensorFlow down costs two seconds, for which a launch would wait
